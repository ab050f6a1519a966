// The timeline: a row a connection, one lane an end. It draws the rows that can be seen.

const LANE = 15;
const timeline = {from: 0, to: 1, width: 0, label: 0, height: 0};

const dark = ['FIN_WAIT1', 'FIN_WAIT2', 'CLOSING']; // states with light words

// swatches makes the fills of the states: colours with patterns, so that they can be distinguished
// without colour vision.
function swatches() {
  const svg = draw(document.body, 'svg', {class: 'swatches', 'aria-hidden': 'true'});
  const defs = draw(svg, 'defs');
  raw.states.forEach((name, n) => {
    if (!n) return;
    const pattern = draw(defs, 'pattern', {id: 'fill-' + n, width: 8, height: 8, patternUnits: 'userSpaceOnUse'});
    draw(pattern, 'rect', {width: 8, height: 8}).style.fill = 'var(--' + name + ')';
    const marks = {
      TIME_WAIT: 'M-2 10L10 -2M-2 2L2 -2M6 10L10 6', FIN_WAIT2: 'M4 0V8', CLOSING: 'M0 4H8M4 0V8', SYN_RECV: 'M0 4H8', LAST_ACK: 'M-2 -2L10 10M-2 6L2 10M6 -2L10 2', CLOSE_WAIT: 'M2 2h1.6v1.6h-1.6zM6 6h1.6v1.6h-1.6z',
    }[name];
    if (marks) draw(pattern, 'path', {d: marks, stroke: dark.includes(name) ? '#fff' : '#10151a', 'stroke-opacity': .45, 'stroke-width': 1.2, fill: 'none'});
  });
  const shown = ['SYN_SENT', 'SYN_RECV', 'ESTABLISHED', 'FIN_WAIT1', 'FIN_WAIT2', 'CLOSING', 'TIME_WAIT', 'CLOSE_WAIT', 'LAST_ACK', 'LISTEN'];
  for (const name of shown) {
    const item = make('span');
    const box = draw(item, 'svg', {width: 22, height: 12, 'aria-hidden': 'true'});
    draw(box, 'rect', {width: 22, height: 12, fill: 'url(#fill-' + raw.states.indexOf(name) + ')'});
    item.append(name);
    byId('legend').append(item);
  }
  byId('legend').append(make('span', {}, '× RST'), make('span', {}, '▼ failed call'), make('span', {}, '◆ something lost'), make('span', {}, 'faint: still to come when the recording ended'));
}

// extent is all of the time: to the end of the last TIME_WAIT.
const extent = (() => {
  let to = raw.last, from = 0;
  for (let i = 0; i < rows.length; i++) {
    to = Math.max(to, until(i));
    from = Math.min(from, times(i)[0]);
  }
  return {from, to: Math.max(to, from + 10)};
})();

const x = (at) => timeline.label + (at - timeline.from) / (timeline.to - timeline.from) * (timeline.width - timeline.label);

// look sets which part of the time is shown.
function look(from, to) {
  const most = (extent.to - extent.from) * 1.04, least = 20;
  const span = Math.min(most, Math.max(least, to - from));
  const middle = (from + to) / 2;
  timeline.from = Math.min(Math.max(middle - span / 2, extent.from - most * .02), extent.to + most * .02 - span);
  timeline.to = timeline.from + span;
  byId('range').textContent = clock(Math.round(timeline.from), 3) + ' to ' + clock(Math.round(timeline.to), 3) + ' (' + duration(span) + ')';
  drawTimeline();
}

const lookAll = () => look(extent.from - (extent.to - extent.from) * .02, extent.to + (extent.to - extent.from) * .02);

// lookFirst shows what was recorded, and a bit of what is to come.
const lookFirst = () => look(-raw.last * .03, Math.min(extent.to, raw.last * 1.2 + 10));

function lookAt(i) {
  const [first, last] = times(i);
  const to = Math.max(last, until(i), first + 20);
  look(first - (to - first) * .05, to + (to - first) * .05);
}

function zoom(factor, at = (timeline.from + timeline.to) / 2) {
  look(at - (at - timeline.from) * factor, at + (timeline.to - at) * factor);
}

const pan = (part) => look(timeline.from + part * (timeline.to - timeline.from), timeline.to + part * (timeline.to - timeline.from));

function measure() {
  const width = state.printing ? PRINTED_WIDTH : byId('rows').clientWidth;
  timeline.width = width;
  timeline.label = width > 760 ? 300 : 0;
  timeline.height = timeline.label ? 2 * LANE + 6 : 2 * LANE + 22;
}

function drawAxis() {
  const axis = byId('axis');
  axis.replaceChildren();
  const span = timeline.to - timeline.from, room = timeline.width - timeline.label;
  const raws = span / Math.max(2, Math.floor(room / 130));
  const power = 10 ** Math.floor(Math.log10(raws));
  let step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raws);
  if (raws > 1e6) step = [2e6, 5e6, 10e6, 15e6, 30e6, 60e6, 120e6, 300e6, 600e6, 1800e6, 3600e6, 7200e6, 21600e6, 86400e6].find((n) => n >= raws) || step;
  step = Math.max(1, step);
  const digits = step >= 1e6 ? 0 : Math.min(6, Math.ceil(-Math.log10(step / 1e6)));
  const shift = (raw.base + raw.offset * 1e6) % step;
  timeline.ticks = [];
  for (let at = Math.ceil((timeline.from + shift) / step) * step - shift; at <= timeline.to; at += step) {
    timeline.ticks.push(at);
    draw(axis, 'line', {x1: x(at), x2: x(at), y1: 26, y2: 34, class: 'grid'});
    if (x(at) < timeline.width - 50) draw(axis, 'text', {x: x(at) + 2, y: 14, class: 'faint'}, clock(Math.round(at), digits));
  }
  for (const [at, words] of raw.losses) {
    if (at < timeline.from || at > timeline.to) continue;
    draw(axis, 'path', {d: `M${x(at)} 19l6 7l-6 7l-6 -7z`, class: 'loss-mark'}).dataset.tip = clock(at) + '\n' + words;
  }
  raw.calls.forEach(([at, words], n) => {
    if (at < timeline.from || at > timeline.to) return;
    const mark = draw(axis, 'path', {d: `M${x(at) - 6} 20h12l-6 12z`, class: 'call-mark', 'data-call': n});
    mark.dataset.tip = clock(at) + '\n' + words;
  });
}

function drawTimeline() {
  const box = byId('rows'), svg = byId('spans'), view = viewToDraw(TIMELINE_PRINTED);
  measure();
  const all = Math.max(view.length, 1) * timeline.height;
  const seen = state.printing ? all : Math.min(box.clientHeight || 420, all), scrolled = state.printing ? 0 : box.scrollTop;
  box.firstChild.style.height = state.printing ? '' : all + 'px';
  svg.setAttribute('height', seen);
  for (const [drawing, height] of [[svg, seen], [byId('axis'), 34]]) {
    if (state.printing) drawing.setAttribute('viewBox', `0 0 ${timeline.width} ${height}`);
    else drawing.removeAttribute('viewBox');
  }
  drawAxis();
  svg.replaceChildren();
  for (const at of timeline.ticks) draw(svg, 'line', {x1: x(at), x2: x(at), y1: 0, y2: seen, class: 'grid'});
  const first = Math.floor(scrolled / timeline.height);
  for (let n = first; n < view.length && n * timeline.height < scrolled + seen; n++) {
    drawRow(svg, view[n], n * timeline.height - scrolled);
  }
  if (x(raw.last) >= timeline.label && x(raw.last) <= timeline.width) {
    draw(svg, 'line', {x1: x(raw.last), x2: x(raw.last), y1: 0, y2: seen, class: 'recorded'});
  }
  if (!view.length) draw(svg, 'text', {x: 10, y: 20}, 'No connection matches.');
}

function drawRow(svg, i, top) {
  const r = row(i);
  const back = draw(svg, 'rect', {x: 0, y: top, width: timeline.width, height: timeline.height, class: 'row-back' + (i === state.chosen ? ' chosen' : ''), 'data-row': i});
  back.dataset.tip = rowName(r);
  const lanes = timeline.label ? top + 4 : top + 18;
  const ends = r.flags & LISTENER ? [0] : sides(r);
  if (timeline.label) {
    ends.forEach((side, lane) => {
      const role = roleOf(r, side);
      draw(svg, 'text', {x: 6, y: lanes + lane * LANE + 10.5, class: r.ends[side] ? '' : 'faint', 'pointer-events': 'none'}, shortened((r.flags & LISTENER ? 'listens' : role).padEnd(8) + r.addresses[side], 41));
    });
  } else {
    draw(svg, 'text', {x: 4, y: top + 14, 'pointer-events': 'none'}, shortened(rowName(r), Math.floor(timeline.width / 6.7)));
  }
  ends.forEach((side, lane) => {
    if (r.ends[side]) drawLane(svg, i, r, side, lanes + lane * LANE);
  });
}

const shortened = (text, most) => text.length > most ? text.slice(0, most - 1) + '…' : text;

function rowName(r) {
  if (r.flags & LISTENER) return r.addresses[0] + ' listens';
  const [left, right] = sides(r);
  return r.addresses[left] + (r.role ? ' to ' : ' and ') + r.addresses[right];
}

function drawLane(svg, i, r, side, y) {
  const end = r.ends[side], steps = stepsOf(end);
  steps.forEach((step, n) => {
    const next = steps[n + 1];
    if (step.to === CLOSE) {
      if (step.segment === 'RST') drawMark(svg, i, step, `M${x(step.at) - 5} ${y + 1}l11 11m0 -11l-11 11`, 'reset-mark');
      else if (!n) drawMark(svg, i, step, `M${x(step.at)} ${y}v${LANE - 2}`, 'end-mark');
      return;
    }
    let to = next ? next.at : lastOf(i);
    if (!next && end[0] & OVERDUE) to = Math.min(to, end[1]);
    span(svg, i, r, side, step, next, step.at, to, y, '');
    if (!next && end[1] > to && !(r.flags & FORGOTTEN)) span(svg, i, r, side, step, next, to, end[1], y, 'span-to-come');
  });
}

function span(svg, i, r, side, step, next, from, to, y, className) {
  const left = Math.max(x(from), timeline.label), right = Math.min(x(to), timeline.width);
  if (right < timeline.label || left > timeline.width) return;
  const width = Math.max(1.5, right - left);
  if (!next && r.flags & FORGOTTEN) className += ' span-unknown';
  const rect = draw(svg, 'rect', {x: left, y, width, height: LANE - 2, fill: 'url(#fill-' + step.to + ')', class: className, 'data-row': i});
  rect.dataset.tip = tip(r, side, step, next);
  const name = raw.states[step.to];
  const say = (words, attributes, toCome) => {
    const text = draw(svg, 'text', {y: y + 10, class: toCome ? 'inside to-come' : 'inside' + (dark.includes(name) ? ' light' : ''), ...attributes}, words);
    if (!toCome) text.style.stroke = 'var(--' + name + ')';
  };
  let room = width - 8;
  if (x(to) > timeline.width && !next && r.ends[side][1] > timeline.to) { // it goes on, unseen: until when
    const words = 'until ' + clock(r.ends[side][1], 1) + ' ▸';
    if (room > words.length * 7) say(words, {x: right - 4, 'text-anchor': 'end'}, className !== '');
    room -= words.length * 7 + 8;
  }
  if (room > name.length * 7) say(name, {x: left + 4}, className !== '');
}

function tip(r, side, step, next) {
  const end = r.ends[side];
  const lines = [raw.states[step.to] + ' of ' + (roleOf(r, side) ? 'the ' + roleOf(r, side) + ' ' : '') + r.addresses[side]];
  lines.push((step.flags & FOUND ? 'before ' : 'from ') + clock(step.at) + (next ? ' to ' + clock(next.at) + ' (' + duration(lasted(step, next)) + ')' : ''));
  if (!next) lines.push(stillWords(r, end));
  lines.push(stepWords(step));
  return lines.join('\n');
}

// stepWords says who made a step, and why.
function stepWords(step) {
  if (step.flags & FOUND) return 'older than the trace';
  let words = step.from === step.to ? 'no process left' : step.words || 'cause unknown';
  if (step.process) words = step.flags & ACTS ? step.process + ' ' + words : words + ' (' + step.process + ')';
  if (step.flags & GAP) words += ', what was before is lost';
  return words;
}

function drawMark(svg, i, step, d, className) {
  const at = x(step.at);
  if (at < timeline.label || at > timeline.width) return;
  const mark = draw(svg, 'path', {d, class: className, 'data-row': i});
  mark.dataset.tip = raw.states[step.from] + ' > ' + raw.states[step.to] + '\n' + clock(step.at) + '\n' + stepWords(step);
}

function watchTimeline() {
  const box = byId('timeline'), spans = byId('spans');
  byId('rows').addEventListener('scroll', () => requestAnimationFrame(drawTimeline));
  new ResizeObserver(() => requestAnimationFrame(() => {
    drawTimeline();
    if (state.chosen >= 0) drawLadder(state.chosen);
  })).observe(box);
  box.addEventListener('wheel', (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const at = timeline.from + (event.clientX - spans.getBoundingClientRect().left - timeline.label) / (timeline.width - timeline.label) * (timeline.to - timeline.from);
    zoom(event.deltaY > 0 ? 1.25 : .8, Math.min(Math.max(at, timeline.from), timeline.to));
  }, {passive: false});
  let drag = null;
  box.addEventListener('pointerdown', (event) => {
    if (event.target.closest('svg')) drag = {x: event.clientX, from: timeline.from, to: timeline.to, moved: false};
  });
  window.addEventListener('pointermove', (event) => {
    if (!drag) return;
    const moved = event.clientX - drag.x;
    drag.moved = drag.moved || Math.abs(moved) > 4;
    const by = -moved / (timeline.width - timeline.label) * (drag.to - drag.from);
    if (drag.moved) look(drag.from + by, drag.to + by);
  });
  window.addEventListener('pointerup', (event) => {
    const click = drag && !drag.moved && event.target.closest('[data-row], [data-call]');
    drag = null;
    if (!click) return;
    if (click.dataset.call !== undefined) showCall(click.dataset.call);
    else choose(Number(click.dataset.row));
  });
  window.addEventListener('pointercancel', () => { drag = null; });
  box.addEventListener('keydown', (event) => {
    const act = {
      ArrowLeft: () => pan(-.2), ArrowRight: () => pan(.2), '+': () => zoom(.5), '=': () => zoom(.5), '-': () => zoom(2), 0: lookAll,
      Enter: () => state.chosen >= 0 && lookAt(state.chosen),
    }[event.key];
    if (!act) return moveChoice(event);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  byId('zoom-in').addEventListener('click', () => zoom(.5));
  byId('zoom-out').addEventListener('click', () => zoom(2));
  byId('zoom-all').addEventListener('click', lookAll);
  byId('zoom-chosen').addEventListener('click', () => state.chosen >= 0 && lookAt(state.chosen));
  watchTips(box);
}

// watchTips shows what the mark under the pointer is.
function watchTips(box) {
  const tip = byId('tip');
  box.addEventListener('pointermove', (event) => {
    const words = event.target.dataset && event.target.dataset.tip;
    tip.hidden = !words;
    if (!words) return;
    tip.textContent = words;
    const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
    const below = event.clientY + 18 + tip.offsetHeight < window.innerHeight;
    tip.style.left = Math.max(4, left) + 'px';
    tip.style.top = (below ? event.clientY + 18 : event.clientY - tip.offsetHeight - 10) + 'px';
  });
  box.addEventListener('pointerleave', () => { tip.hidden = true; });
}
