// Shows pushes and opens what they are about; caches nothing.
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
