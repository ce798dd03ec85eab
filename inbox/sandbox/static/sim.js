// Keeps the page live: polls once a second, sends forms without a reload, never touches what is being typed.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
document.documentElement.classList.add("js");

const shown = new Map();
let asked = 0;

const atEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 60;

function swap(name, html) {
  const box = $(`[data-part="${name}"]`);
  if (!box || shown.get(name) === html) return;
  const first = !shown.has(name), stick = name === "thread" && atEnd(box);
  shown.set(name, html);
  if (first && name !== "thread") return;
  const focused = box.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset.key, link = focused?.getAttribute("href");
  box.innerHTML = html;
  if (focused && focused !== box) {
    const again = (key && $(`[data-key="${CSS.escape(key)}"]`, box)) || (link && $(`a[href="${CSS.escape(link)}"]`, box));
    (again || box.querySelector("button, a"))?.focus();
  }
  if (name === "thread" && (stick || first)) box.scrollTop = box.scrollHeight;
}

async function refresh() {
  const mine = ++asked;
  try {
    const answer = await fetch(`/live${location.search}`, { headers: { Accept: "application/json" } });
    if (!answer.ok || mine !== asked) return;
    const { parts, time } = await answer.json();
    for (const [name, html] of Object.entries(parts)) swap(name, html);
    const clock = $("[data-time]");
    if (clock) clock.textContent = time;
  } catch { /* the carrier is restarting; the next poll finds it */ }
}

function note(text) {
  const box = $("#note");
  box.hidden = !text;
  $("span", box).textContent = text;
}

function files(form) {
  const line = $(".files", form), input = $("input[type=file]", form);
  if (!line) return;
  line.hidden = !input.files.length;
  line.textContent = [...input.files].map((file) => file.name).join(", ");
}

addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-live]");
  if (!form) return;
  event.preventDefault();
  if (form.dataset.busy) return;
  const data = new FormData(form, event.submitter);
  if (form.matches("[data-say]") && !data.get("body").trim() && !$("input[type=file]", form).files.length) return;
  form.dataset.busy = "1";
  try {
    const answer = await fetch(form.action, { method: "POST", body: data, headers: { Accept: "application/json" } });
    const said = await answer.json().catch(() => ({}));
    note(answer.ok ? "" : said.message || "That did not work.");
    if (answer.ok && form.matches("[data-say]")) { form.reset(); files(form); $("[name=body]", form).focus(); }
    if (answer.ok && said.note) $("#live").textContent = said.note;
  } catch {
    note("The sandbox carrier does not answer. Try again in a moment.");
  }
  delete form.dataset.busy;
  refresh();
});

addEventListener("change", (event) => {
  const form = event.target.form;
  if (!form) return;
  if (event.target.type === "file") files(form);
  if (form.matches("[data-auto], [data-pick]")) form.requestSubmit();
});

addEventListener("click", (event) => {
  const emoji = event.target.closest("[data-emoji]");
  if (emoji) {
    const field = $("[data-say] [name=body]");
    field.setRangeText(emoji.dataset.emoji, field.selectionStart, field.selectionEnd, "end");
    emoji.closest("details").open = false;
    field.focus();
  } else if (!event.target.closest(".emoji")) {
    $$(".emoji[open]").forEach((box) => { box.open = false; });
  }
});

addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = $(".emoji[open]");
  if (open) { open.open = false; $("summary", open).focus(); }
});

const thread = $('[data-part="thread"]');
if (thread) thread.scrollTop = thread.scrollHeight;
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 1000);
