// Drawings on canvases, in the colours of the theme and as wide as the page allows.
const drawing = ((photo) => {
  const drawings = new Set();
  const stale = new Set();
  // Drawings that change several times before the screen does are drawn once.
  const flush = () => {
    for (const each of stale) each.draw();
    stale.clear();
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

  // ---- Canvases. draw(context, unit) works in coordinates of width x height, scaled to the width
  // of the canvas on the page; `unit` is the size of a pixel of the screen in them.
  const canvas = (element, width, height, draw) => {
    const own = { element, width, height, shown: 0 };
    own.redraw = () => {
      if (!stale.size) requestAnimationFrame(flush);
      stale.add(own);
    };
    own.draw = () => {
      const shown = element.parentElement.clientWidth;
      if (!shown) return;
      const most = Number(element.dataset.height) || 640; // on the screen
      const unit = Math.max(own.width / shown, own.height / most);
      const dense = window.devicePixelRatio || 1;
      element.width = Math.round((own.width / unit) * dense);
      element.height = Math.round((own.height / unit) * dense);
      element.style.width = `${element.width / dense}px`;
      own.shown = shown;
      const context = element.getContext("2d");
      context.setTransform(element.width / own.width, 0, 0, element.height / own.height, 0, 0);
      draw(context, unit);
    };
    // The point of an event in the drawing's coordinates.
    own.at = (event) => {
      const box = element.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * own.width;
      return [x, ((event.clientY - box.top) / box.height) * own.height];
    };
    drawings.add(own);
    own.redraw();
    return own;
  };

  // The photo, on which draw(context, unit) draws in its pixels.
  const [wide, high] = ["width", "height"].map((side) => Number(photo.getAttribute(side)));
  const image = (element, draw) =>
    canvas(element, wide, high, (context, unit) => {
      context.drawImage(photo, 0, 0, wide, high);
      draw(context, unit);
    });

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
    const room = context.measureText(label).width + 8 * unit;
    const x = Math.max(0, Math.min(x1, wide - room));
    const y = y1 > 20 * unit ? y1 - 19 * unit : y1;
    context.fillStyle = "rgb(0 0 0 / .75)";
    context.fillRect(x, y, room, 19 * unit);
    context.fillStyle = stroke;
    context.fillText(label, x + 4 * unit, y + 14 * unit);
  };

  // A heat map: each of rows x columns cells in the shade of share(row, column), from 0 to 1.
  const heat = (context, unit, rows, columns, share, name) => {
    for (let y = 0; y < rows; y += 1) {
      for (let x = 0; x < columns; x += 1) {
        context.fillStyle = shade(share(y, x), name);
        // A little more than a cell: no seam shows between two of them.
        context.fillRect(x, y, 1 + unit / 2, 1 + unit / 2);
      }
    }
  };

  // A rectangle in one of the theme's colours. fill: its opacity inside.
  const outline = (context, unit, [x, y, width, height], name, { width: line = 3, fill = 0 } = {}) => {
    context.fillStyle = colour(name, fill);
    if (fill) context.fillRect(x, y, width, height);
    context.strokeStyle = colour(name);
    context.lineWidth = line * unit;
    context.strokeRect(x, y, width, height);
  };

  // A number in the middle of a cell of size 1, if there is room. Returns whether there is.
  const write = (context, unit, text, x, y) => {
    const height = Math.min(13, 0.32 / unit);
    if (height < 8.5) return false;
    context.font = `${height * unit}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = colour("--ink");
    context.fillText(text, x + 0.5, y + 0.5, 0.9);
    return true;
  };

  // All drawings again, after a change of the theme; or those whose place has another width.
  const redraw = () => {
    resolved.clear();
    for (const each of drawings) each.redraw();
  };
  const fit = () => {
    for (const each of drawings) if (each.element.parentElement.clientWidth !== each.shown) each.redraw();
  };

  return { colour, shade, canvas, image, box, heat, outline, write, redraw, fit, flush };
})(document.getElementById("photo"));
