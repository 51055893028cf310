// Lists of images: the selects above a list filter it, and a button shows more.
// A card that the filter excludes has the class `other`; cards beyond the limit are only hidden.
{
  const AT_FIRST = { cards: 30, pairs: 8 };

  const gallery = (list) => {
    const tools = document.querySelector(`[data-gallery="${list.id}"]`);
    const selects = tools ? [...tools.querySelectorAll("select")] : [];
    const more = list.parentElement.querySelector(".more");
    let limit = AT_FIRST[list.id];

    const matches = (card, select) =>
      select.value === card.dataset[select.dataset.by] ||
      (select.dataset.by === "show" && select.value === card.dataset.kind);

    const show = () => {
      const chosen = selects.filter((select) => select.value !== "");
      let count = 0;
      for (const card of list.children) {
        const other = !chosen.every((select) => matches(card, select));
        if (!other) count += 1;
        card.classList.toggle("other", other);
        card.hidden = other || count > limit;
      }
      more.hidden = count <= limit;
      more.textContent = `Show ${Math.min(count - limit, 2 * AT_FIRST[list.id])} more of ${count}`;
      if (!tools) return;
      tools.querySelector("output").textContent = count === 1 ? "1 image" : `${count} images`;
      list.parentElement.querySelector(".none").hidden = count > 0;
    };

    for (const select of selects) {
      select.addEventListener("change", () => {
        limit = AT_FIRST[list.id];
        show();
      });
    }
    more.addEventListener("click", () => {
      const first = [...list.children].find((card) => card.hidden && !card.classList.contains("other"));
      limit += 2 * AT_FIRST[list.id];
      show();
      first.querySelector(".open").focus();
    });
    show();
  };

  for (const id of ["cards", "pairs"]) {
    const list = document.getElementById(id);
    if (list) gallery(list);
  }
}
