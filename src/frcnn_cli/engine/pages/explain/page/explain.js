// The sections of the page follow one chosen proposal. `explain` is what their scripts use.
const explain = (() => {
  const numbers = JSON.parse(document.getElementById("numbers").textContent);
  const picker = document.getElementById("chosen");
  const waiting = [];
  const sections = [];
  let current = 0;

  // ---- Sections: each is told which of the chosen proposals to show.
  const section = (name, make) => waiting.push([name, make]);

  const select = (k) => {
    const count = numbers.page.chosen.length;
    current = (k + count) % count;
    picker.value = String(current);
    document.getElementById("why").textContent = picker.selectedOptions[0].dataset.why;
    for (const each of sections) each.show(current);
  };

  // ---- Numbers as text, and tables.
  const fixed = (value, digits = 2) =>
    value === null ? "–" : value.toFixed(digits).replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−");

  const whole = (value) => Math.round(value).toLocaleString("en");

  // As many digits as matter: 0.0123, 4.57, 123.
  const short = (value) => {
    if (value === null) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1).replace(/-/g, "−");
    return fixed(value, size >= 100 ? 0 : size >= 1 || size === 0 ? 2 : 3);
  };

  // Replaces the rows of a table. A row is a list of cells; the first is its heading. A cell is a
  // text, or an element. mark: whether a row stands out.
  const rows = (body, lists, mark = () => false) =>
    body.replaceChildren(
      ...lists.map((cells, index) => {
        const row = document.createElement("tr");
        row.classList.toggle("marked", mark(index));
        cells.forEach((content, column) => {
          const cell = document.createElement(column ? "td" : "th");
          if (!column) cell.scope = "row";
          else cell.className = content instanceof Element ? "bar-cell" : "number";
          cell.append(content);
          row.append(cell);
        });
        return row;
      }),
    );

  // A bar of a table: share is its length, from 0 to 1.
  const bar = (share) => {
    const name = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(name, "svg");
    svg.setAttribute("viewBox", "0 0 100 10");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const rect = document.createElementNS(name, "rect");
    rect.setAttribute("width", String(100 * Math.max(0, Math.min(1, share))));
    rect.setAttribute("height", "10");
    svg.append(rect);
    return svg;
  };

  const start = async () => {
    await document.getElementById("photo").decode().catch(() => {});
    for (const button of document.querySelectorAll(".picker [data-step]")) {
      button.addEventListener("click", () => select(current + Number(button.dataset.step)));
    }
    picker.addEventListener("change", () => select(Number(picker.value)));
    const theme = { attributeFilter: ["data-theme"] };
    new MutationObserver(drawing.redraw).observe(document.documentElement, theme);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawing.redraw);
    new ResizeObserver(drawing.fit).observe(document.querySelector("main"));
    placeLabels(document.querySelector(".photo svg"), 15);
    for (const [name, make] of waiting) {
      if (name in numbers) sections.push(make(numbers[name], document.getElementById(name)));
    }
    select(0);
    drawing.flush();
    document.body.dataset.ready = "";
  };

  document.addEventListener("DOMContentLoaded", start);
  return { page: numbers.page, section, select, rows, bar, fixed, short, whole, ...drawing };
})();
