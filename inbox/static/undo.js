// The seconds in which a text can be taken back, counted down; and one key for a text the customer spoke before. The server decides: this only shows.
import { $ } from './app.js';
function tick() {
  for (const e of document.querySelectorAll('[data-undo]')) {
    e.end ??= performance.now() + +e.dataset.undo;
    const left = Math.ceil((e.end - performance.now()) / 1e3), n = $('.num', e);
    if (left > 0) n.textContent = `${left} s`;
    else { e.removeAttribute('data-undo'); const back = e.contains(document.activeElement); e.replaceChildren('Sending'); if (back) $('#body')?.focus(); }
  }
}
setInterval(tick, 250); tick();
addEventListener('undone', () => {
  try { localStorage.removeItem(`draft:${$('#conversation').dataset.id}:reply`); } catch { /* private mode */ }
  const b = $('#body'); b?.focus(); b?.setSelectionRange(b.value.length, b.value.length); dispatchEvent(new Event('composer'));
  const r = $('#live'); if (r) { r.textContent = ''; setTimeout(() => r.textContent = 'Taken back. It is your draft again.', 60); }
});
addEventListener('keydown', e => {
  const held = [...document.querySelectorAll('[data-anyway]')].pop();
  if (!held || e.isComposing || e.key !== 'Enter' || !(e.metaKey || e.ctrlKey) || $('#note') === e.target || $('#body')?.value.trim()) return;
  e.preventDefault(); e.stopImmediatePropagation(); held.click();
}, true);
