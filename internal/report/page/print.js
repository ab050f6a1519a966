// On paper nothing can be scrolled or opened: what is printed is all there, up to a limit.

const TIMELINE_PRINTED = 24, TABLE_PRINTED = 200; // rows; those of the timeline fit on a page
const PRINTED_WIDTH = 800; // of the timeline, which is scaled to the paper

// viewToDraw is what is shown or, for paper, the first rows of it: those that a reader needs most.
function viewToDraw(most) {
  if (!state.printing || state.view.length <= most) return state.view;
  const last = [...state.view].sort((a, b) => a - b)[most - 1];
  return state.view.filter((i) => i <= last);
}

let opened = []; // for the paper alone

function beginPrint() {
  if (state.printing) return;
  state.printing = true;
  opened = [...document.querySelectorAll('details:not([open])')];
  for (const details of opened) details.open = true;
  const left = (most, what) => state.view.length > most ? `${what}: ${grouped(most)} of ${grouped(state.view.length)} connections are printed. ` : '';
  byId('printed').textContent = left(TIMELINE_PRINTED, 'Timeline') + left(TABLE_PRINTED, 'Table');
  drawTable();
  drawTimeline();
}

function endPrint() {
  if (!state.printing) return;
  state.printing = false;
  for (const details of opened) details.open = false;
  drawTable();
  drawTimeline();
}

function watchPrint() {
  const paper = matchMedia('print');
  paper.addEventListener('change', () => paper.matches ? beginPrint() : endPrint());
  window.addEventListener('beforeprint', beginPrint);
  window.addEventListener('afterprint', endPrint);
}
