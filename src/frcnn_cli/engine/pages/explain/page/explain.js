// The page's sections follow one chosen proposal, and redraw when the window or the theme changes.
const explain = (() => {
  const numbers = JSON.parse(document.getElementById("numbers").textContent);
  const photo = document.getElementById("photo");
  const picker = document.getElementById("chosen");
  const waiting = [];
  const sections = [];
  const drawings = new Set();
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

  // ---- Colours of the theme, resolved for canvases.
  const probe = document.getElementById("probe");
  const resolved = new Map();
  const rgb = (name) => {
    if (!resolved.has(name)) {
      probe.className = name.replace("--", "colour-");
      resolved.set(name, getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number));
    }
    return resolved.get(name);
  };
  const colour = (name, opacity = 1) => `rgb(${rgb(name).join(" ")} / ${opacity})`;
  // The shade of a heat map, from the page's background (0) to `name` (1).
  const shade = (share, name = "--first") => {
    const t = Math.max(0, Math.min(1, share));
    const [low, high] = [rgb("--tint"), rgb(name)];
    return `rgb(${low.map((value, i) => Math.round(value + t * (high[i] - value))).join(" ")})`;
  };

  // ---- Drawings. draw(context, unit) works in coordinates of width x height, scaled to the width
  // of the canvas on the page; `unit` is the size of a pixel of the screen in them.
  const canvas = (element, width, height, draw) => {
    const drawing = { element, width, height, shown: 0 };
    drawing.redraw = () => {
      const shown = element.parentElement.clientWidth;
      if (!shown) return;
      const most = Number(element.dataset.height) || 640; // on the screen
      const unit = Math.max(drawing.width / shown, drawing.height / most);
      const dense = window.devicePixelRatio || 1;
      element.width = Math.round((drawing.width / unit) * dense);
      element.height = Math.round((drawing.height / unit) * dense);
      element.style.width = `${element.width / dense}px`;
      drawing.shown = shown;
      const context = element.getContext("2d");
      context.setTransform(element.width / drawing.width, 0, 0, element.height / drawing.height, 0, 0);
      draw(context, unit);
    };
    // The point of an event in the drawing's coordinates.
    drawing.at = (event) => {
      const box = element.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * drawing.width;
      return [x, ((event.clientY - box.top) / box.height) * drawing.height];
    };
    drawings.add(drawing);
    drawing.redraw();
    return drawing;
  };

  // The photo, on which draw(context, unit) draws in its pixels.
  const image = (element, draw) => {
    const { width, height } = numbers.page.image;
    return canvas(element, width, height, (context, unit) => {
      context.drawImage(photo, 0, 0, width, height);
      draw(context, unit);
    });
  };

  // A box x1, y1, x2, y2 with inclusive corners, in a colour between two dark lines.
  const box = (context, unit, [x1, y1, x2, y2], style = {}) => {
    const { stroke = "#ffffff", width = 2, dash = [], label = "" } = style;
    const place = [x1, y1, x2 - x1 + 1, y2 - y1 + 1];
    context.setLineDash([]);
    if (width > 1) {
      context.strokeStyle = "rgb(0 0 0 / .65)";
      context.lineWidth = (width + 2) * unit;
      context.strokeRect(...place);
    }
    context.setLineDash(dash.map((length) => length * unit));
    context.strokeStyle = stroke;
    context.lineWidth = width * unit;
    context.strokeRect(...place);
    context.setLineDash([]);
    if (!label) return;
    context.font = `600 ${13 * unit}px sans-serif`;
    const wide = context.measureText(label).width + 8 * unit;
    const x = Math.max(0, Math.min(x1, numbers.page.image.width - wide));
    const y = y1 > 20 * unit ? y1 - 19 * unit : y1;
    context.fillStyle = "rgb(0 0 0 / .75)";
    context.fillRect(x, y, wide, 19 * unit);
    context.fillStyle = stroke;
    context.fillText(label, x + 4 * unit, y + 14 * unit);
  };

  const redraw = () => {
    resolved.clear();
    for (const drawing of drawings) drawing.redraw();
  };

  const start = async () => {
    await photo.decode().catch(() => {});
    for (const button of document.querySelectorAll(".picker [data-step]")) {
      button.addEventListener("click", () => select(current + Number(button.dataset.step)));
    }
    picker.addEventListener("change", () => select(Number(picker.value)));
    new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    new ResizeObserver(() => {
      for (const each of drawings) if (each.element.parentElement.clientWidth !== each.shown) each.redraw();
    }).observe(document.querySelector("main"));
    placeLabels(document.querySelector(".photo svg"), 15);
    for (const [name, make] of waiting) {
      if (name in numbers) sections.push(make(numbers[name], document.getElementById(name)));
    }
    select(0);
    document.body.dataset.ready = "";
  };

  document.addEventListener("DOMContentLoaded", start);
  return {
    ...{ page: numbers.page, section, select, canvas, image, box, redraw },
    ...{ rows, bar, fixed, short, colour, shade },
  };
})();
