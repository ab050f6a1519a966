// What is shown of the connections, and which one is chosen: all parts of the page go by it.

const state = {view: [], places: new Map(), chosen: -1, only: null, printing: false};

// refresh shows the connections that the tools let pass, in the order of the table.
function refresh() {
  const words = byId('search').value.toLowerCase().split(/\s+/).filter((word) => word);
  const by = byId('who').value;
  const view = [];
  for (let i = 0; i < rows.length; i++) {
    if (by && who(i) !== by) continue;
    if (state.only && !state.only.has(i)) continue;
    if (words.length && !matches(i, words)) continue;
    view.push(i);
  }
  state.view = sorted(view);
  state.places = new Map(state.view.map((i, n) => [i, n]));
  byId('count').textContent = countWords(view);
  byId('table').scrollTop = byId('rows').scrollTop = 0;
  drawTable();
  drawTimeline();
}

// countWords says how many rows are shown, and how many of them are more than connections
// that the recording is about.
function countWords(view) {
  const having = (flag) => view.reduce((n, i) => n + (rows[i][0] & flag ? 1 : 0), 0);
  const before = having(OVER_BEFORE), listeners = having(LISTENER);
  const others = [];
  if (before) others.push(grouped(before) + ' closed before the recording');
  if (listeners) others.push(grouped(listeners) + ' listening');
  return (view.length === rows.length ? '' : grouped(view.length) + ' of ') + grouped(rows.length) + ' shown' +
    (others.length ? ' (' + others.join(', ') + ')' : '');
}

// choose shows a connection in all parts of the page.
function choose(i) {
  state.chosen = i;
  const r = row(i);
  byId('chosen').textContent = rowName(r) + '. ' + (r.flags & LISTENER ? '' : closingSentence(i));
  byId('chosen-tools').hidden = false;
  byId('link').href = linkOf(i);
  byId('copy-text').hidden = true;
  byId('copied').textContent = '';
  drawLadder(i);
  markEdges(rungsOf(r));
  showRow(byId('table'), rowHeight(), 40);
  showRow(byId('rows'), timeline.height, 0);
  drawTable();
  drawTimeline();
}

// moveChoice chooses by keys.
function moveChoice(event) {
  const page = 10, last = state.view.length - 1;
  const n = state.places.has(state.chosen) ? state.places.get(state.chosen) : -1;
  const to = {ArrowUp: n - 1, ArrowDown: n + 1, PageUp: n - page, PageDown: n + page, Home: 0, End: last}[event.key];
  if (to === undefined || last < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  choose(state.view[Math.min(last, Math.max(0, to))]);
}

function showCall(n) {
  const call = byId('call-' + n);
  if (!call) return;
  const folded = call.closest('details');
  if (folded) folded.open = true;
  call.scrollIntoView({block: 'center'});
  call.focus();
}

// showOnly shows the connections that a finding is about.
function showOnly(evidence, name) {
  state.only = evidence && new Set(evidence);
  const button = byId('only');
  button.hidden = !evidence;
  button.textContent = evidence ? 'Only those of ' + name + ' ✕' : '';
  byId('search').value = byId('who').value = '';
  refresh();
  if (evidence) {
    choose(state.view[0]);
    byId('connections').scrollIntoView();
  }
}

function watchTools() {
  const counts = new Map();
  for (let i = 0; i < rows.length; i++) counts.set(who(i), (counts.get(who(i)) || 0) + 1);
  for (const [name, n] of [...counts].sort()) byId('who').append(make('option', {value: name}, `${name} (${n.toLocaleString('en')})`));
  let waiting = 0;
  byId('search').addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(refresh, 150);
  });
  byId('who').addEventListener('change', refresh);
  byId('tools').addEventListener('submit', (event) => event.preventDefault());
  byId('only').addEventListener('click', () => showOnly(null));
  document.querySelectorAll('.evidence').forEach((button) => {
    const evidence = raw.evidence[Number(button.dataset.finding)];
    if (!evidence || !evidence.length) return;
    button.hidden = false;
    button.textContent = evidence.length === 1 ? 'Show its connection' : 'Show its ' + grouped(evidence.length) + ' connections';
    button.addEventListener('click', () => showOnly(evidence, button.closest('article').querySelector('h3').textContent.trim().split('\n')[0]));
  });
}

swatches();
headTable();
watchTools();
watchTable();
watchTimeline();
watchLinks();
watchPrint();
timeline.from = extent.from;
timeline.to = extent.to;
refresh();
lookFirst();
// At first the connection is chosen that the worst finding is about.
const evidence = raw.evidence.flat().find((i) => !(rows[i][0] & LISTENER));
const start = evidence === undefined ? rows.findIndex((r) => !(r[0] & (LISTENER | OVER_BEFORE))) : evidence;
if (!followLink() && start >= 0) choose(start);
document.documentElement.dataset.ready = Math.round(performance.now()); // for tests
