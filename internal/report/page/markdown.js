// The chosen connection as Markdown, as "tcptrace report" writes it: in a block of code, so that no name from
// the capture is markup.

const TIME_COLUMN = 15, SIDE_COLUMN = 31, ARROW_COLUMN = 17, WORDS_WIDTH = 100;

// wideCharacters have two columns. Next to those that need no space a line may end.
const wideCharacters = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const needsNoSpace = /[\u3000-\u303f\uff01-\uff60\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u;
const columnsOf = (text) => [...text].reduce((n, c) => n + (/\p{M}/u.test(c) ? 0 : wideCharacters.test(c) ? 2 : 1), 0);

// partsOf parts a word where a line may end.
function partsOf(word) {
  const parts = [''];
  let before = '';
  for (const c of word) {
    const ends = before && (needsNoSpace.test(before) || needsNoSpace.test(c)) && !/[\p{Ps}\p{Pi}]/u.test(before) && (/[\p{Ps}\p{Pi}]/u.test(c) || !/\p{P}/u.test(c));
    if (ends) parts.push('');
    parts[parts.length - 1] += c;
    before = c;
  }
  return parts;
}

// wrap breaks a text into lines of so many columns.
function wrap(text, columns) {
  const lines = [''];
  for (const word of text.split(/\s+/).filter((word) => word)) {
    partsOf(word).forEach((part, n) => {
      const line = lines[lines.length - 1], space = line && !n ? ' ' : '';
      if (!line || columnsOf(line + space + part) <= columns) lines[lines.length - 1] = line + space + part;
      else lines.push(part);
    });
  }
  return lines;
}

// paragraph wraps a text behind a mark.
const paragraph = (mark, text) => wrap(text, WORDS_WIDTH - mark.length).map((line, n) => (n ? ' '.repeat(mark.length) : mark) + line);

// closingSentence says who closed a connection first.
function closingSentence(i) {
  const r = row(i);
  return raw.closings[rows[i][16]].replace('\u0001', () => r.closer).replace('\u0002', () => r.addresses[0]).replace('\u0003', () => duration(raw.idle[i]));
}

// closingSide is the side that closed first, if it was one.
function closingSide(i) {
  const by = who(i);
  return {server: by, client: by, local: by + ' side', remote: by + ' side'}[by];
}

function markdownOf(i) {
  const r = row(i);
  const lines = [...answerLines(i), '', ...headLines(r), '', ...ladderLines(i, r)];
  const recorded = raw.recordings[rows[i][14] - 1];
  if (recorded) lines.push('', ...paragraph('', recorded));
  const code = lines.join('\n');
  const longest = Math.max(0, ...(code.match(/`+/g) || []).map((ticks) => ticks.length));
  const fence = '`'.repeat(Math.max(3, longest + 1));
  return `### TCP connection ${rowName(r)}\n\n${fence}text\n${code}\n${fence}\n`;
}

// answerLines says what was found, who closed first, and what to do.
function answerLines(i) {
  const found = [...document.querySelectorAll('article.finding')].filter((finding) => (raw.evidence[finding.dataset.finding] || []).includes(i));
  const advice = new Set(found.flatMap((finding) => [...finding.querySelectorAll('li')].map((li) => li.textContent)));
  return [
    ...found.flatMap((finding) => paragraph('', finding.querySelector('p').textContent)),
    ...(rows[i][0] & LISTENER ? [] : paragraph('', closingSentence(i))),
    ...[...advice].flatMap((text) => paragraph('- ', text)),
  ];
}

function headLines(r) {
  const lines = sides(r).map((side, n) => ['left   ', 'right  '][n] + [roleOf(r, side), r.addresses[side]].filter((word) => word).join(' ') + (side === 1 && r.nat ? `, through NAT: it is ${r.nat[0]} there, and the other end is ${r.nat[1]}` : '') + (r.ends[side] ? '' : ', not seen from here'));
  return [...lines, '- - >  inferred from the states: segments are not traced'];
}

// ladderLines has both ends next to each other, one state below the other.
function ladderLines(i, r) {
  const lines = [];
  const rungs = sides(r).flatMap((side, column) => r.ends[side] ? markdownRungs(r, side, column) : []);
  rungs.sort((a, b) => a.at - b.at);
  for (const rung of rungs) {
    const state = raw.states[rung.to] + (rung.flags & FOUND && rung.flags & GAP ? ' or before' : '');
    addCells(lines, clock(rung.at), rung.column, [state, ...wrap(rungNotes(rung, i), SIDE_COLUMN)], arrowWords(rung.arrow));
  }
  sides(r).forEach((side, column) => {
    const end = r.ends[side];
    if (end && stateOf(end) !== CLOSE) addCells(lines, clock(lastOf(i)), column, wrap(lastStateWords(r, end), SIDE_COLUMN), '');
  });
  return lines;
}

// markdownRungs returns the steps of an end, with the segments that are inferred.
function markdownRungs(r, side, column) {
  const steps = stepsOf(r.ends[side]);
  return steps.map((step, n) => {
    const before = steps[n - 1];
    const after = before && !(step.flags & (GAP | FOUND)) && !(before.flags & FOUND) ? lasted(before, step) : 0;
    const arrow = step.segment && !(step.sent && arrived(r.ends[1 - side], steps.slice(0, n + 1), step.segment));
    return {...step, column, after, first: !n, arrow: arrow ? {name: step.segment, right: step.sent === (column === 0)} : null};
  });
}

// arrived is whether the last of the segments of a name that an end sent was seen to come at the other end.
function arrived(other, sent, name) {
  if (!other) return false;
  const count = (steps, sent) => steps.filter((step) => step.segment === name && step.sent === sent).length;
  return count(stepsOf(other), false) >= count(sent, true);
}

// addCells adds the lines of one end at a moment.
function addCells(lines, at, column, words, arrow) {
  words.forEach((text, n) => {
    const cells = [n ? '' : at, column ? '' : text, n ? '' : arrow];
    const widths = [TIME_COLUMN, SIDE_COLUMN, ARROW_COLUMN];
    const padded = cells.map((cell, k) => cell + ' '.repeat(1 + Math.max(0, widths[k] - columnsOf(cell))));
    lines.push((padded.join('') + (column ? text : '')).trimEnd());
  });
}

// arrowWords draws an arrow, dashed as it is inferred.
function arrowWords(arrow) {
  if (!arrow) return '';
  const dashes = ARROW_COLUMN - arrow.name.length - 4, left = Math.floor(dashes / 2);
  const dashed = (n) => '- '.repeat(n).slice(0, n);
  const line = `${dashed(left)} ${arrow.name} ${dashed(dashes - left)}`;
  return arrow.right ? line + ' >' : '< ' + line;
}

// rungNotes says who made a step and why, and how long the state before lasted.
function rungNotes(rung, i) {
  if (rung.flags & FOUND) return 'older than the trace';
  const notes = [];
  if (rung.from === rung.to) notes.push('no process left');
  else if (rung.flags & ACTS) notes.push((rung.process + ' ' + rung.words).trim());
  else notes.push(rung.words || 'cause unknown');
  const from = raw.states[rung.from];
  if (rung.first && from !== 'CLOSE' && from !== 'LISTEN') notes.push('from ' + from);
  if (rung.flags & FIRST && closingSide(i)) notes.push(closingSide(i) + ' closes first');
  if (rung.flags & GAP) notes.push('what was before is lost');
  return notes.join(', ') + (rung.after > 0 ? ', after ' + duration(rung.after) : '');
}

// lastStateWords says in which state an end was when the recording ended.
function lastStateWords(r, end) {
  if (r.flags & FORGOTTEN) return 'no longer followed';
  if (end[0] & OVERDUE) return 'its end was not seen';
  return 'still ' + raw.states[stateOf(end)] + (end[1] ? ', until ' + clock(end[1], 1) : '');
}

// copy copies a text or, where the browser does not let a page do so, shows it selected.
function copy(text, done) {
  const show = () => {
    const box = byId('copy-text');
    box.hidden = false;
    box.value = text;
    box.focus();
    box.select();
    byId('copied').textContent = 'Press Ctrl+C to copy the text below.';
  };
  byId('copy-text').hidden = true;
  if (!navigator.clipboard) return show();
  navigator.clipboard.writeText(text).then(() => { byId('copied').textContent = done; }, show);
}

// linkOf is the part of the page's address that leads to a connection.
const linkOf = (i) => '#c=' + nameOf(i);
const nameOf = (i) => (raw.recordings.length > 1 ? rows[i][14] + '.' : '') + rows[i][15];

// followLink shows the connection that the page's address leads to. It reports whether the address names one.
function followLink() {
  const [, name] = /^#c=([\d.]+)$/.exec(location.hash) || [];
  if (!name) return false;
  const i = rows.findIndex((r, n) => nameOf(n) === name);
  if (i < 0) {
    byId('chosen').textContent = 'Connection ' + name + ' is not on this page.';
  } else {
    if (!state.places.has(i)) showOnly(null);
    choose(i);
  }
  byId('ladder').scrollIntoView();
  return true;
}

function watchLinks() {
  window.addEventListener('hashchange', followLink);
  byId('copy-link').addEventListener('click', () => copy(location.href.split('#')[0] + linkOf(state.chosen), 'Copied the link.'));
  byId('copy-markdown').addEventListener('click', () => copy(markdownOf(state.chosen), 'Copied.'));
}
