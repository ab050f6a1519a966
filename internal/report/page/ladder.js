// The ladder of the chosen connection. Its arrows are inferred from the states: solid where both ends of one were seen,
// and else dashed.

// shape is where what stands: the words outside the ends or, on a narrow page, between them.
const wideShape = {rung: 38, left: 320, right: 640, width: 960, out: 1};
const narrowShape = {rung: 62, left: 16, right: 364, width: 380, out: -1};
let shape = wideShape;

// rungs returns the steps of both ends in the order of time.
function rungsOf(r) {
  const all = [];
  (r.flags & LISTENER ? [0] : sides(r)).forEach((side, column) => {
    if (!r.ends[side]) return;
    const steps = stepsOf(r.ends[side]);
    steps.forEach((step, n) => {
      const before = steps[n - 1];
      const known = before && !(step.flags & (FOUND | GAP)) && !(before.flags & FOUND);
      all.push({...step, side, column, after: known ? lasted(before, step) : null, n: all.length});
    });
  });
  all.sort((a, b) => a.at - b.at || a.n - b.n);
  all.forEach((rung, n) => { rung.y = 64 + n * shape.rung; });
  return all;
}

// arrows pairs what was sent with what came: segments of one name come in their order. Each
// has where it was sent and where it came, as far as that was seen.
function arrowsOf(rungs) {
  const arrows = [];
  for (const rung of rungs.filter((rung) => rung.segment && rung.sent)) arrows.push({name: rung.segment, column: rung.column, sent: rung});
  for (const rung of rungs.filter((rung) => rung.segment && !rung.sent)) {
    const arrow = arrows.find((a) => a.name === rung.segment && a.column !== rung.column && !a.came);
    if (arrow) arrow.came = rung;
    else arrows.push({name: rung.segment, column: 1 - rung.column, came: rung});
  }
  return arrows;
}

// answers is whether the segment that came with one rung was sent after the segment of the other one had come.
const answers = (a, b) => !a.sent && !b.sent && [['SYN', 'SYN, ACK'], ['SYN, ACK', 'ACK'], ['FIN', 'ACK']]
  .some(([came, answer]) => a.segment === came && b.segment === answer);

// unsure returns the pairs of rungs, one at each of two hosts, that are closer to each other than the clocks are exact: no
// segment between them says which was first.
function unsure(rungs, arrows, slack) {
  const linked = (a, b) => answers(a, b) || arrows.some((arrow) => arrow.sent === a && arrow.came === b);
  return rungs.slice(1).map((rung, n) => [rungs[n], rung])
    .filter(([a, b]) => a.column !== b.column && b.at - a.at < slack && !linked(a, b));
}

function drawLadder(i) {
  shape = byId('ladder').clientWidth < 640 ? narrowShape : wideShape;
  const r = row(i), rungs = rungsOf(r);
  const height = 64 + rungs.length * shape.rung + 34;
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', `0 0 ${shape.width} ${height}`);
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', 'Ladder of ' + rowName(r) + '; the table below says the same');
  const columns = r.flags & LISTENER ? [0] : sides(r);
  columns.forEach((side, column) => drawEnd(svg, r, side, column, height));
  const arrows = arrowsOf(rungs);
  const pairs = unsure(rungs, arrows, r.slack);
  for (const pair of pairs) drawUnsure(svg, pair, r.slack);
  for (const arrow of arrows) drawArrow(svg, arrow, r);
  for (const rung of rungs) drawRung(svg, rung, i);
  byId('ladder-drawing').replaceChildren(svg, ...(r.slack ? [make('p', {class: 'help'}, clockWords(pairs, r.slack))] : []));
  listSteps(r, rungs, i);
}

// clockWords says how exactly the times of two hosts compare.
const clockWords = (pairs, slack) => 'The clocks of the two hosts were compared, exact to ' + duration(slack) + '.' + (pairs.length ? ' Shaded: the order of these changes is not known, as they are closer than that.' : '');

const columnX = (column) => column ? shape.right : shape.left;

// anchorOf is how words are placed at an end: in its middle, or on a narrow page within it.
const anchorOf = (column) => shape === wideShape ? 'middle' : column ? 'end' : 'start';

function drawEnd(svg, r, side, column, height) {
  const end = r.ends[side], at = columnX(column);
  const name = [roleOf(r, side), r.addresses[side]].filter((word) => word).join(' ');
  draw(svg, 'text', {x: at, y: shape === wideShape || !column ? 18 : 34, 'text-anchor': anchorOf(column), class: 'state'}, shortened(name, 52));
  const notes = [r.hosts && 'on ' + r.hosts[side], side === 1 && r.nat && 'NAT: ' + r.nat.join(' with ')].filter((word) => word);
  const note = end ? notes.join(', ') : 'not seen from here';
  if (note) draw(svg, 'text', {x: at, y: shape === wideShape || !column ? 34 : 50, 'text-anchor': anchorOf(column), class: 'faint'}, note);
  draw(svg, 'line', {x1: at, x2: at, y1: 54, y2: height - 24, class: 'life' + (end ? '' : ' unseen')});
  if (!end || stateOf(end) === CLOSE) return;
  draw(svg, 'text', {x: at, y: height - 6, 'text-anchor': anchorOf(column)}, stillWords(r, end));
}

function stillWords(r, end) {
  if (r.flags & FORGOTTEN) return 'no longer followed';
  if (end[0] & OVERDUE) return 'the end of TIME_WAIT was not seen';
  return 'still ' + raw.states[stateOf(end)] + (end[1] ? ', until ' + clock(end[1], 1) : '');
}

// firstWords says who closes first, at the step that shows it.
const firstWords = (i) => who(i) === 'both' ? 'both close at once' : who(i) + ' closes first';

// drawUnsure draws that the order of two rungs is not known.
function drawUnsure(svg, [a, b], slack) {
  const box = draw(svg, 'rect', {x: shape.left, width: shape.right - shape.left, y: a.y - 6, height: b.y - a.y + 12, class: 'unsure'});
  draw(box, 'title', {}, 'closer than ' + duration(slack) + ': the order is not known');
}

function drawArrow(svg, arrow, r) {
  const from = columnX(arrow.column), to = columnX(1 - arrow.column), sign = to > from ? 1 : -1;
  const came = arrow.came || arrow.sent;
  const sent = arrow.sent || arrow.came;
  const y1 = shape === wideShape ? Math.min(sent.y, came.y) : came.y, y2 = came.y;
  const x1 = from + sign * 7, x2 = to - sign * 12;
  draw(svg, 'line', {x1, y1, x2, y2, class: 'segment ' + arrow.name + (arrow.sent && arrow.came ? ' measured' : '')});
  const angle = Math.atan2(y2 - y1, x2 - x1) * 180 / Math.PI;
  draw(svg, 'path', {d: 'M8 0L-4 5L-4 -5Z', transform: `translate(${x2} ${y2}) rotate(${angle})`, class: 'arrow-head ' + arrow.name});
  const part = y1 === y2 ? 0.5 : 0.36; // where two arrows cross, each has its name nearer to its beginning
  draw(svg, 'text', {x: x1 + (x2 - x1) * part, y: y1 + (y2 - y1) * part - 4, 'text-anchor': 'middle', class: 'segment-name'}, arrowName(arrow, r));
}

// arrowName says which segment it is, and how long it was on its way between two hosts.
function arrowName(arrow, r) {
  if (!arrow.came) return arrow.name + ' (arrival not seen)';
  return arrow.name + (r.slack && arrow.sent ? ', ' + duration(Math.max(0, arrow.came.at - arrow.sent.at)) : '');
}

function drawRung(svg, rung, i) {
  const at = columnX(rung.column), sign = (rung.column ? 1 : -1) * shape.out;
  draw(svg, 'circle', {cx: at, cy: rung.y, r: 4, class: 'dot'});
  const side = {x: at + sign * 12, 'text-anchor': sign > 0 ? 'start' : 'end'};
  const y = shape === wideShape ? rung.y - 2 : rung.y + 14;
  draw(svg, 'text', {...side, y, class: 'state'}, raw.states[rung.to] + (rung.flags & FOUND ? '' : '  ' + clock(rung.at)));
  const words = rungWords(rung);
  const line = draw(svg, 'text', {...side, y: y + 14, class: 'faint'}, shortened(words, 42));
  draw(line, 'title', {}, words);
  if (rung.flags & FIRST) draw(svg, 'text', {...side, y: y + 27, class: 'first'}, firstWords(i));
}

// rungWords says who acted, or why it came to a step otherwise.
function rungWords(rung) {
  return stepWords(rung.flags & ACTS ? rung : {...rung, process: ''}) + (rung.after === null ? '' : ', after ' + duration(rung.after));
}

// listSteps says the same as a table.
function listSteps(r, rungs, i) {
  byId('ladder-steps').hidden = false;
  byId('ladder-steps').querySelector('tbody').replaceChildren(...rungs.map((rung) => {
    const cells = [
      clock(rung.at), [roleOf(r, rung.side), r.addresses[rung.side]].join(' ').trim(),
      rung.flags & FOUND ? '' : raw.states[rung.from], raw.states[rung.to],
      rung.after === null ? '' : duration(rung.after),
      stepWords(rung) + (rung.flags & FIRST ? ', ' + firstWords(i) : ''),
    ];
    return make('tr', {}, ...cells.map((cell) => make('td', {}, cell)));
  }));
}

// markEdges marks the edges that a connection took in the diagram of the states.
function markEdges(rungs) {
  for (const edge of document.querySelectorAll('.edge.chosen')) edge.classList.remove('chosen');
  for (const rung of rungs) {
    const edge = byId('edge-' + raw.states[rung.from] + '-' + raw.states[rung.to]);
    if (edge && !(rung.flags & FOUND)) edge.classList.add('chosen');
  }
}
