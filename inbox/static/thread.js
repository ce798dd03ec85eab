// The thread of an open conversation: where it opens, what came while one looked further up, folded changes, links, pictures, and @ in notes.
import { $, $$, say } from './app.js';
const make = (tag, props = {}, ...inside) => { const e = Object.assign(document.createElement(tag), props); e.append(...inside); return e; };
const key = e => +e.dataset.key, box = () => $('.thread-scroll'), up = () => -(box()?.scrollTop ?? 0) > 80;

/* where it opens: at the message of the address, else where what is new begins */
let shown = null, watch = null, fresh = 0, gap = false;  // gap: later messages are not loaded yet
function open() {
  const t = $('#thread'); if (!t || t === shown) return;
  shown = t; fresh = 0; gap = !!$('#later'); $('#fresh')?.remove(); fold(t);
  const at = $('[aria-current]', t) ?? $('#unread', t);
  if (at) at.scrollIntoView({ block: at.id === 'unread' ? 'start' : 'center' });
  watch?.disconnect(); watch = new MutationObserver(changed); watch.observe(t, { childList: true });
  box().addEventListener('scroll', () => { if (!up()) seen(); }, { passive: true });
}
function changed(list) {
  const all = $$('#thread > [data-kind]'), last = all.at(-1);
  for (const { addedNodes, removedNodes } of list) for (const n of addedNodes) if (!gap && n === last && ![...removedNodes].some(r => r.id === n.id)) came(n);
  gap = !!$('#later');
  fold(shown);
}
let reading = 0;
function came(el) {
  if (document.visibilityState === 'visible' && el.dataset.kind !== 'in') { clearTimeout(reading); reading = setTimeout(post, 500); }
  if (!up()) return;
  fresh += 1;
  const b = $('#fresh') ?? make('button', { id: 'fresh', className: 'btn sm', type: 'button', onclick: () => { box().scrollTo({ top: 0 }); seen(); $('#body:not([readonly])')?.focus({ preventScroll: true }); } });
  b.textContent = `${fresh} new ↓`; $('#dock').prepend(b);
}
function seen() { fresh = 0; $('#fresh')?.remove(); }
function post() {
  const c = $('#conversation[data-id]'); if (!c) return;
  const token = JSON.parse(document.body.getAttribute('hx-headers:inherited'))['X-CSRFToken'];
  fetch(`/c/${c.dataset.id}/reading`, { method: 'POST', body: new URLSearchParams({ value: 'seen' }), headers: { 'HX-Request': 'true', 'X-CSRFToken': token } }).catch(() => {});
}

/* three and more changes in a row are one line, live ones too */
function fold(t) {
  let run = [];
  const close = () => {
    const lines = run.flatMap(e => e.matches('details') ? $$('.evt', e) : [e]);
    if (run.length > 1 && lines.length > 2) {
      const d = run.find(e => e.matches('details')) ?? make('details', { className: 'evts', id: 'g' + lines[0].id.slice(1) }, make('summary'));
      if (!d.isConnected) run[0].before(d);
      d.dataset.key = lines[0].dataset.key; d.append(...lines); $('summary', d).textContent = `${lines.length} changes`;
      for (const e of run) if (e !== d && e.matches('details')) e.remove();
    }
    run = [];
  };
  for (const e of [...t.children]) e.matches('.evt, .evts') ? run.push(e) : close();
  close();
}

/* a message's menu: its link, its words */
const words = m => $('.bub, .pre', m)?.textContent.trim() ?? '';
async function copy(text, said) { try { await navigator.clipboard.writeText(text); say(said); } catch { say('The browser does not allow copying here.'); } }
function menu(link) {
  const m = link.closest('[id^="m-"]'), text = words(m), item = (label, act) => make('button', { className: 'item', type: 'button', textContent: label, onclick: () => { pop.hidePopover(); act(); } });
  const pop = $('#message-menu') ?? $('#conversation').appendChild(make('div', { id: 'message-menu', className: 'menu', popover: 'auto' }));
  const quote = id => () => { const t = $('#' + id); if (!t) return; $(id === 'note' ? '#kind-note' : '#kind-reply').click(); t.value = `${t.value && t.value + '\n'}“${text}”\n`; t.dispatchEvent(new Event('input', { bubbles: true })); t.focus(); };
  pop.replaceChildren(item('Copy link', () => copy(link.href, 'Link copied.')));
  if (text) pop.append(item('Copy text', () => copy(text, 'Text copied.')));
  if (text && $('#note')) pop.append(item('Quote in a note', quote('note')));
  if (text && $('#body:not([readonly])')) pop.append(item('Quote in the reply', quote('body')));
  pop.opener = link; pop.showPopover(); $('button', pop).focus();
}

/* pictures: one at a time, before and after by arrows */
function picture(link) {
  const all = $$('#thread .media'), d = $('#viewer') ?? document.body.appendChild(make('dialog', { id: 'viewer', className: 'dialog viewer', ariaLabel: 'Picture' }));
  let i = all.indexOf(link);
  const image = make('img'), count = make('p', { className: 'muted num' }), save = make('a', { className: 'btn', textContent: 'Download', download: '' });
  const go = by => { i = Math.max(0, Math.min(all.length - 1, i + by)); const a = all[i]; image.src = save.href = a.href; image.alt = $('img', a).alt; count.textContent = `${i + 1} of ${all.length}`; back.disabled = !i; on.disabled = i === all.length - 1; };
  const button = (label, act) => make('button', { className: 'btn', type: 'button', textContent: label, onclick: act });
  const back = button('Previous', () => go(-1)), on = button('Next', () => go(1)), close = button('Close', () => d.close());
  d.replaceChildren(image, make('div', { className: 'acts' }, count, back, on, save, close));
  d.onkeydown = e => { if (e.key === 'ArrowLeft') go(-1); if (e.key === 'ArrowRight') go(1); };
  d.onclick = e => { if (e.target === d) d.close(); };
  d.onclose = () => all[i]?.focus(); go(0); d.showModal(); close.focus();
}
addEventListener('click', e => {
  if (e.button || e.metaKey || e.ctrlKey || e.shiftKey) return;
  const link = e.target.closest('[data-message-menu]'), media = e.target.closest('#thread .media');
  if (link) { e.preventDefault(); menu(link); } else if (media) { e.preventDefault(); picture(media); }
  const person = e.target.closest('#people [data-insert]:not([aria-disabled])'); if (person) insert(person);
});

/* @ in a note: whom to name */
const typed = n => /(?:^|[^\w@.])@([^\n@"]{0,40})$/.exec(n.value.slice(0, n.selectionStart))?.[1];
let asked = 0, chosen = -1;
function shut() { $('#people')?.remove(); chosen = -1; const n = $('#note'); if (n) { n.removeAttribute('aria-activedescendant'); n.setAttribute('aria-expanded', 'false'); } }
async function suggest(n) {
  const q = typed(n), turn = ++asked; if (q === undefined || q.split(' ').length > 4) { shut(); return; }
  const r = await fetch(`/c/${$('#conversation').dataset.id}/people?q=${encodeURIComponent(q)}`, { headers: { 'HX-Request': 'true' } }).catch(() => null);
  if (!r?.ok || turn !== asked) return;
  const list = new DOMParser().parseFromString(await r.text(), 'text/html').querySelector('#people'); shut();
  if (!list?.children.length || document.activeElement !== n) return;
  list.className = 'menu people'; n.before(document.adoptNode(list));
  for (const [k, v] of Object.entries({ role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'people', 'aria-autocomplete': 'list' })) n.setAttribute(k, v);
  move(1);
}
function move(by) {
  const all = $$('#people [data-insert]:not([aria-disabled])'); if (!all.length) return;
  chosen = (chosen + by + all.length) % all.length;
  for (const o of $$('#people [role=option]')) o.setAttribute('aria-selected', o === all[chosen]);
  $('#note').setAttribute('aria-activedescendant', all[chosen].id); all[chosen].scrollIntoView({ block: 'nearest' });
}
function insert(o) {
  const n = $('#note'), end = n.selectionStart; n.focus();
  n.setRangeText(o.dataset.insert + ' ', end - typed(n).length - 1, end, 'end'); n.dispatchEvent(new Event('input', { bubbles: true })); shut();
}
addEventListener('input', e => { if (e.target.id === 'note') suggest(e.target); });
addEventListener('focusout', e => { if (e.target.id === 'note') setTimeout(() => { if (document.activeElement?.id !== 'note') shut(); }, 200); });
addEventListener('keydown', e => {
  if (e.target.id !== 'note' || !$('#people') || e.ctrlKey || e.metaKey) return;
  const f = { ArrowDown: () => move(1), ArrowUp: () => move(-1), Escape: shut, Enter: () => { const o = $('#people [aria-selected=true]'); o ? insert(o) : shut(); } };
  f.Tab = f.Enter; if (f[e.key]) { e.preventDefault(); e.stopPropagation(); f[e.key](); }
}, true);

addEventListener('decided', () => setTimeout(() => { const b = $('#body'); if (b && document.activeElement === document.body) { b.focus(); b.setSelectionRange(b.value.length, b.value.length); } }, 80));  // what was pressed is gone
addEventListener('htmx:after:swap', () => { open(); const d = $('#ask[open]'); if (d && $('[data-done]', d)) d.close(); });
open();
