// The table: as many rows are there as can be seen, between two spacers. On a narrow page a row is a card.

const narrow = matchMedia('(max-width: 640px)');
const rowHeight = () => narrow.matches ? 156 : 42; // as style.css has it

// A column has one or two lines, and what it is sorted by.
const columns = [
  {name: 'Opened', key: (i) => times(i)[0], lines: (i) => older(i) ? [clock(times(i)[0], 3), 'or before'] : [clock(times(i)[0])]},
  {name: 'Client', key: (i) => portKey(i, 0), lines: (i) => partyLines(i, 0)},
  {name: 'Server', key: (i) => portKey(i, 1), lines: (i) => partyLines(i, 1)},
  {name: 'State', key: stateWords, lines: (i) => [...new Set(stateWords(i).split(' / '))]},
  {name: 'Closed first by', key: (i) => who(i) + ' ' + howWords(row(i)), lines: (i) => rows[i][0] & LISTENER ? [] : [who(i), howWords(row(i))]},
  {name: 'Lifetime', number: true, key: (i) => lifetimeShown(i) ? lifetime(i).micros : -1, lines: (i) => [lifetimeWords(i)]},
  {name: 'Client sent', number: true, key: (i) => sentBy(i, 0), lines: (i) => [amount(sentBy(i, 0), size)]},
  {name: 'Server sent', number: true, key: (i) => sentBy(i, 1), lines: (i) => [amount(sentBy(i, 1), size)]},
  {name: 'Retransmits', number: true, key: (i) => rows[i][0] & LISTENER ? -1 : retransmits(i), lines: (i) => rows[i][0] & LISTENER ? [] : [amount(retransmits(i), grouped)]},
  {name: 'TIME_WAIT until', key: until, lines: (i) => [until(i) ? clock(until(i), 1) : '']},
];

const grouped = (n) => n.toLocaleString('en');
const amount = (n, words) => n < 0 ? '' : words(n);
const sentBy = (i, column) => rows[i][0] & LISTENER ? -1 : bytes(i, sides({role: rows[i][1]})[column]);

// partyLines says which end it is, and whose: the client's or the server's.
function partyLines(i, column) {
  const r = row(i);
  if (r.flags & LISTENER) return column === 1 ? [r.addresses[0], processOf(r.ends[0])] : [''];
  const side = sides(r)[column];
  return [r.addresses[side] + (r.role ? '' : ' ?'), processOf(r.ends[side])];
}

const lifetimeShown = (i) => !(rows[i][0] & (LISTENER | OVER_BEFORE));

function lifetimeWords(i) {
  if (!lifetimeShown(i)) return '';
  const life = lifetime(i);
  if (!life.whole && !life.micros) return '';
  return (life.whole ? '' : '> ') + duration(life.micros);
}

// older reports whether a connection was there before it was seen.
function older(i) {
  const [from, , , , , flags] = raw.kinds[rows[i][11][STEPS + 1]];
  return (flags & FOUND) !== 0 || !['CLOSE', 'LISTEN'].includes(raw.states[from]);
}

// portKey sorts by the address, and then by the port as a number.
function portKey(i, side) {
  const which = rows[i][0] & LISTENER ? 0 : sides({role: rows[i][1]})[side];
  return raw.addresses[rows[i][7 + 2 * which]] + ' ' + String(rows[i][8 + 2 * which]).padStart(5, '0');
}

const table = {sort: 0, down: false};

function headTable() {
  columns.forEach((column, n) => {
    const button = make('button', {type: 'button'}, column.name);
    button.addEventListener('click', () => {
      table.down = table.sort === n && !table.down;
      table.sort = n;
      refresh();
    });
    byId('columns').append(make('th', {scope: 'col', role: 'columnheader', ...(column.number ? {class: 'number'} : {})}, button));
  });
}

// sorted sorts rows by the column that is chosen.
function sorted(view) {
  byId('columns').childNodes.forEach((th, n) => {
    if (n === table.sort) th.setAttribute('aria-sort', table.down ? 'descending' : 'ascending');
    else th.removeAttribute('aria-sort');
    th.firstChild.textContent = columns[n].name + (n === table.sort ? (table.down ? ' ▼' : ' ▲') : '');
  });
  const keys = new Map();
  for (const i of view) keys.set(i, columns[table.sort].key(i));
  const sign = table.down ? -1 : 1;
  return view.sort((a, b) => {
    const x = keys.get(a), y = keys.get(b);
    return x < y ? -sign : x > y ? sign : a - b;
  });
}

function spacer(rowsLeftOut) {
  const cell = make('td', {colspan: columns.length});
  cell.style.height = rowsLeftOut * rowHeight() + 'px';
  return make('tr', {class: 'spacer', 'aria-hidden': 'true'}, cell);
}

function drawTable() {
  const box = byId('table'), body = byId('body'), height = rowHeight();
  if (state.printing) return body.replaceChildren(...viewToDraw(TABLE_PRINTED).map(tableRow));
  const first = Math.max(0, Math.floor(box.scrollTop / height) - 6);
  const last = Math.min(state.view.length, first + Math.ceil(box.clientHeight / height) + 12);
  body.parentNode.setAttribute('aria-rowcount', state.view.length + 1);
  const shown = state.view.slice(first, last).map((i, n) => tableRow(i, first + n));
  body.replaceChildren(spacer(first), ...shown, spacer(state.view.length - last));
}

function tableRow(i, n) {
  const tr = make('tr', {role: 'row', 'aria-rowindex': n + 2, 'aria-selected': i === state.chosen, 'data-row': i});
  for (const column of columns) tr.append(tableCell(column, column.lines(i).filter((line) => line)));
  const opened = tr.querySelector('span');
  if (opened) opened.replaceWith(make('a', {href: linkOf(i), title: 'Link to this connection'}, opened.textContent));
  return tr;
}

function tableCell(column, lines) {
  const title = lines.join('\n').replace(' ?', ' (it is not known which end opened the connection)');
  const td = make('td', {role: 'gridcell', title, class: column.number ? 'number' : '', 'data-name': lines.length ? column.name : ''});
  lines.forEach((line, n) => td.append(make('span', n ? {class: 'soft'} : {}, line)));
  return td;
}

// showRow scrolls a box to the chosen row, unless it can be seen.
function showRow(box, height, margin) {
  const n = state.places.get(state.chosen);
  if (n === undefined) return;
  const top = n * height;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + height > box.scrollTop + box.clientHeight - margin) box.scrollTop = top + height - box.clientHeight + margin;
}

function watchTable() {
  const box = byId('table');
  box.addEventListener('scroll', () => requestAnimationFrame(drawTable));
  narrow.addEventListener('change', drawTable);
  byId('body').addEventListener('click', (event) => {
    const tr = event.target.closest('tr[data-row]');
    if (tr && !event.target.closest('a')) choose(Number(tr.dataset.row));
  });
  box.addEventListener('keydown', moveChoice);
}
