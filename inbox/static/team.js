// Team manager and collaborators: the dialog closes when its answer came, and what is not saved yet is said.
addEventListener("htmx:before:swap", (event) => {
  const { sourceElement, target, response } = event.detail.ctx ?? {};
  const dialog = sourceElement?.closest?.("#ask");
  if (dialog?.open && target !== dialog && !dialog.contains(target) && !(response?.status >= 400)) dialog.close(); // focus goes back to the switch before the list is drawn anew
});
addEventListener("htmx:after:swap", (event) => {
  if (event.detail.ctx?.target?.id === "ask") event.detail.ctx.target.querySelector("input:not([type=hidden]), select, .acts .btn")?.focus();
});

const form = document.querySelector("form[data-unsaved]");
if (form) {
  const words = document.querySelector("[data-unsaved-words]"), calm = words.textContent;
  const moved = () => [...form.querySelectorAll("input[type=checkbox]")].filter((box) => box.checked !== box.defaultChecked).length;
  let leaving = false;
  const say = () => {
    const n = moved();
    words.textContent = n ? `${n} ${n === 1 ? "change is" : "changes are"} not saved yet.` : calm;
    words.classList.toggle("unsaved", n > 0);
  };
  form.addEventListener("change", say);
  form.addEventListener("submit", () => { leaving = true; });
  document.querySelector("[data-discard]")?.addEventListener("click", () => { leaving = true; });
  addEventListener("beforeunload", (event) => { if (!leaving && moved()) event.preventDefault(); });
  say();
}
