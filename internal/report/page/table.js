// The table: as many rows are there as can be seen, between two spacers.

const HEIGHT = 28; // of a row, as style.css has it

const columns = [
  {name: 'Opened', key: (i) => times(i)[0], text: (i) => older(i) ? 'before ' + clock(times(i)[0], 3) : clock(times(i)[0])},
  {name: 'Client', key: (i) => portKey(i, 0), text: (i) => end(i, 0)},
  {name: 'Server', key: (i) => portKey(i, 1), text: (i) => end(i, 1)},
  {name: 'State', key: stateWords, text: stateWords},
  {name: 'Closed first by', key: who, text: who},
  {name: 'Process', key: (i) => raw.processes[rows[i][6]], text: (i) => raw.processes[rows[i][6]]},
  {name: 'How', key: (i) => howWords(row(i)), text: (i) => howWords(row(i))},
  {name: 'Seen for', key: seenFor, text: (i) => duration(seenFor(i))},
  {name: 'Until', key: until, text: (i) => until(i) ? clock(until(i), 1) : ''},
];

// older says whether a connection was there before it was seen.
function older(i) {
  const [from, , , , , flags] = raw.kinds[rows[i][11][3]];
  return (flags & FOUND) !== 0 || !['CLOSE', 'LISTEN'].includes(raw.states[from]);
}

function end(i, side) {
  const r = row(i);
  if (r.flags & LISTENER) return side === 1 ? r.addresses[0] : '';
  return r.addresses[sides(r)[side]] + (r.role ? '' : ' ?');
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
    byId('columns').append(make('th', {scope: 'col'}, button));
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
  cell.style.height = rowsLeftOut * HEIGHT + 'px';
  return make('tr', {class: 'spacer', 'aria-hidden': 'true'}, cell);
}

function drawTable() {
  const box = byId('table'), body = byId('body');
  const first = Math.max(0, Math.floor(box.scrollTop / HEIGHT) - 6);
  const last = Math.min(state.view.length, first + Math.ceil(box.clientHeight / HEIGHT) + 12);
  body.parentNode.setAttribute('aria-rowcount', state.view.length + 1);
  const shown = [spacer(first)];
  for (let n = first; n < last; n++) {
    const i = state.view[n];
    const tr = make('tr', {'aria-rowindex': n + 2, 'aria-selected': i === state.chosen, 'data-row': i});
    for (const column of columns) {
      const text = column.text(i);
      tr.append(make('td', {title: text.endsWith(' ?') ? text.slice(0, -2) + ', and who opened it is not known' : text}, text));
    }
    shown.push(tr);
  }
  shown.push(spacer(state.view.length - last));
  body.replaceChildren(...shown);
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
  byId('body').addEventListener('click', (event) => {
    const tr = event.target.closest('tr[data-row]');
    if (tr) choose(Number(tr.dataset.row));
  });
  box.addEventListener('keydown', moveChoice);
}
