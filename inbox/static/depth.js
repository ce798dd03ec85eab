// Back in a list: as many rows as were there, and the place in them. Fetched only when somebody comes back or reads on.
const $ = (s, r = document) => r.querySelector(s), key = () => `deep:${$('#list').dataset.sync}`, rows = () => [...document.querySelectorAll('#rows .conv-row')];
export function keep(box) {
  const top = box.getBoundingClientRect().top, first = rows().find(r => r.getBoundingClientRect().bottom > top + 1);
  try { sessionStorage[key()] = `${rows().length} ${first && box.scrollTop > 1 ? first.id : ''}`; } catch { /* full, or private mode */ }
}
export async function back() {
  const [count, id] = (sessionStorage[key()] ?? '').split(' ');
  for (let i = 0; i < 12 && rows().length < +count; i++) {
    const more = $('#more a'), r = more && await fetch(more.href, { headers: { 'HX-Request': 'true' } });
    if (!r?.ok || !more.isConnected) break;
    const put = [...new DOMParser().parseFromString(await r.text(), 'text/html').body.children].filter(el => el.id === 'more' || !document.getElementById(el.id));
    $('#more').replaceWith(...put);
    for (const el of put) htmx.process(el);
  }
  if (id) document.getElementById(id)?.scrollIntoView({ block: 'start' });
}
