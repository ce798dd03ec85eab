// Behaviours of the pages: no framework, no eval, no inline handlers, everything by delegation, so that swaps need no set-up.
// The server decides about locks and sends; this shows, asks and keeps what was typed.
export const $ = (s, r = document) => r.querySelector(s), $$ = (s, r = document) => [...r.querySelectorAll(s)];
export const on = (names, f, o) => names.split(' ').forEach(n => addEventListener(n, f, o));
export const conv = () => $('#conversation[data-id]');
const strip = () => $('#lock'), state = () => strip()?.dataset.state ?? '';
const path = (...p) => ['/c', conv().dataset.id, ...p].join('/');
const HOLDING = ['mine', 'idle'], WRITABLE = ['free', 'waiting', ...HOLDING];
export const token = () => JSON.parse(document.body.getAttribute('hx-headers:inherited') || '{}')['X-CSRFToken'] ?? '';
const store = { get: k => { try { return localStorage[k]; } catch { return undefined; } }, set: (k, v) => { try { v ? localStorage[k] = v : localStorage.removeItem(k); } catch { /* private mode */ } } };

/* 1. announcer: one polite and one assertive region, cleared so that a repeat is read again */
let said = 0, late = 0, more = 0;
export function say(text, urgent) {
  const r = $(urgent ? '#live-now' : '#live'); if (!r) return;
  if (!urgent) { said = Date.now(); more = 0; clearTimeout(late); }
  r.textContent = ''; setTimeout(() => r.textContent = text, 60);
}
function news(text) {  // what others did: at most one every three seconds, the newest
  const wait = said + 3e3 - Date.now(); clearTimeout(late); more += wait > 0;
  if (wait > 0) late = setTimeout(() => say(more > 1 ? `${text} And ${more - 1} more.` : text), wait); else say(text);
}
on('news', e => news(e.detail));
export function toast(...parts) { const t = document.createElement('div'); t.className = 'toast'; t.append(...parts); $('#toasts')?.replaceChildren(t); toasts(); return t; }
let toastTimer = 0;
function toasts() {
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { const t = $('#toasts'); if (t?.matches(':hover, :focus-within')) toasts(); else t?.replaceChildren(); }, 6000);
}

/* 2. requests of our own: the answer is swapped like any other; false means the server was not reached */
async function ask(url, values, { method = 'POST', keepalive = false } = {}) {
  let r;
  try {
    r = await fetch(url, { method, keepalive, body: values && new URLSearchParams(values), headers: { 'HX-Request': 'true', 'X-CSRFToken': token(), Accept: 'text/html' } });
  } catch { reached(false); return 0; }
  reached(r.status < 500);
  const go = r.headers.get('HX-Redirect'); if (go) { location.href = go; return r.status; }
  if (r.status === 204 || r.status >= 500) return r.status;
  await htmx.swap({ sourceElement: document.body, target: r.headers.get('HX-Retarget') || document.body, swap: r.headers.get('HX-Retarget') ? r.headers.get('HX-Reswap') || 'innerHTML' : 'none', text: await r.text(), transition: false });
  return r.status;
}

/* 3. two swap styles: `upsert` puts things in their place by data-key, `window` also takes away what is no longer there */
const key = e => +e.dataset.key;
function place(box, el) {
  const things = [...box.children].filter(c => c !== el && c.dataset.key !== undefined && c.id !== 'older');
  const after = box.dataset.order === 'desc' ? things.find(c => key(c) < key(el)) ?? box.querySelector(':scope > #more') : things.find(c => key(c) > key(el));
  after ? after.before(el) : box.append(el);
}
function upsert(box, fragment) {
  const put = [], gap = !fragment.querySelector('#later') && box.querySelector(':scope > #later'), busy = box.id === 'rows' && box.matches(':hover, :focus-within');
  for (const el of [...fragment.children]) {
    if (!el.id || el.id === 'more') continue;
    const old = document.getElementById(el.id);
    if (!old && box.querySelector(':scope > #more') && key(el) < key($$('.conv-row', box).pop() ?? el)) continue;  // further down than the page has loaded
    if (!old && gap && key(el) <= key(gap)) continue;  // between what the thread shows and its end
    if (!old) { place(box, el); if (box.id === 'rows') newer(el); arrived(el); }
    else if (old.className === 'day' || el.dataset.kind === 'call' && old.isEqualNode(el)) continue;  // a voicemail goes on playing
    else if (old.under) { old.under = el; continue; }  // a finger is on it: afterwards
    else {
      const focused = old.contains(document.activeElement) && document.activeElement.matches('a'), moved = old.dataset.key !== el.dataset.key;
      old.replaceWith(el);
      if (moved && busy) box.dataset.untidy = '1'; else if (moved) place(box, el);
      if (focused) $('a', el)?.focus({ preventScroll: true });
      if (el.dataset.kind === 'call' && old.dataset.state !== el.dataset.state) arrived(el);
    }
    put.push(el);
  }
  box.querySelector(':scope > #later[hidden]')?.remove();  // the thread is whole to its end
  return put;
}
function tidy() { const box = $('#rows[data-untidy]'); if (!box || box.matches(':hover, :focus-within')) return; delete box.dataset.untidy; for (const el of $$('.conv-row', box).sort((a, b) => key(b) - key(a))) box.insertBefore(el, $('#more', box)); }
function windowed(box, fragment) {
  const fresh = [...fragment.children].filter(e => e.dataset.key), ids = new Set(fresh.map(e => e.id)), more = fragment.querySelector('#more');
  const edge = more ? Math.min(...fresh.map(key)) : -Infinity;
  for (const el of $$('.conv-row', box)) if (!ids.has(el.id) && key(el) >= edge) el.remove();
  const put = upsert(box, fragment);
  if (!more) $('#more', box)?.remove(); else if (!$('#more', box) && $$('.conv-row', box).length <= fresh.length) { box.append(more); put.push(more); }
  return put.length ? put : [box];
}
htmx.config.defaultSettleDelay = 0;  // settling copies style attributes, which the policy forbids
htmx.registerExtension('place', { handle_swap: (style, target, fragment) => style === 'upsert' ? upsert(target, fragment) : style === 'window' ? windowed(target, fragment) : false });
on('pointerout focusout', e => { if (e.target.closest?.('#rows')) setTimeout(tidy, 200); });
function newer(el) {
  const box = $('#list-scroll'); if (!box || box.scrollTop < 60 || el !== $('#rows .conv-row')) return;
  const b = $('#newer') ?? Object.assign(document.createElement('button'), { id: 'newer', className: 'btn sm', type: 'button' });
  b.dataset.n = +(b.dataset.n ?? 0) + 1; b.textContent = `${b.dataset.n} new ↑`; box.before(b);
}
on('click', e => { if (e.target.id === 'newer') { $('#list-scroll').scrollTo({ top: 0, behavior: 'smooth' }); e.target.remove(); } });

let moved = 0;
on('scroll', e => { if (e.target.id === 'list-scroll') { clearTimeout(moved); moved = setTimeout(() => import('./depth.js').then(m => m.keep(e.target)), 150); } }, { passive: true, capture: true });
if (performance.getEntriesByType('navigation')[0]?.type === 'back_forward' && $('#list')) import('./depth.js').then(m => m.back());

/* 4. what came in: announced once, and seen unless a reply is being written */
const newestIn = () => Math.max(+($('#seen')?.value ?? 0), ...$$('#thread [data-kind=in]').map(m => +m.id.slice(2)));
function see() { const s = $('#seen'), b = $('#body'); if (s && b && !b.value.trim()) s.value = newestIn(); }
let reading = 0;
function arrived(el) {
  const call = el.dataset.kind === 'call';
  if (el.dataset.kind !== 'in' && !call) return;
  const c = conv(); if (c) news(call ? $('b', el).textContent : `${c.dataset.first}: ${$('.bub', el)?.textContent.slice(0, 120) ?? 'a picture'}`);
  if (call && !['missed', 'voicemail'].includes(el.dataset.state)) return;
  if (c && document.visibilityState === 'visible' && $('#composer:not(.bare)')) { clearTimeout(reading); reading = setTimeout(() => conv() === c && ask(path('reading'), { value: 'read' }), 400); }
}

/* 5. the lock: shown, kept alive, prompted for, given back */
let was = '', wasId = '', skew = 0, active = false, beaten = 0, heard = 0, prompted = false, warned = false, held = false;
const serverNow = () => Date.now() + skew;
function lockChanged() {
  const l = strip(), c = conv(), id = c?.dataset.id ?? '';
  if (!l || !c) { was = wasId = ''; return; }
  if (!l.known) { l.known = true; skew = +l.dataset.now - Date.now(); if (HOLDING.includes(l.dataset.state)) beaten = Date.now(); }
  const now = l.dataset.state, moved = was !== now || wasId !== id;
  writable();
  if (moved) {
    const name = l.dataset.holder ?? 'A teammate', had = wasId === id ? was : '';
    if (now === 'mine' && had !== 'idle') say('You hold this conversation.');
    if (now === 'theirs') news(`${name} is replying. Sending is off.`);
    if (now === 'taken') { save(true); say(`${name} took over. Your text is saved as a draft.`, true); }
    if (now === 'expired' && HOLDING.includes(had)) { save(true); say('The conversation was unlocked. Your draft is saved.', true); }
    if (now === 'free' && had === 'theirs') news('Nobody is replying now.');
    if (had === 'waiting') { save(true); location.reload(); }  // the carriers decided: the form sends now
    if (!HOLDING.includes(now)) { const d = $('#idle'); if (d?.open) d.close('gone'); prompted = warned = false; }
    if (!HOLDING.includes(had) || had === '') { active = false; }
    was = now; wasId = id;
    hands(); if (HOLDING.includes(now) && !HOLDING.includes(had)) show();  // the socket learns which fence this page holds
  }
  tick();
}
function writable() {
  const b = $('#composer #body'), off = !$('#offline')?.hidden, can = WRITABLE.includes(state());
  if (!b) return;
  b.readOnly = !can;
  b.placeholder = can ? 'Write a reply, or type / for templates' : 'You can add a note meanwhile';
  for (const s of $$('#send, #send-more, #send-archive, #anyway')) { s.disabled = !can || off; s.title = off && can ? 'Sending is paused until the connection is back.' : can ? '' : $('#lock p')?.textContent.trim() ?? ''; }
}
const clockText = s => `${s / 60 | 0}:${String(s % 60).padStart(2, '0')}`;
export function tick() {
  const l = strip(), c = conv();
  if (!l || !c || !HOLDING.includes(l.dataset.state)) return;
  const left = Math.max(0, +l.dataset.until - serverNow()), s = Math.ceil(left / 1e3), d = $('#idle');
  l.style.setProperty('--left', Math.min(1, left / (l.dataset.hold * 1e3)));  // through the CSSOM, which a strict style-src allows
  for (const n of [...$$('.num', l), ...$$('#idle .num')]) n.textContent = clockText(s);
  if (!s) { if (l.dataset.asked !== '1') { l.dataset.asked = '1'; if (d?.open) d.close('gone'); save(true); sync().then(ok => { if (!ok && strip() === l) { l.dataset.state = 'expired'; lockChanged(); } }); } return; }
  const often = Math.min(l.dataset.beat * 1e3, Math.max(1e3, l.dataset.hold * 1e3 / 12));  // input restarts the clock, but not with every key
  if (active && !d?.open && (serverNow() >= +l.dataset.prompt || Date.now() - heard >= often)) { renew(); return; }
  if (serverNow() >= +l.dataset.prompt) {
    if (!prompted && d && !d.open && !$('dialog:modal')) { prompted = true; d.back = caret(); d.showModal(); if (document.hidden) title('⏳ Still working?'); }
    if (s <= 20 && !warned) { warned = true; say('Twenty seconds until this conversation unlocks.', true); }
  }
  if (Date.now() - beaten >= l.dataset.beat * 1e3) renew();
}
function renew(now = false) {
  const c = conv(); if (!c || !HOLDING.includes(state())) return;
  beaten = Date.now(); const a = active || now; active = false;
  if (a) { heard = Date.now(); prompted = warned = false; title(''); }
  return ask(path('lock/renewal'), { fence: $('#fence').value, active: a ? 1 : 0 }).then(status => { if (!status && a) active = true; });
}
let keeping = false;  // taking over reloads the page with the lock in hand
function release(beacon) {
  const c = conv(); if (!c || keeping || !HOLDING.includes(state()) || !+$('#fence')?.value) return;
  save(true);
  const data = new URLSearchParams({ csrf_token: token(), fence: $('#fence').value });
  if (beacon) navigator.sendBeacon(path('lock/release'), data); else ask(path('lock/release'), Object.fromEntries(data), { keepalive: true });
}
on('keydown pointerdown wheel touchmove input', e => { if (e.target.closest?.('#conversation') && !$('#idle')?.open) active = true; }, { passive: true, capture: true });
on('scroll', e => { if (e.target.closest?.('.thread-scroll') && !$('#idle')?.open) active = true; }, { passive: true, capture: true });
on('close', e => {
  if (e.target.id !== 'idle') return;
  const v = e.target.returnValue; e.target.returnValue = '';
  if (v === 'release') release(); else if (v !== 'gone') { renew(true); say('Still yours. The timer restarted.'); }
  e.target.back?.();
}, true);
on('pagehide', () => release(true));
on('pageshow', e => { if (e.persisted) sync(); });
let beats = null;
function hands() {  // timers of hidden tabs are slowed down; a worker's are not
  const want = HOLDING.includes(state());
  if (want && !beats) { beats = new Worker(new URL('beat.js', import.meta.url)); beats.onmessage = tick; }
  if (!want && beats) { beats.terminate(); beats = null; }
}
setInterval(tick, 250);

/* 6. connection: the socket brings news, plain HTTP is the fallback, a badge says which */
let socket = null, live = false, lost = 0, tries = 5, closedAt = 0, known = !document.documentElement.dataset.kept;
function reached(ok) { known ||= ok; lost = ok ? 0 : lost || Date.now(); badge(); }
function badge() {
  const b = $('#badge'), s = live && !lost ? 'live' : lost || !navigator.onLine ? 'offline' : closedAt ? 'delayed' : 'starting';
  if (b && b.dataset.state !== s) { b.dataset.state = s; $('.words', b).textContent = { live: 'Live', delayed: 'Delayed', offline: 'Offline', starting: 'Connecting' }[s]; }
  const o = $('#offline'), off = !known || s === 'offline' && (!lost || Date.now() - lost > 3000);
  if (off !== document.body.hasAttribute('data-offline')) import('./offline.js').then(m => m.set(off), () => {});
  if (o && o.hidden === off) { o.hidden = !off; say(off ? 'Connection lost. Keep typing; sending is paused.' : 'Back online.'); }
  writable();
}
function show() {
  if (!live || socket?.readyState !== 1) return;
  const c = conv(), l = $('#list'), r = $('h1#conv-title');
  socket.send(JSON.stringify({ show: { inbox: l?.dataset.inbox, view: l?.dataset.view, filter: l?.dataset.filter, now: +(l?.dataset.now ?? 0), conversation: c?.dataset.id, fence: +($('#fence')?.value ?? 0), state: state(), message: newest('m'), event: newest('e'), heading: r ? 'h1' : 'h2' } }));
  if (l) l.dataset.now = Math.max(+l.dataset.now, serverNow() - 5000 | 0 || 0);
}
const newest = p => Math.max(0, +(conv()?.dataset[p === 'e' ? 'event' : 'message'] ?? 0), ...$$(`#thread > [id^="${p}-"]`).map(m => +m.id.slice(2)));
async function sync() {
  const c = conv(), l = $('#list'); let ok = true;
  if (c) { const u = new URL(c.dataset.sync, location); u.searchParams.set('since', newest('m')); u.searchParams.set('event', newest('e')); u.searchParams.set('lock', $('#fence')?.value ?? 0); if ($('h1#conv-title')) u.searchParams.set('heading', 'h1'); const s = await ask(u, null, { method: 'GET' }); ok = s === 200; if (s === 404) location.reload(); }
  if (l && ok) ok = (await ask(l.dataset.sync, null, { method: 'GET' })) === 200;
  return ok;
}
function connected(connection) { socket = connection.socket; live = true; reached(true); show(); }
addEventListener('htmx:ws:after:connection', e => connected(e.detail.connection));
addEventListener('htmx:ws:close', e => { live = false; closedAt ||= Date.now(); badge(); if (e.detail.code === 4401) { save(true); location.reload(); } });
addEventListener('htmx:ws:error', () => { closedAt ||= Date.now(); badge(); });
addEventListener('htmx:ws:after:message:incoming', async e => {
  const text = await e.detail.message.text(); if (text[0] !== '{') return;
  const told = JSON.parse(text);
  if (told.with) import(`./${told.with}.js`).then(m => m.heard(told));
  if (told.shown) { if (closedAt) sync(); closedAt = 0; badge(); }
  if (told.resync) sync();
  if (told.changed) for (const el of $$(`[data-live~="${told.changed}"]`)) htmx.trigger(el, 'changed');
});
setInterval(() => {
  if (live && !lost) return;
  tries -= 1; const n = $('#offline .num'); if (n) n.textContent = Math.max(1, tries);
  if (tries > 0) return;
  tries = 5; closedAt ||= Date.now();
  if (conv() || $('#list')) sync(); badge();
}, 1e3);
on('online offline', () => { badge(); tries = 1; });
on('click', e => { if (e.target.closest('[data-retry]')) tries = 1; });

/* 7. drafts: on the server as you type, in this browser as a net; composer.js counts and attaches, and hears of what changed here */
const count = () => dispatchEvent(new Event('composer'));
let timer = 0;
const local = kind => `draft:${conv()?.dataset.id}:${kind}`;
function save(now) {
  const c = conv(), f = $('#composer[data-draft]'); if (!c || !f) return;
  clearTimeout(timer);
  const late = ['body', 'note'].map(id => document.getElementById(id)).filter(t => t?.dirty);
  const send = () => late.forEach(t => { t.dirty = false; ask(f.dataset.draft, { kind: t.id === 'note' ? 'note' : 'reply', body: t.value, nonce: $('#nonce').value }, { keepalive: t.value.length < 20000 }).then(s => { if (!s) t.dirty = true; }); });
  if (now) send(); else timer = setTimeout(save, 600, true);
}
function restore() {
  for (const [id, kind] of [['body', 'reply'], ['note', 'note']]) {
    const t = document.getElementById(id), kept = store.get(local(kind));
    if (t && kept && !t.value) { t.value = kept; t.dirty = true; }
  }
  count();
}
function clear(id) { const t = document.getElementById(id); if (!t) return; t.value = ''; t.dirty = false; store.set(local(id === 'note' ? 'note' : 'reply'), ''); clearTimeout(timer); count(); }
on('input', e => {
  const t = e.target; if (!t.matches?.('#body, #note')) return;
  if (conv()) { t.dirty = true; store.set(local(t.id === 'note' ? 'note' : 'reply'), t.value); save(); }
  if (t.id === 'body') { if (conv() && !t.value.trim()) see(); if (state() === 'free' && t.value && conv()) take(); }
});
let taking = false;
function take() { if (taking) return; taking = true; ask(path('lock'), {}).finally(() => taking = false); }
on('change', e => { if (e.target.name === 'kind') pick(e.target.value); });
on('submit', e => { if (e.target.matches('[data-forget]')) for (const k of Object.keys(localStorage)) if (k.startsWith('draft:')) localStorage.removeItem(k); });
on('click', e => {
  if (e.target.closest('[data-keep]')) renew(true);
  if (e.target.closest('[data-to-note]')) { const n = $('#note'); n.value = [n.value, $('#body').value].filter(Boolean).join('\n'); n.dirty = true; pick('note'); save(); }
  if (e.target.closest('#takeover .primary')) { save(true); keeping = true; }
});
function pick(kind) { const k = $('#kind-' + kind); if (k) { k.checked = true; count(); $(kind === 'note' ? '#note' : '#body')?.focus(); } }

/* 10. answers of forms */
on('sent sent-archived scheduled', e => { clear('body'); const f = $('#draft-from'), t = e.type; if (f) f.hidden = true; say(t === 'scheduled' ? 'Scheduled.' : 'Sent.'); for (const m of $$('[popover]:popover-open')) m.hidePopover(); if (t === 'sent-archived') archived(); else $('#body')?.focus(); });
on('released', () => { clearTimeout(timer); $('#body').dirty = false; store.set(local('reply'), ''); });  // the server has it, and may send it any time
on('noted', () => { clear('note'); say('Note added.'); $('#note')?.focus(); });
on('archived', archived);
const beside = {};  // rows that left -> the row next to them
function leaving(row) {
  const next = row.matches(':has(+ .conv-row)') ? row.nextElementSibling : row.previousElementSibling;
  beside[row.id] = next?.id; if (row.contains(document.activeElement)) ($('a', next ?? row.ownerDocument.createElement('i')) ?? $('#list')).focus({ preventScroll: true });
}
function archived() {
  const id = 'row-' + conv()?.dataset.row, row = document.getElementById(id);
  if (row) { leaving(row); if ($('#list')?.dataset.view !== 'archived') row.remove(); }
  document.getElementById(beside[id])?.querySelector('a[hx-get]')?.click();
}

/* 11. around swaps: leaving releases, focus is never lost, rows know which one is open */
addEventListener('htmx:after:request', e => {  // drawn anew while its answer was under way: the answer still counts; of another conversation, its toast
  const x = e.detail.ctx; if (x.swap !== 'none' || !x.target || x.target.isConnected) return;
  x.late = x.target.closest('#conversation')?.dataset.id !== conv()?.dataset.id; x.target = document.body;
});
addEventListener('htmx:before:swap', e => {
  if (e.detail.ctx?.late) { const all = e.detail.tasks; for (let i = all.length; i--;) if (all[i].target?.id !== 'toasts') all.splice(i, 1); }
  const strips = (e.detail.tasks ?? []).filter(t => t.target?.id === 'lock'), old = strip();
  const late = n => +n.now < +old.dataset.now || n.of !== old.dataset.of;  // the socket and an answer may cross: the newer wins; nor is another thread's ours
  for (const t of strips) if (old && t.fragment.firstElementChild && late(t.fragment.firstElementChild.dataset)) {
    const all = e.detail.tasks; for (let i = all.length; i--;) if (['lock', 'fence'].includes(all[i].target?.id)) all.splice(i, 1);
    break;
  }
  for (const t of e.detail.tasks ?? []) if (t.swapSpec?.style === 'delete' && t.target?.matches?.('.conv-row')) leaving(t.target);
  for (const t of e.detail.tasks ?? []) if (t.target?.id === 'more') for (const r of t.fragment.querySelectorAll('.conv-row')) if (document.getElementById(r.id)) r.remove();
  const main = e.detail.tasks?.find(t => t.target?.id === 'conversation' && t.swapSpec?.style === 'outerHTML'); if (!main) return;
  if (main.fragment.querySelector('#conversation')?.dataset.id !== conv()?.dataset.id) release();
});
export function caret(e = document.activeElement) {  // the focus and its caret, to be given back: a field behind a dialog loses its caret
  const at = e.matches('textarea') && [e.selectionStart, e.selectionEnd];
  return () => { const to = e.isConnected ? e : e.id && document.getElementById(e.id); if (!to) return false; to.focus({ preventScroll: true }); if (at) to.setSelectionRange(...at); return true; };
}
let seat = null, region = '';  // where the focus was, and what is around it
on('focusin', e => { seat = e.target; region = seat.closest('section[id]')?.id; });
function keep() {  // what had the focus is gone: its successor takes it, or what was around it
  if (document.activeElement !== document.body || !seat || seat.disabled || seat.checkVisibility()) return;
  for (const id of [seat.id, region, 'conversation', 'list', 'main']) { const n = id && document.getElementById(id); if (n && n.checkVisibility()) { n.focus({ preventScroll: true }); if (document.activeElement === n) return; } }
}
setInterval(keep, 200);
addEventListener('htmx:before:request', e => { const t = e.detail.ctx?.target; t?.setAttribute?.('aria-busy', 'true'); if (t?.id === 'conversation') modules(); });
addEventListener('htmx:finally:request', e => e.detail.ctx?.target?.removeAttribute?.('aria-busy'));
const modules = () => { for (const name of ['thread', 'counter', 'composer']) import(`./${name}.js`); };  // only where there is a conversation
let opened = conv()?.dataset.id ?? '';
function spot() {  // back in a list, at the row that was open
  const l = $('#list')?.dataset.sync, c = conv()?.dataset.row; if (!l) return;
  if (c) sessionStorage[l] = c;
  document.getElementById('row-' + sessionStorage[l])?.scrollIntoView({ block: 'nearest' });
}
function settled() {
  const c = conv(), id = c?.dataset.id ?? '';
  if (id !== opened) { opened = id; spot(); prompted = warned = false; if (c) { const p = $('.panes'); if (p) p.dataset.pane = 'conv'; restore(); show(); say(`Conversation with ${c.dataset.name}`); if (innerWidth < 720) c.focus({ preventScroll: true }); } }
  for (const r of $$('.conv-row')) r.id === 'row-' + c?.dataset.row ? r.setAttribute('aria-current', 'true') : r.removeAttribute('aria-current');
  see(); lockChanged(); title(); badge(); if (c) modules();
  if ($('#toasts')?.children.length) toasts();
  if ($('[data-undo],[data-anyway]')) import('./undo.js');
}
addEventListener('htmx:after:swap', e => {
  if (e.detail.ctx?.response?.status >= 400 && e.detail.ctx.request.action.endsWith('/takeover')) keeping = false;
  settled();
  const t = e.detail.ctx?.target, f = t?.querySelector?.('[aria-invalid=true]') || t?.querySelector?.('[data-focus]');
  if (f) f.focus({ preventScroll: !f.matches('[aria-invalid]') });
  const refused = $('#refusal [role=alert]'); if (refused && !refused.told) { refused.told = true; const s = $('#seen'); if ($('#anyway') && s) s.value = newestIn(); ($('#anyway') ?? $('#body:not([readonly])'))?.focus({ preventScroll: true }); }
  if (t?.id === 'menu' && !t.matches(':popover-open')) { const o = e.detail.ctx.sourceElement, m = o?.closest?.('#more-menu, #send-menu'); m?.hidePopover(); t.opener = m ? $(`[popovertarget=${m.id}]`) : o; t.showPopover(); $('.in,button.item', t)?.focus(); }
  else if (!['picks', 'schedule-hint'].includes(t?.id) && e.detail.ctx?.sourceElement?.closest?.('#menu, #more-menu')) { for (const m of $$('[popover]:popover-open')) m.hidePopover(); }
  if (t?.id === 'ask' && !t.open) { t.showModal(); $('input:not([type=hidden])', t)?.focus(); }
});
addEventListener('htmx:after:history:push', () => { const p = $('.panes'); if (p && /^.(i|work)./.test(location.pathname)) p.dataset.pane = 'list'; });
let mark = '';  // what a tab that nobody looks at says first
export function title(now = mark) {
  const n = $('#nav [data-go=mine] .count')?.firstChild?.data?.trim(), bare = document.title.replace(/^(?:[⏳🔓].*? · )?(?:\(\d+\+?\) )?/u, '');
  mark = now; document.title = (mark && `${mark} · `) + (n ? `(${n}) ` : '') + bare;
}
on('visibilitychange', () => { if (!document.hidden && mark.startsWith('🔓')) title(''); });

/* 12. popovers sit beside what opened them */
addEventListener('toggle', e => {
  const p = e.target; if (!p.matches?.('.menu[popover]') || e.newState !== 'open') return;
  const o = p.opener ?? $(`[popovertarget="${p.id}"]`); if (!o) return;
  const r = o.getBoundingClientRect(), w = p.offsetWidth, h = p.offsetHeight;
  p.style.left = Math.max(8, Math.min(r.left, innerWidth - w - 8)) + 'px';
  p.style.top = (r.bottom + 4 + h > innerHeight ? Math.max(8, r.top - h - 4) : r.bottom + 4) + 'px';
}, true);
on('click', e => {
  const o = e.target.closest('[data-open]'); if (o) { o.closest('[popover]')?.hidePopover(); document.getElementById(o.dataset.open)?.showModal(); }
  if (e.target.closest('[data-close]') && $('dialog[open]')) { e.preventDefault(); $('dialog[open]').close(); }
  if (e.target.closest('[data-drawer]')) { e.target.closest('[popover]')?.hidePopover(); drawer(); }
  else if (!e.target.closest('#details')) $('#details.open')?.classList.remove('open');
});

function drawer() {  // on a phone a sheet over everything, which the device's own Back closes
  const d = $('#details'), open = d?.classList.contains('open'); if (!d) return;
  if (open && history.state?.sheet) { history.back(); return; }
  d.classList.toggle('open');
  if (!open && innerWidth < 720) { history.pushState({ ...history.state, sheet: 1 }, ''); $('[data-drawer]', d)?.focus(); }
}
function sheetBack() { const d = $('#details.open'); if (!d || innerWidth >= 720) return false; d.classList.remove('open'); $('[popovertarget=more-menu]')?.focus(); return true; }
let wasSheet = false;  // htmx hears of it too, and would fetch the page again
addEventListener('popstate', () => { wasSheet = sheetBack(); }, true);
addEventListener('htmx:before:history:restore', e => { if (wasSheet || sheetBack()) e.preventDefault(); wasSheet = false; });
on('pointerdown', e => {
  if (e.pointerType !== 'touch' || !e.target.closest?.('#rows .conv-row')) return;
  let up = false; on('pointerup pointercancel', () => up = true, { once: true });
  import('./phone.js').then(m => up || m.down(e));  // the module may come after the finger has gone
});

/* 13. keys: single letters only outside fields, off when the profile says so */
const inField = e => e.target.closest?.('input:not([type=checkbox],[type=radio]), textarea, select, [contenteditable]');
const press = s => () => $(s)?.click();
function step(d) { const l = $$('.conv-row a'), i = l.indexOf(document.activeElement), c = i < 0 ? l.findIndex(a => a.closest('[aria-current]')) : i; l[Math.max(0, Math.min(l.length - 1, c + d))]?.focus(); }
const onRow = f => () => document.activeElement.closest('.conv-row') && f();
const pickRow = up => import('./select.js').then(m => m.toggle(up));
on('change', e => e.target.name === 'c' && import('./select.js'));
const KEYS = {
  j: () => step(1), k: () => step(-1), ArrowDown: onRow(() => step(1)), ArrowUp: onRow(() => step(-1)), o: onRow(() => document.activeElement.click()),
  r: () => { pick('reply'); if (state() === 'free' && conv()) take(); }, n: () => pick('note'), e: press('#archive'), a: press('#assignee'), h: press('#snooze'), t: press('#tag'), x: () => pickRow(), X: () => pickRow(true),
  i: () => { const a = $('#assignee'); if (a) ask(a.dataset.action, { to: 'me', expected: a.dataset.expected }); },
  u: press('[aria-keyshortcuts=u]'), U: () => $('[aria-keyshortcuts=u]') && ask(path('reading'), { value: 'read' }), l: press('#lock-release'), c: press('[aria-keyshortcuts=c]'), '?': () => $('#keys')?.showModal(), '/': () => $('#q') ? $('#q').focus() : $('[href="/search"]')?.click(), '[': () => hide('list'), ']': () => innerWidth < 1240 ? $('[data-drawer]')?.click() : hide('side'), g: 'chord',
};
function hide(pane) {  // wide screens only; kept in this browser
  const r = document.documentElement, on = new Set((store.get('hide') ?? '').split(' ').filter(Boolean));
  if (pane && conv()) on[on.has(pane) ? 'delete' : 'add'](pane);
  store.set('hide', [...on].join(' ')); r.dataset.hide = conv() ? [...on].join(' ') : '';
  if (pane && conv()) { say(`${pane === 'list' ? 'List' : 'Details'} ${on.has(pane) ? 'hidden' : 'shown'}.`); if (document.activeElement.offsetParent === null) conv().focus({ preventScroll: true }); }
}
const mods = {}, load = n => import(`./${n}.js`).then(m => mods[n] = m);
const open = b => { const n = b?.dataset.with; if (n) mods[n] ? mods[n].open(b) : load(n).then(m => m.open(b)); };
on('click', e => { const b = e.target.closest('[data-with]'); if (b && !e.button && !(e.metaKey || e.ctrlKey || e.shiftKey)) { e.preventDefault(); open(b); } });
on('press', e => KEYS[e.detail]());
const GO = { i: 'mine', u: 'unassigned', o: 'others', a: 'all', d: 'archived', m: 'work', s: 'snoozed' };
let chord = 0;
addEventListener('keydown', e => {
  if (e.isComposing || e.defaultPrevented) return;
  const mod = e.metaKey || e.ctrlKey;
  if (mod && e.key === 'Enter' && e.target.form?.id === 'composer') { e.preventDefault(); (e.target.id === 'note' ? $('#add-note') : e.shiftKey ? $('#send-archive') : $('#anyway') ?? $('#send'))?.click(); return; }
  if (mod && e.key === 'Enter' && e.target.form) { e.preventDefault(); e.target.form.requestSubmit(); return; }
  if (/^(Control|Meta)$/.test(e.key)) { if (!mods.palette) load('palette'); return; }  // what is typed right after ⌘K belongs to it
  if (mod && e.key === 'k') { e.preventDefault(); open($('[data-with=palette]')); return; }
  if (e.key === 'Escape' && e.target.matches('textarea')) { e.target.blur(); ($('.conv-row[aria-current] a')?.checkVisibility() ? $('.conv-row[aria-current] a') : conv())?.focus(); return; }
  if (e.key === 'Escape' && innerWidth < 720 && conv() && !$('dialog:modal, [popover]:popover-open, #details.open') && !inField(e)) { $('#conv-head .only-narrow')?.click(); return; }
  if (mod || e.altKey || inField(e) || document.body.dataset.shortcuts === 'off' || $('dialog:modal')) return;
  if (chord && GO[e.key]) { e.preventDefault(); chord = 0; $(`[data-go=${GO[e.key]}]`)?.click(); return; }
  const f = KEYS[e.key]; if (!f) return;
  if (f === 'chord') { chord = 1; setTimeout(() => chord = 0, 900); return; }
  e.preventDefault(); f();
});

restore(); settled(); spot(); hide();
const wire = $('#socket');  // htmx may have started before its socket extension, and the socket before this file
if (wire) { htmx.process(wire); const c = wire._htmx?.ws?.connection; if (c?.socket?.readyState === 1 && !live) connected(c); }
if (wire) setTimeout(() => navigator.serviceWorker?.register('/sw.js').catch(() => {}), 3e3);  // not in the way of the first page
