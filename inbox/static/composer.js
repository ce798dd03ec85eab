// The files that go with a text: chosen, taken, dropped or pasted. Each goes up at once, so that sending only names them and a refusal loses none.
// Without this the same form brings them with the text.
import { $, $$, on, say } from './app.js';
const count = () => dispatchEvent(new Event('composer'));

const PICTURE = /^image\/(jpeg|png|gif|webp)$/, size = n => n < 1048576 ? `${Math.max(1, Math.round(n / 1024))} KB` : `${+(n / 1048576).toFixed(1)} MB`;
const rules = () => { const o = $('#inbox option:checked'); return o ? o.dataset : $('#files')?.dataset; };
function refusal(f, r) {
  if (!f.size) return 'It is empty.';
  if (f.type.startsWith('image/')) return f.size > 20 * 1048576 ? 'It has more than 20 MB.' : '';
  return f.size > +r.file ? `It has ${size(f.size)}; a carrier takes at most ${size(+r.file)} of a file that is no picture.` : '';
}
function attach(files) {
  const list = $('#file-list'), input = $('#files'); if (!list || !input || input.disabled) return;
  for (const f of files) line(list, f);
}
function line(list, f) {
  const r = rules(), li = document.createElement('li'), v = document.createElement('span'), drop = document.createElement('button');
  li.className = 'chip up'; v.className = 'v';
  if (PICTURE.test(f.type)) { const i = new Image(); i.src = URL.createObjectURL(f); i.alt = ''; i.onload = i.onerror = () => URL.revokeObjectURL(i.src); li.append(i); }
  v.textContent = `${f.name} ${size(f.size)}`;
  Object.assign(drop, { type: 'button', textContent: '×', ariaLabel: `Remove ${f.name}` });
  drop.onclick = () => { const next = li.nextElementSibling ?? li.previousElementSibling; li.xhr?.abort(); li.remove(); count(); release(); ($('button', next ?? li.ownerDocument.createElement('i')) ?? $('#files')).focus(); };
  li.append(v, drop); list.append(li);
  const why = $$('.up', list).length > +r.max ? (+r.max ? `A text can carry at most ${r.max} files.` : 'This inbox sends plain texts only.') : refusal(f, r);
  if (why) return failed(li, f, why);
  up(list, li, f); count();
}
function failed(li, f, why) {
  li.className = 'chip bad'; delete li.dataset.busy; $('progress', li)?.remove();
  $('.v', li).textContent = why.startsWith('“') ? why : `${f.name}: ${why}`; say($('.v', li).textContent, true); count(); release();
}
function up(list, li, f) {
  const x = li.xhr = new XMLHttpRequest(), bar = document.createElement('progress'), data = new FormData();
  data.append('csrf_token', $('[name=csrf_token]', list.closest('form')).value); data.append('media', f, f.name); if ($('#inbox')) data.append('inbox', $('#inbox').value);
  bar.max = 1; bar.value = 0; bar.ariaLabel = `Uploading ${f.name}`; li.dataset.busy = ''; $('.v', li).after(bar);
  x.upload.onprogress = e => { if (e.lengthComputable) bar.value = e.loaded / e.total; };
  x.onerror = () => failed(li, f, 'It could not be put up: the connection was lost. Add it again.');
  x.onload = () => {
    const doc = new DOMParser().parseFromString(x.responseText, 'text/html'), id = $('input[name=upload]', doc)?.value;
    if (!id) { failed(li, f, doc.body.textContent.trim() || 'It could not be put up. Add it again.'); return; }
    bar.remove(); delete li.dataset.busy; $('.v', li).textContent = `${f.name} ${$('.num', doc).textContent}`;
    li.append(Object.assign(document.createElement('input'), { type: 'hidden', name: 'upload', value: id })); say(`${f.name} is attached.`); release();
  };
  x.open('POST', list.dataset.to); x.setRequestHeader('HX-Request', 'true'); x.send(data);
}
let waiting = null;  // Send was pressed while files were still going up
function release() { const b = waiting; if (b && !$('#file-list [data-busy]')) { waiting = null; if (b.isConnected && !b.disabled) b.click(); } }
addEventListener('submit', e => {
  if (!$('#file-list [data-busy]', e.target)) return;
  e.preventDefault(); e.stopImmediatePropagation(); waiting = e.submitter; say('Files are still going up. The text leaves when they are there.');
}, true);
on('change', e => {
  const t = e.target; if (t.id === 'inbox') fields();
  if (t.id === 'files' || t.id === 'camera') { attach([...t.files]); t.value = ''; }
});
const files = e => e.dataTransfer?.types.includes('Files') && $('#file-list') && !$('#files')?.disabled && e.target.closest?.('#conversation, #compose');
const mark = e => { const f = $('#composer, #compose'); if (f) f.classList.toggle('dropping', !!e); };
on('dragover', e => { if (files(e)) { e.preventDefault(); mark(e); } });
on('dragleave drop dragend', e => { if (e.type !== 'dragleave' || !e.relatedTarget) mark(); });
on('drop', e => { if (files(e)) { e.preventDefault(); attach(e.dataTransfer.files); } });
on('paste', e => { if (e.target.id === 'body' && e.clipboardData?.files.length && $('#file-list')) { e.preventDefault(); attach(e.clipboardData.files); } });
on('sent sent-archived scheduled', () => { $('#file-list')?.replaceChildren(); count(); });
function fields() { const f = $('#files-field'), o = $('#inbox option:checked'); if (f && o?.value) f.hidden = !+o.dataset.max; }
fields();

/* templates by / and emoji by : or their buttons: a module of its own, fetched when somebody first asks */
let inserting;
const insert = () => { const b = $('[data-js]'); return b && (inserting ??= import(b.dataset.js).catch(() => { inserting = null; return {}; })); };
on('input', e => { const t = e.target; if (t.matches?.('#body, #note') && (inserting || /(^|\s)(\/[\w-]*|:[a-z]{2,})$/i.test(t.value.slice(0, t.selectionStart)))) insert()?.then(m => m.typed?.(t, e.inputType)); });
on('click', e => { const b = e.target.closest('[data-insert]'); if (b) { e.preventDefault(); insert()?.then(m => m.pressed?.(b)); } });
