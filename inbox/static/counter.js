// What a text takes and costs while it is written, and how it would be cheaper. The server counts the same (inbox/phone.py, inbox/plain.py) and decides.
const $ = (s, r = document) => r.querySelector(s), $$ = (s, r = document) => [...r.querySelectorAll(s)];
const on = (names, f) => names.split(' ').forEach(n => addEventListener(n, f));

/* 1. segments: GSM 03.38 septets, else UCS-2 code units; the same as inbox/phone.py */
const GSM = new Set("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"), TWO = new Set('^{}\\[~]|€\f');
const odd = text => [...new Set(text)].filter(c => !GSM.has(c) && !TWO.has(c));
export function segments(text) {
  const forced = odd(text), uni = forced.length > 0, one = uni ? 70 : 160, many = uni ? 67 : 153;
  const costs = [...text].map(c => uni ? c.length : TWO.has(c) ? 2 : 1), n = costs.reduce((a, b) => a + b, 0);
  if (n <= one) return { n, parts: 1, room: one - n, uni, odd: forced };
  let parts = 1, used = 0;
  for (const c of costs) { if (used + c > many) { parts++; used = 0; } used += c; }
  return { n, parts, room: many - used, uni, odd: forced };
}

/* 2. plain characters: the same table as inbox/plain.py, as "what replaces|what is replaced" */
const PLAIN = new Map([['','\u00ad\u200b\u200c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff'],[' ','\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'],['!','ǃ︕﹗'],['"','«»ʺˮ“”„‟″❝❞〝〞'],['#','﹟'],['$','﹩'],['%','﹪'],['&','﹠'],['\'','`\uff40´ʹʻʼʽˈˊˋ‘’‛′❛❜︐︑'],['(','❨❪⟮⦅﹙'],[')','❩❫⟯⦆﹚'],['*','⁎∗⊛✢✣✤✥✱✲✺✻✼✽❃❉❊❋⧆﹡'],['+','˖﹢'],[',','‚、﹐﹑､'],['-','‐‑‒–—―•‣⁃−⎼⎽﹣'],['->','→'],['.','․。﹒｡'],['..','‥'],['...','…'],['/','÷⁄∕⧸'],['1/2','½'],['1/4','¼'],['3/4','¾'],[':','ː˸⦂꞉︓'],[';','⁏︔﹔'],['<','‹﹤'],['<-','←'],['<=','≤'],['=','꞊﹦'],['>','›﹥'],['>=','≥'],['?','︖﹖'],['@','﹫'],['A','ᴀ'],['B','ʙ'],['C','ᴄ'],['D','ᴅ'],['E','ᴇ'],['F','ꜰ'],['G','ɢ'],['H','ʜ'],['I','ɪ'],['IJ','Ĳ'],['J','ᴊ'],['K','ᴋK'],['L','ʟ'],['M','ᴍ'],['N','ɴ'],['No.','№'],['O','ᴏ'],['OE','Œ'],['P','ᴘ'],['R','ʀ'],['S','ꜱ'],['T','ᴛ'],['U','ᴜ'],['V','ᴠ'],['W','ᴡ'],['Y','ʏ'],['Z','ᴢ'],['\\','⧵⧹﹨'],['^','ˆ'],['_','‗'],['ff','ﬀ'],['ffi','ﬃ'],['ffl','ﬄ'],['fi','ﬁ'],['fl','ﬂ'],['ij','ĳ'],['oe','œ'],['st','ﬅﬆ'],['x','×'],['{','❴﹛'],['|','∣⎜⎟⎸⎹⏐'],['}','❵﹜'],['~','˜˷∼'],['Å','Å'],['Ω','Ω']].flatMap(([to, chars]) => [...chars].map(c => [c, to])));
for (let c = 0xFF01; c < 0xFF5F; c++) if (c !== 0xFF40) PLAIN.set(String.fromCharCode(c), String.fromCharCode(c - 0xFEE0));
const composed = two => { const one = two.normalize('NFC'); return odd(one).length ? two : one; };
export const plain = text => [...text.replace(/[A-Za-z][\u0300-\u036f]/g, composed).replace(/([0-9])([¼½¾])/g, '$1 $2')].map(c => PLAIN.get(c) ?? c).join('');
export const cheaper = text => { const p = plain(text); return odd(p).length ? text : p; };
export const clean = text => text.replace(/\r\n?/g, '\n').replace(/[\0-\x08\x0b-\x1f\x7f]|[\ud800-\udfff]/gu, '').replace(/[\t\n \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/, '');
export function dollars(micros) {
  const rest = String(micros % 1e6).padStart(6, '0');
  return `$${Math.floor(micros / 1e6)}.${rest.slice(0, rest.endsWith('0000') ? 2 : rest.endsWith('00') ? 4 : 6)}`;
}
const many = n => `${n} segment${n === 1 ? '' : 's'}`;
const cost = (d, parts, files) => files ? +d.files + d.more * (parts - 1) : d.segment * parts;
function count() {
  const b = $('#body'), out = $('#count'); if (!b || !out) return;
  const d = out.dataset, u = $('#unicode'), words = clean(b.value), whole = words && words + d.ending, files = $$('#file-list .up').length;
  const s = segments(d.plain ? cheaper(whole) : whole);
  out.firstChild.data = `${s.n}/${s.n + s.room} `;
  out.children[0].textContent = `· ${many(s.parts)}${s.uni ? ', Unicode' : ''}${+d.segment ? ' · ' + dollars(cost(d, s.parts, files)) : ''}`;
  if (!u) return;
  const best = segments(cheaper(whole)).parts, saved = cost(d, s.parts, files) - cost(d, best, files), less = s.uni && !d.plain && best < s.parts;
  u.hidden = files > 0 && +d.segment > 0 && !saved || !(less || s.uni && s.parts > segments([...whole].filter(c => !s.odd.includes(c)).join('')).parts);
  if (u.hidden) return;
  $('b', u).textContent = `${s.odd.slice(0, 4).map(c => c.trim() ? c : 'An unusual space').join(' ')} ${s.odd.length > 1 ? 'make' : 'makes'} this ${many(s.parts)}.`;
  $('.saves', u).hidden = !less;
  const pairs = [...new Set(words)].filter(c => PLAIN.has(c)).slice(0, 5).map(c => `${c.trim() || 'space'} becomes ${PLAIN.get(c).trim() || (PLAIN.get(c) ? 'a space' : 'nothing')}`);
  $('.saves span', u).textContent = ` ${pairs.join(', ')}: ${many(best)}${saved ? `, saves ${dollars(saved)}` : ''}.`;
}
on('click', e => { if (e.target.closest('[data-plain]')?.matches('button')) { const b = $('#body'); b.value = plain(b.value); b.dispatchEvent(new Event('input', { bubbles: true })); b.focus(); } });
on('input composer htmx:after:swap', e => { if (e.type !== 'input' || e.target.id === 'body') count(); });
count();
