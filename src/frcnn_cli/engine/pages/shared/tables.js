// Tables: a click on a heading sorts by it, a second click reverses the order; typing filters.
{
  const words = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value === undefined) return cell.textContent.trim();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };

  // Rows without a value stay last in both orders.
  const compare = (a, b, direction) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (typeof a === "number" ? a - b : words.compare(a, b));
  };

  const sort = (table, header) => {
    const column = header.cellIndex;
    const initialOrder = header.classList.contains("number") ? "descending" : "ascending";
    const reversed = { ascending: "descending", descending: "ascending" };
    const order = reversed[header.getAttribute("aria-sort")] ?? initialOrder;
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, value: valueOf(row, column) }));
    rows.sort((a, b) => compare(a.value, b.value, order === "ascending" ? 1 : -1));
    body.append(...rows.map((item) => item.row));
  };

  const filter = (input) => {
    const query = input.value.trim().toLowerCase();
    const rows = [...document.getElementById(input.dataset.filter).tBodies[0].rows];
    let visible = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(query);
      if (!row.hidden) visible += 1;
    }
    const count = input.parentElement.querySelector("output");
    count.textContent = query ? `${visible} of ${rows.length} rows` : `${rows.length} rows`;
  };

  for (const button of document.querySelectorAll(".sort")) {
    button.addEventListener("click", () => sort(button.closest("table"), button.closest("th")));
  }
  for (const input of document.querySelectorAll("[data-filter]")) {
    input.addEventListener("input", () => filter(input));
  }
}
