// Choosing conversations: boxes, ranges, the whole page, and as a second step everything that matches. Loaded when the first box is ticked.
import { $, $$ } from './app.js';
const boxes = () => $$('#rows input[name=c]'), list = () => $('#list')?.dataset.sync;
const chosen = new Set();
let last = '', every = false, at = list(), asked = '';
function draw() {
  const f = $('#bulk'); if (!f) return;
  const all = boxes(), full = all.length > 0 && all.every(b => b.checked), more = $('#bulk-all', f), top = $('#bulk-page', f);
  top.checked = full; top.indeterminate = !full && chosen.size > 0;
  f.elements.all.value = every ? '1' : '';
  const words = every ? more.dataset.words : `${chosen.size} selected`, n = $('#bulk-n', f);
  if (n.textContent !== words) n.textContent = words;
  more.hidden = every || !full || !$('#more');
  if (!more.hidden && asked !== at) count(f, more);
}
async function count(f, more) {
  asked = at; more.textContent = 'Select all that match';
  const data = new URLSearchParams([...new FormData(f)].filter(([k]) => !['csrf_token', 'c', 'all'].includes(k)));
  try { const r = await fetch(`${f.dataset.matches}?${data}`); if (r.ok) more.textContent = await r.text(); } catch { asked = ''; }
}
function pick(box, on) { if (!on) every = false; box.checked = on; on ? chosen.add(box.value) : chosen.delete(box.value); }
function clear() { chosen.clear(); every = false; for (const b of boxes()) b.checked = false; draw(); }
function range(box, on) {
  const all = boxes(), i = all.findIndex(b => b.value === last), j = all.indexOf(box);
  for (const b of i < 0 ? [box] : all.slice(Math.min(i, j), Math.max(i, j) + 1)) pick(b, on);
}
function sync() {  // rows were drawn anew, or are another list's
  if (at !== list()) { at = list(); clear(); return; }
  const here = new Set();
  for (const b of boxes()) { here.add(b.value); b.checked = every || chosen.has(b.value); if (every) chosen.add(b.value); }
  for (const id of chosen) if (!here.has(id)) chosen.delete(id);
  draw();
}
export function toggle(upTo) {
  const row = document.activeElement?.closest('.conv-row') ?? $('.conv-row[aria-current]') ?? $('.conv-row'), box = row && $('[name=c]', row); if (!box) return;
  if (upTo) range(box, true); else pick(box, !box.checked);
  last = box.value; draw();
}
let shift = false;
addEventListener('click', e => {
  shift = e.shiftKey;
  const more = e.target.closest?.('#bulk-all'); if (!more) return;
  every = true; more.dataset.words = more.textContent.replace('Select a', 'A') + ', selected'; draw(); $('#bulk [name=action]').focus();
}, true);
addEventListener('change', e => {
  const t = e.target;
  if (t.id === 'bulk-page') { for (const b of boxes()) pick(b, t.checked); draw(); }
  if (t.name !== 'c') return;
  if (shift && last) range(t, t.checked); else pick(t, t.checked);
  last = t.value; draw();
});
addEventListener('bulk', () => { $('#bulk-dialog')?.close(); clear(); });
addEventListener('htmx:after:swap', e => {
  const t = e.detail.ctx?.target; if (t?.id === 'bulk-dialog' && t.children.length && !t.open) t.showModal();
  sync();
});
addEventListener('keydown', e => { if (e.key === 'Escape' && chosen.size && !$('dialog:modal') && !e.target.closest?.('textarea, .in, [popover]')) clear(); });
for (const b of boxes()) if (b.checked) { chosen.add(b.value); last = b.value; }
draw();
