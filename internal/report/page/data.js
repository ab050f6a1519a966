// The data of the page. A row is a connection as report/data.go writes it, an end is one of
// its two sockets. Times are in microseconds since raw.base.

const raw = JSON.parse(document.getElementById('data').textContent);
const rows = raw.connections;

const LISTENER = 1, JUDGED = 2, INCOMPLETE = 4, FORGOTTEN = 8, OVER_BEFORE = 16; // of a row
const OVERDUE = 1, LEFT_OUT = 2; // of an end
const ACTS = 1, FOUND = 2, GAP = 4, FIRST = 8, SHORT = 16; // of a step
const STEPS = 2; // where those of an end begin
const TIME_WAIT = raw.states.indexOf('TIME_WAIT'), CLOSE = raw.states.indexOf('CLOSE');

const row = (i) => {
  const [flags, role, , how, ended, mechanism, closer, a, aPort, b, bPort, end, other] = rows[i];
  return {
    flags, role, how: raw.words.hows[how], ended: raw.words.hows[ended],
    mechanism: raw.words.mechanisms[mechanism], closer: raw.processes[closer],
    addresses: [address(a, aPort), address(b, bPort)], ends: [end, other || null],
    hosts: raw.between[i] && raw.between[i].slice(0, 2),
    slack: raw.between[i] ? raw.between[i][2] / 1000 : 0, // by how many microseconds the times of the two hosts may be wrong
    nat: raw.nat[i] && [address(...raw.nat[i].slice(0, 2)), address(...raw.nat[i].slice(2))], // what the second end is there, and what the first one
  };
};

function address(place, port) {
  const name = raw.addresses[place];
  return (name.includes(':') ? '[' + name + ']' : name) + ':' + (port || '*');
}

// sides is which end is on the left and above, and which is not: the client is, where it is
// known.
const sides = (r) => r.role === 1 ? [1, 0] : [0, 1];

const roleOf = (r, end) => {
  const role = end === 1 && r.role ? 3 - r.role : r.role;
  return raw.words.roles[role];
};

// stepsOf returns the steps of an end.
function stepsOf(end) {
  const steps = [];
  let at = 0;
  for (let i = STEPS; i < end.length; i += 3) {
    at += end[i];
    const [from, to, words, segment, sent, flags] = raw.kinds[end[i + 1]];
    steps.push({at, from, to, words, segment, sent: sent === 1, flags, process: raw.processes[end[i + 2]]});
  }
  return steps;
}

// lasted is how long a state lasted that the next step ended.
const lasted = (step, next) => next.at - step.at - (next.flags & SHORT ? 1 : 0);

// times returns when a connection was first and last heard of.
function times(i) {
  let first = Infinity, last = 0;
  for (const end of [rows[i][11], rows[i][12]]) {
    if (!end) continue;
    let at = 0;
    for (let j = STEPS; j < end.length; j += 3) at += end[j];
    first = Math.min(first, end[STEPS]);
    last = Math.max(last, at);
  }
  return [first, last];
}

// stateOf is the state that an end is in, as a number.
const stateOf = (end) => raw.kinds[end[end.length - 2]][1];

// lastOf is when the recording of a connection ended.
const lastOf = (i) => raw.lasts[rows[i][13]];

// until is when the kernel ends the state of one of the ends, or 0.
function until(i) {
  let latest = 0;
  for (const end of [rows[i][11], rows[i][12]]) {
    if (end && stateOf(end) !== CLOSE) latest = Math.max(latest, end[1]);
  }
  return latest;
}

// over returns when an end was over: closed, or in TIME_WAIT; Infinity: it was not when the recording ended.
function over(end) {
  const steps = stepsOf(end), left = steps.findIndex((step) => step.to === CLOSE || step.to === TIME_WAIT);
  return left < 0 ? Infinity : steps[left].at;
}

// endsOf has the ends of a connection that were seen.
const endsOf = (i) => [rows[i][11], rows[i][12]].filter((end) => end);

// lifetime is how long a connection lasted, without TIME_WAIT, and whether that is all of it.
function lifetime(i) {
  const [first] = times(i), last = Math.max(...endsOf(i).map(over));
  return {micros: Math.max(0, Math.min(last, lastOf(i)) - first), whole: last !== Infinity && !older(i)};
}

// bytes is the payload that the end of a side sent; -1: not known.
const bytes = (i, side) => rows[i][17 + side];

// retransmits is how many segments both ends sent again; -1: not known.
const retransmits = (i) => rows[i][19];

// processOf names the process that had an end last.
function processOf(end) {
  for (let j = end ? end.length - 1 : 0; j > STEPS; j -= 3) {
    if (end[j]) return raw.processes[end[j]];
  }
  return '';
}

// who closed first, in a word.
function who(i) {
  const [flags, role, first] = rows[i];
  const side = raw.words.sides[first];
  if (flags & LISTENER) return 'listens';
  if (flags & OVER_BEFORE) return 'before the recording';
  if (side === '') return flags & JUDGED ? 'unknown' : 'not closed';
  if (side === 'both' || side === 'neither' || !role) return side;
  return raw.words.roles[side === 'local' ? role : 3 - role];
}

// how a connection was closed, in words.
function howWords(r) {
  const words = r.how ? [r.how] : [];
  if (r.mechanism) words.push('by ' + r.mechanism);
  if (r.ended) words.push('ended by ' + r.ended);
  if (r.flags & INCOMPLETE && !(r.flags & OVER_BEFORE)) words.push('incomplete');
  if (r.flags & FORGOTTEN) words.push('no longer followed');
  if (r.ends.some((end) => end && end[0] & LEFT_OUT)) words.push('transitions left out');
  if (r.ends.some((end) => end && end[0] & OVERDUE)) words.push('the end of TIME_WAIT not seen');
  return words.join(', ');
}

// stateWords has the states of both ends, the client's first, or the one that they share.
function stateWords(i) {
  const names = sides(row(i)).map((side) => rows[i][11 + side]).filter((end) => end).map((end) => raw.states[stateOf(end)]);
  return [...new Set(names)].join(' / ');
}

// clock is a moment, to the microsecond unless fewer digits do.
function clock(at, digits = 6) {
  const micros = raw.base + at + raw.offset * 1e6;
  const text = new Date(Math.floor(micros / 1e6) * 1000).toISOString().slice(11, 19);
  if (!digits) return text;
  return text + '.' + String(((micros % 1e6) + 1e6) % 1e6).padStart(6, '0').slice(0, digits);
}

// duration is as the text of tcptrace has it: 31us, 1.20ms, 60.0s, 3m05s.
function duration(micros) {
  const three = (n) => n >= 100 ? String(Math.floor(n)) : n >= 10 ? (Math.floor(n * 10) / 10).toFixed(1) : (Math.floor(n * 100) / 100).toFixed(2);
  const two = (n, per, big, small) => Math.floor(n / per) + big + String(Math.floor(n % per)).padStart(2, '0') + small;
  if (micros < 1e3) return Math.round(micros) + 'us';
  if (micros < 1e6) return three(micros / 1e3) + 'ms';
  if (micros < 1e8) return three(micros / 1e6) + 's';
  if (micros < 3600e6) return two(micros / 1e6, 60, 'm', 's');
  if (micros < 100 * 3600e6) return two(micros / 60e6, 60, 'h', 'm');
  if (micros < 100 * 24 * 3600e6) return two(micros / 3600e6, 24, 'd', 'h');
  return Math.floor(micros / (24 * 3600e6)) + 'd';
}

// size is as the text of tcptrace has it: 999B, 1.5KiB, 32MiB.
function size(n) {
  if (n < 1000) return n + 'B';
  const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  n /= 1024;
  while (n >= 999.5) {
    n /= 1024;
    units.shift();
  }
  return n.toFixed(n >= 9.95 ? 0 : 1) + units[0];
}

// haystacks have what a search looks in, made at the first search.
const haystacks = [];
function haystack(i) {
  if (haystacks[i] === undefined) {
    const r = row(i);
    const words = new Set([r.addresses[0], r.addresses[1], ...(r.nat || []), who(i), howWords(r), stateWords(i), r.closer]);
    for (const end of r.ends) {
      for (let j = STEPS + 2; end && j < end.length; j += 3) words.add(raw.processes[end[j]]);
    }
    haystacks[i] = (' ' + [...words].join(' ') + ' ').toLowerCase();
  }
  return haystacks[i];
}

// matches reports whether a connection has all words. A word like :80 is a whole port.
const matches = (i, words) => words.every((word) => /^:\d+$/.test(word) ? haystack(i).includes(word + ' ') : haystack(i).includes(word));

// make makes an element. What it says is text.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function draw(parent, name, attributes = {}, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

const byId = (id) => document.getElementById(id);
