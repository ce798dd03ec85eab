// Templates by / and emoji by : in what is being written, or by their buttons. The server finds, fills and asks; this shows its list beside the field,
// keeps the focus in the field, and puts the chosen text at the caret so that undo takes it back.
import { $, $$, caret, say, toast } from './app.js';
const TRIGGER = { templates: /(^|\s)(\/[\w-]*)$/, emoji: /(^|\s)(:[a-z]{2,})$/i };
const box = Object.assign(document.createElement('div'), { className: 'menu insert', popover: 'manual' });
let at = null;  // what is open: field, what, from (where it began), mark (1 when a sign was typed), now (which option)

const button = (field, what) => $(`[data-insert=${what}]`, field.form);
const head = field => field.value.slice(0, field.selectionStart);
const query = () => head(at.field).slice(at.from + at.mark);
const options = () => $$('[role=option]', box);

export function typed(field, how) {
  if (field.readOnly || field.selectionStart !== field.selectionEnd || !at && how?.startsWith('history')) return;
  if (at) { if (at.field === field && stays()) return find(); shut(); }
  for (const what of Object.keys(TRIGGER)) {
    const m = TRIGGER[what].exec(head(field));
    if (m && button(field, what)) { start(field, what, head(field).length - m[2].length, 1); return; }
  }
}
export function pressed(by) {
  const field = $$('#body, #note', by.form).find(t => t.offsetParent), what = by.dataset.insert;
  if (!field || field.readOnly) { say('This field takes no text now.'); return; }
  if (at?.what === what && !at.mark) { shut(); return; }
  field.focus(); start(field, what, field.selectionStart, 0);
}
function stays() {
  const q = query();
  return head(at.field).length >= at.from + at.mark && q.length < 40 && !/^\s|\n/.test(q) && (!at.mark || at.field.value[at.from] === (at.what === 'emoji' ? ':' : '/'));
}
function start(field, what, from, mark) { shut(); at = { field, what, from, mark, now: 0 }; find(); }

let timer = 0, asked = 0;
function find() { clearTimeout(timer); timer = setTimeout(load, at.shown ? 120 : 0); }
async function load() {
  if (!at) return;
  const mine = ++asked, here = at, f = at.field.form, u = new URL(button(at.field, at.what).dataset.from, location);
  u.searchParams.set('q', query());
  if (f.id === 'compose' && at.what === 'templates') for (const name of ['inbox', 'to']) u.searchParams.set(name, f.elements[name].value);
  let doc;
  try { const r = await fetch(u, { headers: { 'HX-Request': 'true', Accept: 'text/html' } }); if (!r.ok) throw r; doc = new DOMParser().parseFromString(await r.text(), 'text/html'); } catch { return shut(); }
  if (mine !== asked || at !== here) return;
  const list = $('.insert-list', doc);
  if (!list || !$('[role=option]', list) && at.mark && (at.what === 'emoji' || query().includes(' '))) return shut();
  show(list);
}
function show(list) {
  if (!box.isConnected) document.body.append(box);
  box.replaceChildren(list);
  const t = at.field, first = !at.shown;
  if (first) { box.showPopover(); at.shown = true; for (const [k, v] of Object.entries({ 'aria-controls': 'insert-list', 'aria-autocomplete': 'list', 'aria-haspopup': 'listbox' })) t.setAttribute(k, v); }
  place(t); move(0);
  const n = options().length; say(n ? `${n} ${at.what === 'emoji' ? 'emoji' : n === 1 ? 'template' : 'templates'}${first ? ', arrow keys to choose' : ''}` : list.textContent.trim());
}
function place(t) {
  const r = t.getBoundingClientRect(), h = box.offsetHeight, above = r.top - h - 6;
  Object.assign(box.style, { left: `${Math.max(8, Math.min(r.left, innerWidth - box.offsetWidth - 8))}px`, top: `${above > 8 || r.bottom + h + 6 > innerHeight ? Math.max(8, above) : r.bottom + 6}px` });
}
function move(to) {
  const all = options(); if (!all.length) { at.field.removeAttribute('aria-activedescendant'); return; }
  at.now = (to + all.length) % all.length;
  all.forEach((o, i) => o.setAttribute('aria-selected', i === at.now));
  at.field.setAttribute('aria-activedescendant', all[at.now].id); all[at.now].scrollIntoView({ block: 'nearest' });
}
export function shut() {
  clearTimeout(timer); asked++;
  if (!at) return;
  for (const k of ['aria-controls', 'aria-autocomplete', 'aria-haspopup', 'aria-activedescendant']) at.field.removeAttribute(k);
  at = null; if (box.matches(':popover-open')) box.hidePopover();
}

function choose(option) {
  if (!option) return;
  const { field, from } = at, to = field.selectionStart, spot = { field, from, to, was: field.value.slice(from, to) };
  shut();
  if (option.dataset.text) { put(spot, option.dataset.text); return; }
  const data = new FormData(), f = field.form;
  data.append('csrf_token', f.elements.csrf_token.value); data.append('kind', field.id === 'note' ? 'note' : 'reply');
  if (f.id === 'compose') for (const name of ['inbox', 'to']) data.append(name, f.elements[name].value);
  send(option.dataset.to, data, spot);
}
async function send(url, data, spot) {
  let doc;
  try {
    const r = await fetch(url, { method: 'POST', body: data, headers: { 'HX-Request': 'true', Accept: 'text/html' } }), go = r.headers.get('HX-Redirect');
    if (go) { location.href = go; return; }
    doc = new DOMParser().parseFromString(await r.text(), 'text/html');
  } catch { say('The template could not be fetched. Try again.'); return; }
  const text = $('[data-text]', doc), form = $('#asked', doc);
  if (text) { ask.close?.(); put(spot, text.dataset.text); } else if (form) question(form, spot);
  else toast(doc.body.textContent.trim()).classList.add('bad');
}
let ask = {};
function question(form, spot) {
  if (!ask.isConnected) {
    ask = Object.assign(document.createElement('dialog'), { className: 'dialog' }); ask.setAttribute('aria-labelledby', 'asked-h');
    ask.addEventListener('close', () => { ask.remove(); ask.back(); });
    (spot.field.closest('#conversation') ?? document.body).append(ask);
  }
  ask.replaceChildren(form);
  form.addEventListener('submit', e => { e.preventDefault(); send(form.action, new FormData(form), spot); });
  form.addEventListener('click', e => { if (e.target.closest('[data-dismiss]')) { e.preventDefault(); ask.close(); } });
  if (!ask.open) { ask.back = caret(spot.field); ask.showModal(); }
  ($('[aria-invalid=true]', form) ?? $$('input:not([type=hidden])', form).find(i => !i.value) ?? $('button', form)).focus();
}
function put({ field, from, to, was }, text) {
  if (!field.isConnected) return;
  field.focus();
  if (field.value.slice(from, to) === was) field.setSelectionRange(from, to);
  if (!document.execCommand('insertText', false, text)) { field.setRangeText(text, field.selectionStart, field.selectionEnd, 'end'); field.dispatchEvent(new Event('input', { bubbles: true })); }
  shut(); say('Inserted.');
}

addEventListener('keydown', e => {  // before the page's own keys: Esc closes the list first
  if (!at?.shown || e.isComposing || e.target !== at.field) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[e.key], plain = !(e.ctrlKey || e.metaKey || e.altKey || e.shiftKey);
  if (plain && step) move(at.now + step);
  else if (plain && e.key === 'Enter' && options().length) choose(options()[at.now]);
  else if (e.key === 'Escape') shut();
  else { if (e.key === 'Tab' || e.key === 'Enter') shut(); return; }
  e.preventDefault(); e.stopImmediatePropagation();
}, true);
addEventListener('focusout', e => { if (at && e.target === at.field) shut(); });
addEventListener('resize', () => { if (at?.shown) place(at.field); });
box.addEventListener('pointerdown', e => e.preventDefault());  // the field keeps the focus
box.addEventListener('click', e => { const o = e.target.closest('[role=option]'); if (o && at) choose(o); });
