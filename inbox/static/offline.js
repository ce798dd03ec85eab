// Without a connection: what is shown stays to be read, with its time; what would need the server says so and does nothing. Loaded when the connection goes.
import { $, $$, toast } from './app.js';
const kept = +document.documentElement.dataset.kept, WHY = 'You are offline. This needs a connection.';
const ACTS = 'form[method=post] button, button[form], [popovertarget=filter], #rows .pick, #bulk-page';
let off = false, stopped = [];

export function set(now) {
  if (off === now) return;
  if (!now && kept) { location.reload(); return; }
  off = now; document.body.toggleAttribute('data-offline', off);
  if (!off) { $('#as-of')?.remove(); for (const e of stopped) { e.disabled = false; e.removeAttribute('title'); } stopped = []; return; }
  const p = Object.assign(document.createElement('p'), { id: 'as-of', className: 'callout bad flat' }), head = $('#list .pane-head');
  const at = new Date(kept || Date.now()), time = at.toLocaleTimeString(document.documentElement.lang, { timeStyle: 'short' });
  p.append(Object.assign(document.createElement('span'), { textContent: `You are offline. This is as of ${Date.now() - at < 43200e3 ? time : at.toLocaleString(document.documentElement.lang, { dateStyle: 'medium', timeStyle: 'short' })}, to read only.` }));
  head ? head.after(p) : $('#main')?.prepend(p);
  stopped = $$(ACTS).filter(e => !e.disabled && !e.closest('#composer, dialog, #me-menu'));
  for (const e of stopped) { e.disabled = true; e.title = WHY; }
  const r = $('#live'); if (kept && r) setTimeout(() => r.textContent = p.textContent, 60);
}
function refuse(e) {
  e.preventDefault(); e.stopImmediatePropagation();
  toast(WHY);
}
addEventListener('click', e => { if (off && e.target.closest?.('[hx-get], [hx-post], [data-with]') && !e.target.closest('#composer')) refuse(e); }, true);
addEventListener('submit', e => { if (off && !e.target.matches('#composer, [method=dialog]')) refuse(e); }, true);
