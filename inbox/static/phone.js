// Fingers on rows: swipe right archives, left marks unread, holding selects. The same is in the menu and the bar of buttons; loaded when a finger first comes down.
import { $, say, toast, token } from './app.js';
const FAR = 72, LONG = 500;
let row = null, x = 0, y = 0, dx = 0, timer = 0, swiping = false, held = false, done = 0, at = [0, 0];

function act(right) {  // what that direction does to this row: words, address, values
  const view = $('#list')?.dataset.view, unread = row.classList.contains('unread');
  if (!right) return unread ? ['Mark read', 'reading', { value: 'read' }] : ['Mark unread', 'reading', { value: 'unread' }];
  if (view === 'archived') return ['Reopen', 'archival/undo', {}];
  return ['snoozed', 'spam'].includes(view) || document.body.hasAttribute('data-offline') ? null : ['Archive', 'archival', {}];
}
function free(r) {  // the finger has left it: it may be as it is by now
  const now = r?.under; if (!now) return r;
  delete r.under; if (now === true || !r.isConnected) return r;
  r.replaceWith(now); htmx.process(now); return now;
}
export function down(e) {
  const over = e.target.closest('#rows .conv-row');
  if (!over || !e.isPrimary || e.target.closest('.pick')) return;
  free(row); row = over; row.under = true; x = e.clientX; y = e.clientY; dx = 0; swiping = false;
  clearTimeout(timer); timer = setTimeout(hold, LONG);
}
function hold() {
  const box = $('.pick', row); if (!box || swiping) return;
  held = true; const now = free(row); row = null; navigator.vibrate?.(10); $('.pick', now).click();
}
function move(e) {
  if (!row || !e.isPrimary) return;
  dx = e.clientX - x;
  const dy = Math.abs(e.clientY - y);
  if (!swiping && Math.max(Math.abs(dx), dy) < 10) return;
  clearTimeout(timer);
  const what = act(dx > 0);
  if (!swiping && (dy > Math.abs(dx) || !what)) { free(row); row = null; return; }
  if (!swiping) { swiping = true; row.append(Object.assign(document.createElement('span'), { className: 'swipe' })); }
  row.dataset.swipe = dx > 0 ? 'right' : 'left'; row.toggleAttribute('data-far', Math.abs(dx) >= FAR && !!what);
  $('.swipe', row).textContent = what?.[0] ?? '';
  row.style.setProperty('--x', `${what ? dx : 0}px`);
}
function up(e) {
  clearTimeout(timer);
  if (held || swiping) at = [e.clientX, e.clientY];
  if (held) { held = false; done = Date.now(); }
  const over = row, what = over && swiping && Math.abs(dx) >= FAR && act(dx > 0); row = null;
  if (over && swiping) { done = Date.now(); settle(over); }
  const now = free(over), swiped = swiping; swiping = false;
  if (what && swiped) send(now, ...what);
}
function settle(over) { $('.swipe', over)?.remove(); delete over.dataset.swipe; over.removeAttribute('data-far'); over.style.removeProperty('--x'); }
async function send(over, words, where, values) {
  const post = (to, more) => fetch(`/c/${$('.pick', over).value}/${to}`, { method: 'POST', body: new URLSearchParams(more), headers: { 'HX-Request': 'true', 'X-CSRFToken': token(), Accept: 'text/html' } });
  let answer;
  try { answer = await post(where, values); } catch { toast('That did not reach the server. Try again.'); return; }
  const doc = new DOMParser().parseFromString(await answer.text(), 'text/html'), told = $('#toasts .toast, [hx-target="#toasts"] .toast, template', doc);
  if (!answer.ok) { toast(doc.body.textContent.trim() || 'That did not work. Reload the page and try again.'); return; }
  if (where === 'reading') {
    const unread = values.value === 'unread', back = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Undo', className: 'end' });
    over.classList.toggle('unread', unread);
    back.onclick = () => { $('#toasts').replaceChildren(); post('reading', { value: unread ? 'read' : 'unread' }); over.classList.toggle('unread', !unread); };
    toast(Object.assign(document.createElement('span'), { textContent: unread ? 'Marked unread.' : 'Marked read.' }), back); return;
  }
  const next = over.nextElementSibling ?? over.previousElementSibling; over.remove(); $('a', next ?? document)?.focus({ preventScroll: true });
  const shown = told?.content?.querySelector('.toast') ?? told;
  if (shown) { toast().replaceWith(document.adoptNode(shown)); htmx.process($('#toasts')); }
  say(words === 'Archive' ? 'Archived.' : 'Reopened.');
}
addEventListener('pointermove', move);
addEventListener('pointerup', up);
addEventListener('pointercancel', () => { clearTimeout(timer); if (row && swiping) settle(row); free(row); row = null; swiping = held = false; });
addEventListener('click', e => { if (e.isTrusted && Date.now() - done < 400 && Math.hypot(e.clientX - at[0], e.clientY - at[1]) < 24) {  // the finger comes up, wherever things have moved to
  e.preventDefault(); e.stopImmediatePropagation(); } }, true);
addEventListener('contextmenu', e => { if (e.target.closest?.('#rows .conv-row')) e.preventDefault(); });
