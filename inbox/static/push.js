// Turning browser push on and off; only on the page of one's notifications.
const on = document.querySelector("[data-push-on]");
const off = document.querySelector("[data-push-off]");
const able = "serviceWorker" in navigator && "PushManager" in window;

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

async function subscribe(form) {
  if ((await Notification.requestPermission()) !== "granted") throw new Error("This browser does not allow notifications from here. Allow them beside the address, then try again.");
  const worker = await navigator.serviceWorker.register(form.dataset.worker, { scope: "/" });
  await navigator.serviceWorker.ready;
  const answer = await fetch(form.dataset.keyUrl, { method: "POST", body: new FormData(form) });
  if (!answer.ok) throw new Error("Something went wrong. Reload the page and try again.");
  const applicationServerKey = bytes((await answer.json()).key);
  const { endpoint, keys } = (await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey })).toJSON();
  Object.entries({ endpoint, ...keys }).forEach(([name, value]) => { form.elements[name].value = value; });
  form.submit();
}

if (on) {
  on.hidden = Boolean(off);
  const says = on.querySelector("[data-push-says]");
  if (!able) {
    on.querySelector("button").disabled = true;
    says.textContent = "This browser cannot show pushes.";
  }
  on.addEventListener("submit", (event) => {
    event.preventDefault();
    subscribe(on).catch((error) => { says.textContent = error.name === "Error" ? error.message : "This browser’s push service did not answer."; });
  });
}

off?.addEventListener("submit", async (event) => {
  if (!able) return;
  event.preventDefault();
  const worker = await navigator.serviceWorker.getRegistration("/");
  await (await worker?.pushManager.getSubscription())?.unsubscribe();
  off.submit();
});
