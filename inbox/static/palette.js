// The command palette: the server's list under a field. The server says what there is and what may be done; this filters, chooses, and gives the focus back.
import { $, $$, caret } from './app.js';
const make = (tag, props = {}, ...inside) => { const e = Object.assign(document.createElement(tag), props); e.append(...inside); return e; };
const fold = t => t.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
let d, field, box, status, back, now = null, timer = 0, asked = 0, opens = 0;

function build(by) {
  document.head.append(make('link', { rel: 'stylesheet', href: by.dataset.css }));
  field = make('input', { type: 'text', id: 'palette-field', className: 'in', placeholder: 'Command, page, name or number', autocomplete: 'off', spellcheck: false, maxLength: 80, ariaLabel: 'Command, page, name or number' });
  box = make('div', { id: 'palette-box', ariaLabel: 'Commands' }); box.setAttribute('role', 'listbox');
  status = make('p', { className: 'vh' }); status.setAttribute('role', 'status');
  for (const [k, v] of Object.entries({ role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'palette-box', 'aria-autocomplete': 'list', autofocus: '' })) field.setAttribute(k, v);
  d = make('dialog', { id: 'palette', className: 'dialog palette', ariaLabel: 'Commands' }, field, box, status, make('p', { className: 'hint', textContent: '↑ ↓ choose · Enter open · Esc close' }));
  document.body.append(d);
  field.addEventListener('input', typed); field.addEventListener('keydown', keys);
  d.addEventListener('close', () => { asked++; opens++; clearTimeout(timer); if (!back()) $('#conversation[data-id], #list, #main')?.focus({ preventScroll: true }); });
  d.addEventListener('click', e => { const o = e.target.closest('[data-option]'); if (e.target === d) d.close(); else if (o) { e.preventDefault(); choose(o); } });
}
export async function open(by) {
  if (d?.open) { d.close(); return; }
  if ($('dialog:modal')) return;
  if (!d) build(by);
  for (const p of $$('[popover]:popover-open')) p.hidePopover();
  back = caret(document.activeElement === document.body ? by : document.activeElement); field.value = ''; box.replaceChildren(); d.showModal(); field.focus();
  const mine = ++opens, doc = await get({}); if (mine !== opens) return;
  if (!doc) { box.append(make('p', { className: 'muted', textContent: 'The list did not come. Close this and try again.' })); return; }
  box.append(...doc); dress(); filter();
}
async function get(args) {
  const u = new URL($('[data-with=palette]').href), c = $('#conversation[data-id]')?.dataset.id, at = $('#list')?.dataset.inbox;
  for (const [k, v] of Object.entries({ c, at, ...args })) if (v) u.searchParams.set(k, v);
  try {
    const r = await fetch(u, { headers: { 'HX-Request': 'true', Accept: 'text/html' } }), go = r.headers.get('HX-Redirect'); if (go) location.href = go;
    return r.ok ? $$('#palette-list > *', new DOMParser().parseFromString(await r.text(), 'text/html')).map(e => document.adoptNode(e)) : null;
  } catch { return null; }
}
function dress() {  // links and buttons become options: the focus stays in the field
  for (const s of $$('section', box)) { s.setAttribute('role', 'group'); for (const e of $$('h2, ul, li', s)) e.setAttribute('role', 'none'); }
  $$('[data-option]', box).forEach((o, i) => { o.setAttribute('role', 'option'); o.id = `option-${i}`; o.tabIndex = -1; o.words ??= fold(o.textContent.replace(/\s+/g, ' ').trim()); o.at ??= i; });
}
const rank = (o, words) => { let sum = 0; for (const w of words) { const p = o.words.startsWith(w) ? 3 : ` ${o.words}`.includes(` ${w}`) ? 2 : o.words.includes(w) ? 1 : 0; if (!p) return 0; sum += p; } return sum || 1; };
function filter() {  // the server has ranked what it found itself
  const words = fold(field.value).split(/\s+/).filter(Boolean), best = new Map();
  for (const s of $$('section', box)) {
    const all = $$('[data-option]', s), theirs = s.id === 'palette-found';
    for (const o of all) { o.rank = theirs ? 2 : rank(o, words); o.closest('li').hidden = !o.rank; }
    if (!theirs) $('ul', s).append(...all.sort((a, b) => b.rank - a.rank || a.at - b.at).map(o => o.closest('li')));
    best.set(s, Math.max(0, ...all.map(o => o.rank))); s.hidden = !best.get(s); s.at ??= all[0]?.at ?? 0;
  }
  box.append(...[...best.keys()].sort((a, b) => words.length ? best.get(b) - best.get(a) || a.at - b.at : a.at - b.at));
  const n = shown().length; move(0); clearTimeout(timer);
  timer = setTimeout(() => { status.textContent = n === 1 ? '1 result' : `${n || 'No'} results`; }, 500);
}
const shown = () => $$('[data-option]', box).filter(o => !o.closest('[hidden]'));
function move(to) {
  const all = shown(); now?.setAttribute('aria-selected', 'false'); now = all.length ? all[(to + all.length) % all.length] : null;
  if (!now) { field.removeAttribute('aria-activedescendant'); return; }
  now.setAttribute('aria-selected', 'true'); field.setAttribute('aria-activedescendant', now.id); now.scrollIntoView({ block: 'nearest' });
}
let search = 0;
function typed() { filter(); clearTimeout(search); search = setTimeout(find, 140); }
async function find() {
  const q = field.value.trim(), mine = ++asked, found = q.length > 1 ? await get({ q, part: 'found' }) : [];
  if (mine !== asked || !d.open || !found) return;
  const chosen = now; $('#palette-found', box)?.remove(); box.append(...found.filter(e => e.matches('section'))); dress(); filter();
  const i = shown().indexOf(chosen); if (i > 0) move(i);
}
function choose(o) {
  const why = o.ariaDisabled === 'true' ? $('small', o).textContent : '';
  if (why) { status.textContent = why; return; }
  const press = o.dataset.press; d.close();
  if (press) dispatchEvent(new CustomEvent('press', { detail: press })); else if (o.form) o.form.requestSubmit(o); else location.href = o.href;
}
function keys(e) {
  if (e.isComposing) return;
  const all = shown(), i = all.indexOf(now), to = { ArrowDown: i + 1, ArrowUp: i - 1, PageDown: Math.min(i + 8, all.length - 1), PageUp: Math.max(i - 8, 0) }[e.key];
  if (to !== undefined) { e.preventDefault(); move(to); } else if (e.key === 'Enter') { e.preventDefault(); if (now) choose(now); }
}
