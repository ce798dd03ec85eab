// The role matrix: ticks with their dependencies said aloud, the bar of unsaved changes, search, one role at a time on a phone.
// The server works out who gains and loses what; a toggle itself waits for nobody.
const $ = (s, r = document) => r.querySelector(s), $$ = (s, r = document) => [...r.querySelectorAll(s)];
const form = $('#matrix'), table = $('table.matrix', form), wrap = $('.matrix-wrap', form), bar = $('#savebar'), tools = $('#role-tools');
const columns = $$('thead th[data-role]', table).map((th, i) => ({ key: th.dataset.role, name: th.dataset.name, index: i + 1 }));
const named = new Map(columns.map(c => [c.key, c.name]));
const lines = $$('tr[data-p]', table).map(tr => ({ tr, p: tr.dataset.p, title: $('.name', tr).firstChild.textContent.trim(), needs: tr.dataset.needs ? tr.dataset.needs.split(' ') : [], find: tr.dataset.find }));
const title = new Map(lines.map(l => [l.p, l.title])), needs = new Map(lines.map(l => [l.p, l.needs])), needing = new Map(lines.map(l => [l.p, lines.filter(o => o.needs.includes(l.p)).map(o => o.p)]));
const cells = new Map(), alls = [], changed = new Set();
const role = input => input.name.slice(3), cell = (key, p) => cells.get(key)?.get(p);
for (const input of $$('input[name^="on-"]', table)) { if (!cells.has(role(input))) cells.set(role(input), new Map()); cells.get(role(input)).set(input.value, input); }
for (const input of $$('input[data-all]', table)) {
  const body = input.closest('tbody'), column = columns[input.closest('td').cellIndex - 1];
  const of = $$('tr[data-p]', body).map(tr => cell(column.key, tr.dataset.p));
  input.of = of; of.forEach(i => i.all = input); alls.push(input);
}

let said = 0;
function say(text) { const r = $('#said'); clearTimeout(said); r.textContent = ''; said = setTimeout(() => r.textContent = text, 40); }
const list = words => words.length < 2 ? words.join('') : words.slice(0, -1).join(', ') + ' and ' + words.at(-1);

/* ticks */
function set(input, on, touched) { if (input.checked !== on) { input.checked = on; } touched.add(input); }
function tick(input, touched) {
  const key = role(input), also = [];
  if (input.checked) {
    for (const p of needs.get(input.value)) { const other = cell(key, p); if (!other.checked) { set(other, true, touched); also.push(title.get(p)); } }
  } else {
    const stuck = needing.get(input.value).map(p => cell(key, p)).find(i => i.checked && i.disabled);
    if (stuck) { set(input, true, touched); return `${title.get(input.value)} stays ticked: ${title.get(stuck.value)} needs it, and you cannot take that away.`; }
    for (const p of needing.get(input.value)) { const other = cell(key, p); if (other.checked) { set(other, false, touched); also.push(title.get(p)); } }
  }
  touched.add(input);
  if (!also.length) return '';
  return input.checked ? `${title.get(input.value)} also needs ${list(also)}: ticked.` : `${list(also)} ${also.length > 1 ? 'need' : 'needs'} ${title.get(input.value)}: unticked too.`;
}
function mark(touched) {
  const groups = new Set();
  for (const input of touched) {
    const off = input.checked !== ('was' in input.dataset);
    input.closest('td').classList.toggle('changed', off);
    off ? changed.add(input) : changed.delete(input);
    groups.add(input.all);
  }
  groups.forEach(summarize);
  show();
}
function summarize(all) {
  if (!all) return;
  const on = all.of.filter(i => i.checked).length;
  all.checked = on === all.of.length; all.indeterminate = on > 0 && on < all.of.length; all.disabled = all.of.every(i => i.disabled);
}
table.addEventListener('change', e => {
  const input = e.target, touched = new Set();
  if (input.of) {
    const wanted = input.checked, notes = new Set();
    for (const one of input.of) if (!one.disabled && one.checked !== wanted) { one.checked = wanted; const note = tick(one, touched); if (note) notes.add(note); }
    say([`${touched.size} changed.`, ...[...notes].slice(0, 3)].join(' '));
  } else if (input.name.startsWith('on-')) { const note = tick(input, touched); if (note) say(note); }
  mark(touched);
});

/* the bar */
function piece(words, verb, into) {
  if (!words.length) return;
  const b = document.createElement('b'); b.textContent = words.length > 4 ? `${words.slice(0, 3).join(', ')} and ${words.length - 3} more` : list(words);
  into.append(` ${verb} `, b);
}
function show() {
  if (!bar) return;
  bar.classList.toggle('idle', !changed.size);
  $('#count').textContent = changed.size === 1 ? '1 change' : `${changed.size} changes`;
  const out = [];
  for (const { key, name } of columns) {
    const mine = lines.map(l => cell(key, l.p)).filter(i => i && changed.has(i)); if (!mine.length) continue;
    const span = document.createElement('span'), words = on => mine.filter(i => i.checked === on).map(i => title.get(i.value));
    span.append(`${name}:`); piece(words(true), 'added', span); if (words(true).length && words(false).length) span.append(','); piece(words(false), 'removed', span); span.append('. ');
    out.push(span);
  }
  $('#words').replaceChildren(...out);
  ask();
}
let asking = 0, running;
function ask() {
  form.elements.confirmed.value = '';  // saving asks first until the reader has seen who is affected
  clearTimeout(asking); running?.abort();
  $('#effects').setAttribute('aria-busy', 'true');
  if (!changed.size) { $('#effects').replaceChildren(); return; }
  asking = setTimeout(async () => {
    running = new AbortController();
    try {
      const r = await fetch(form.dataset.preview, { method: 'POST', body: new URLSearchParams(new FormData(form)), headers: { 'HX-Request': 'true' }, signal: running.signal });
      const found = r.ok && new DOMParser().parseFromString(await r.text(), 'text/html').querySelector('#effects');
      if (!found) return;
      $('#effects').replaceWith(found);
      if ('known' in found.dataset) form.elements.confirmed.value = '1';
    } catch { /* aborted or offline: saving shows it on a page of its own */ }
  }, 120);
}
$('#discard')?.addEventListener('click', e => {
  e.preventDefault();
  const touched = new Set(changed);
  for (const input of touched) input.checked = 'was' in input.dataset;
  mark(touched); say('Changes discarded.'); $('.check:not(:disabled)', table)?.focus();
});
let leaving = false;
form.addEventListener('submit', () => { leaving = true; setTimeout(() => leaving = false, 3000); });
addEventListener('beforeunload', e => { if (changed.size && !leaving) e.preventDefault(); });
addEventListener('pageshow', e => { if (e.persisted) leaving = false; });

/* arrow keys go from tick to tick */
table.addEventListener('keydown', e => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key], td = e.target.closest?.('td.edit');
  if (!step || !td || e.altKey || e.ctrlKey || e.metaKey) return;
  e.preventDefault();
  const rows = $$('tbody:not([hidden]) tr:not([hidden])', table);
  let r = rows.indexOf(td.parentElement), c = td.cellIndex;
  for (;;) { r += step[0]; c += step[1]; const to = rows[r]?.cells[c]; if (!to) return; const input = $('.check:not(:disabled)', to); if (input && to.offsetParent) { input.focus(); return; } }
});

/* search without a reload */
const word = tools.elements.q;
function search() {
  const q = word.value.trim().toLowerCase(); let n = 0;
  for (const l of lines) { l.tr.hidden = !l.find.includes(q); n += !l.tr.hidden; }
  for (const body of table.tBodies) body.hidden = !$('tr[data-p]:not([hidden])', body);
  $('#role-none').hidden = n > 0;
  address('q', word.value.trim());
  return n;
}
function address(name, value) { const url = new URL(location); value ? url.searchParams.set(name, value) : url.searchParams.delete(name); history.replaceState(history.state, '', url); }
word.addEventListener('input', () => { const n = search(); say(n === 1 ? '1 permission' : `${n} permissions`); });
tools.addEventListener('submit', e => { e.preventDefault(); search(); });
$('#role-none a').addEventListener('click', e => { e.preventDefault(); word.value = ''; search(); word.focus(); });

/* one role at a time where there is room for one only */
tools.elements.role.addEventListener('change', e => {
  const at = columns.find(c => c.key === e.target.value).index;
  for (const row of table.rows) for (const td of row.cells) td.classList.toggle('shown', td.cellIndex === at);
  address('role', e.target.value);
});

alls.forEach(summarize);
mark(new Set($$('td.changed input', table)));
const target = $('thead th.shown', table);
if (wrap.scrollWidth > wrap.clientWidth && target) wrap.scrollLeft = target.offsetLeft + target.offsetWidth - wrap.clientWidth + 1;
