// The bell: its list beside it, lines that are read when they are opened, and news of it, also when one looks elsewhere.
import { $, conv, title, token } from './app.js';
const send = url => fetch(url, { method: 'POST', keepalive: true, headers: { 'HX-Request': 'true', 'X-CSRFToken': token() } }).catch(() => {});
let pop, list;
async function fill() {
  const r = await fetch(pop.dataset.url, { headers: { 'HX-Request': 'true', Accept: 'text/html' } }).catch(() => null), go = r?.headers.get('HX-Redirect');
  if (go) location.href = go;
  if (!r?.ok) return false;
  await htmx.swap({ sourceElement: list, target: list, swap: list.childElementCount ? 'innerMorph' : 'innerHTML', text: await r.text(), transition: false });
  return true;
}
export async function open(by) {
  if ($('.tray-page')) { location.href = by.href; return; }
  if (pop?.matches(':popover-open')) { pop.hidePopover(); return; }
  if (!pop) {
    document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: by.dataset.css }));
    pop = Object.assign(document.createElement('section'), { className: 'menu tray', id: 'tray', popover: 'auto', ariaLabel: 'Notifications', tabIndex: -1 });
    list = document.createElement('div'); pop.dataset.url = by.href;
    pop.append(list, Object.assign(document.createElement('a'), { href: by.href, textContent: 'All notifications', className: 'tray-foot' })); document.body.append(pop);
    pop.addEventListener('toggle', e => { if (e.newState === 'closed' && (!document.activeElement || document.activeElement === document.body || pop.contains(document.activeElement))) $('#bell')?.focus(); });
  }
  if (!await fill()) { location.href = by.href; return; }
  pop.opener = $('#bell') ?? by; pop.showPopover(); pop.focus({ preventScroll: true });
}
addEventListener('click', e => {
  const a = e.target.closest?.('[data-tray]'); if (!a) return;
  if (a.closest('.unread')) send(a.dataset.tray);
});
addEventListener('submit', e => {  // one line is read: it stays where it is
  const f = e.target, li = f.closest?.('.tray-line'); if (!li || !f.action.endsWith('/reading')) return;
  e.preventDefault(); send(f.action); li.classList.remove('unread'); $('.vh', li)?.remove(); const next = li.querySelector('a'); f.remove(); next.focus();
});
addEventListener('keydown', e => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[e.key], list = e.target.closest?.('#tray, .tray-lines'); if (!step || !list) return;
  const all = [...list.querySelectorAll('.tray-line > a')], i = all.indexOf(e.target.closest('.tray-line')?.querySelector('a'));
  e.preventDefault(); all[Math.max(0, Math.min(all.length - 1, i + step))]?.focus();
});

export function heard(news) {
  if (pop?.matches(':popover-open')) fill();
  if (news.tray) {
    const c = conv();
    if (c?.dataset.id === news.tray.conversation && document.hasFocus()) { const url = `/c/${c.dataset.id}/reading`; fetch(url, { method: 'POST', body: new URLSearchParams({ value: 'seen' }), headers: { 'HX-Request': 'true', 'X-CSRFToken': token() } }).catch(() => {}); }
    dispatchEvent(new CustomEvent('news', { detail: news.tray.words }));
  }
  if (news.free) free(news.free);
}
async function free({ name, url, tag }) {
  dispatchEvent(new CustomEvent('news', { detail: `${name}’s conversation is free now.` }));
  if (!document.hidden) return;
  title(`🔓 ${name} is free`);
  if (!('Notification' in window) || Notification.permission !== 'granted') return;
  const worker = await navigator.serviceWorker?.getRegistration('/');
  if (worker && !await worker.pushManager?.getSubscription()) worker.showNotification(`${name} is free`, { body: 'Nobody replies there any more.', tag, data: url });  // else the push tells
}
