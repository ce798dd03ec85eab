// The list of people of an inbox: search it, tick all or none of what is shown, and see what would change.
const form = document.getElementById("people");
const tools = form?.querySelector("[data-people-tools]");

if (tools) {
  const rows = [...form.querySelectorAll(".ticks > li")];
  const box = (row) => row.querySelector("input[type=checkbox]");
  const none = form.querySelector("[data-people-none]");
  const sum = document.querySelector("[data-people-sum]");
  const calm = sum?.textContent ?? "";
  const words = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  const say = () => {
    const gain = rows.filter((row) => box(row).checked && !("inside" in box(row).dataset)).length;
    const lose = rows.filter((row) => !box(row).checked && "inside" in box(row).dataset).length;
    const parts = [gain && `${gain} gain${gain === 1 ? "s" : ""} access`, lose && `${lose} lose${lose === 1 ? "s" : ""} it`].filter(Boolean);
    if (sum) sum.textContent = parts.length ? `${parts.join(", ")}. Nothing is saved yet.` : calm;
  };
  const search = tools.querySelector("input");
  const find = () => {
    const wanted = words(search.value).split(/\s+/);
    for (const row of rows) row.hidden = !wanted.every((word) => words(row.textContent).includes(word));
    none.hidden = rows.some((row) => !row.hidden);
  };

  search.addEventListener("input", find);
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  tools.addEventListener("click", (event) => {
    const what = event.target.closest("[data-tick]")?.dataset.tick;
    if (!what) return;
    for (const row of rows) if (!row.hidden) box(row).checked = what === "all";
    say();
  });
  form.addEventListener("change", say);
  tools.hidden = false;
  find();
  say();
}
