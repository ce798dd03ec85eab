// Shows pushes and opens what they are about. Keeps the files of the pages, and the last lists for reading without a connection:
// only answers the server marks with X-Kept, under the mark of one session. The server puts VERSION and SHELL in front of this.
self.addEventListener("push", (event) => event.waitUntil(show(event.data ? event.data.json() : {})));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data));
});

const windows = () => self.clients.matchAll({ type: "window", includeUncontrolled: true });
const ours = (path) => new URL(typeof path === "string" && /^\/(?!\/)/.test(path) ? path : "/", self.location.origin).href;

async function show({ title = "Inbox", body = "", url = "/", tag = "" }) {
  if ((await windows()).some((one) => one.focused && one.url.startsWith(ours(url)) && url !== "/settings/notifications")) return; // they are looking at it
  await self.registration.showNotification(title, { body, tag, renotify: Boolean(tag), data: url });
}

async function open(path) {
  const target = ours(path);
  const all = await windows();
  const there = all.find((one) => one.url.startsWith(target));
  return there ? there.focus() : self.clients.openWindow(target);
}

/* without a connection */
const FILES = `files-${VERSION}`, PAGES = "pages", OWNER = "/owner", LAST = 8;
let wipes = 0; // a list that is still on its way when somebody signs out is not kept
const wipe = () => { wipes++; return caches.delete(PAGES); };

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  const { request } = event, { origin, pathname } = new URL(request.url);
  if (origin !== location.origin) return;
  if (request.method !== "GET") { if (/sign-(in|out)/.test(pathname)) event.waitUntil(wipe()); return; }
  if (SHELL.includes(pathname)) event.respondWith(caches.match(pathname).then((file) => file || fetch(request)));
  else if (request.mode === "navigate") event.respondWith(visit(event, pathname));
});

async function install() {
  const files = await caches.open(FILES);
  await files.addAll(SHELL);
  await files.add(new Request("/offline", { credentials: "omit", cache: "no-store" }));
  await self.skipWaiting();
}
async function activate() {
  for (const name of await caches.keys()) if (name.startsWith("files-") && name !== FILES) await caches.delete(name);
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}
async function visit(event, pathname) {
  let answer;
  try { answer = (await event.preloadResponse) ?? (await fetch(event.request)); } catch { return kept(event.request.url, pathname); }
  const mark = answer.headers.get("X-Kept");
  if (mark) event.waitUntil(keep(event.request.url, answer.clone(), mark.split(" "), wipes));
  else if (pathname === "/sign-in") event.waitUntil(wipe()); // signed out, or the session is over
  else if (answer.type !== "opaqueredirect") event.waitUntil(caches.open(PAGES).then((pages) => pages.delete(event.request.url)));
  return answer;
}
async function keep(url, answer, [mark, until], before) {
  const text = await answer.text();
  let pages = await caches.open(PAGES);
  if ((await (await pages.match(OWNER))?.text()) !== mark) { await caches.delete(PAGES); pages = await caches.open(PAGES); }
  if (before !== wipes) return;
  const headers = new Headers(answer.headers);
  headers.set("X-At", Date.now()); headers.set("X-Until", until);
  await pages.put(OWNER, new Response(mark));
  await pages.delete(url);
  await pages.put(url, new Response(text, { headers }));
  const [, ...all] = await pages.keys();
  for (const old of all.slice(0, -LAST)) await pages.delete(old);
  if (before !== wipes) await caches.delete(PAGES);
}
async function kept(url, pathname) {
  const pages = await caches.open(PAGES), [, ...all] = await pages.keys();
  const page = await pages.match(pathname === "/" && all.length ? all.at(-1) : url);
  if (page && Date.now() < +page.headers.get("X-Until")) {
    const text = (await page.text()).replace("<html ", `<html data-kept="${+page.headers.get("X-At")}" `);
    return new Response(text, { headers: page.headers });
  }
  if (page) await wipe();
  return caches.match("/offline");
}
