// RoI pooling of the chosen proposal in one channel, and the cells that a second one shares.
explain.section("pooling", (numbers, root) => {
  const { page, fixed, short } = explain;
  const find = (name) => root.querySelector(`#pooling-${name}`);
  const [mapHeight, mapWidth] = numbers.map;
  const [H, W] = numbers.pooled;
  const [channel, row, column, second] = ["channel", "i", "j", "second"].map(find);
  let k = 0;

  channel.replaceChildren(...numbers.channels.map((each, index) => new Option(`${each + 1} of ${numbers.all_channels}`, index)));
  second.replaceChildren(...page.chosen.map((each, index) => new Option(document.getElementById("chosen").options[index].text, index)));
  row.max = String(H - 1);
  column.max = String(W - 1);
  find("divided").textContent = `÷ ${numbers.stride}`;

  // The values of the channel, from 0 to 1 over the map.
  const values = () => numbers.values[channel.value];
  const scaled = () => {
    const all = values();
    const [low, high] = [Math.min(...all), Math.max(...all)];
    return (value) => (value - low) / (high - low || 1);
  };
  const clamped = (input, most) => Math.max(0, Math.min(most, Math.trunc(Number(input.value)) || 0));
  const bin = () => [clamped(row, H - 1), clamped(column, W - 1)];
  const cellOf = (i, j, roi = k) => numbers.cells[roi][channel.value][i * W + j];
  const maximum = (i, j) => (cellOf(i, j) < 0 ? 0 : values()[cellOf(i, j)]);
  const bounds = (i, j) => [...numbers.rows[k][i], ...numbers.columns[k][j]];

  // What is drawn of the map: the window, and a cell around it.
  const view = () => {
    const [r, c, h, w] = numbers.windows[k];
    const [top, left] = [Math.max(0, r - 1), Math.max(0, c - 1)];
    return { top, left, height: Math.min(mapHeight, r + h + 1) - top, width: Math.min(mapWidth, c + w + 1) - left };
  };

  const paper = (context, share) => (context.fillStyle = explain.shade(0.8 * share));
  // A number in a cell, if it fits.
  const write = (context, unit, text, x, y, size = 1) => {
    const height = Math.min(13, (0.34 * size) / unit);
    if (height < 8.5) return;
    context.font = `${height * unit}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = explain.colour("--ink");
    context.fillText(text, x, y);
  };

  const drawCells = (context, unit, { top, left, height, width }) => {
    const share = scaled();
    for (let y = top; y < top + height; y += 1) {
      for (let x = left; x < left + width; x += 1) {
        paper(context, share(values()[y * mapWidth + x]));
        context.fillRect(x - left, y - top, 1 + unit / 2, 1 + unit / 2);
      }
    }
  };

  const drawWindow = (context, unit) => {
    const place = view();
    drawCells(context, unit, place);
    const [chosenI, chosenJ] = bin();
    context.translate(-place.left, -place.top);
    // Bins a little smaller than their cells; cells that several bins share are darker.
    const inset = Math.min(0.12, 2 * unit);
    for (let i = 0; i < H; i += 1) {
      for (let j = 0; j < W; j += 1) {
        const [top, bottom, left, right] = bounds(i, j);
        if (bottom <= top || right <= left) continue;
        context.fillStyle = explain.colour("--second", 0.13);
        context.fillRect(left, top, right - left, bottom - top);
        context.strokeStyle = explain.colour("--second", 0.75);
        context.lineWidth = unit;
        context.strokeRect(left + inset, top + inset, right - left - 2 * inset, bottom - top - 2 * inset);
      }
    }
    const [r, c, h, w] = numbers.windows[k];
    context.strokeStyle = explain.colour("--ink");
    context.lineWidth = 2 * unit;
    context.strokeRect(c, r, w, h);
    const [top, bottom, left, right] = bounds(chosenI, chosenJ);
    context.strokeStyle = explain.colour("--first");
    context.lineWidth = 4 * unit;
    if (bottom > top && right > left) context.strokeRect(left, top, right - left, bottom - top);
    for (let y = place.top; y < place.top + place.height; y += 1) {
      for (let x = place.left; x < place.left + place.width; x += 1) {
        write(context, unit, short(values()[y * mapWidth + x]), x + 0.5, y + 0.5);
      }
    }
    for (let i = 0; i < H; i += 1) {
      for (let j = 0; j < W; j += 1) {
        const cell = cellOf(i, j);
        if (cell < 0) continue;
        context.beginPath();
        const x = (cell % mapWidth) + 0.5;
        const isLarge = 0.34 / unit >= 8.5; // the number is written: the dot is below it
        const y = Math.floor(cell / mapWidth) + (isLarge ? 0.84 : 0.5);
        context.arc(x, y, Math.max(3 * unit, Math.min(0.09, 4 * unit)), 0, 7);
        context.fillStyle = explain.colour("--bad");
        context.fill();
      }
    }
  };

  const drawResult = (context, unit) => {
    const share = scaled();
    for (let i = 0; i < H; i += 1) {
      for (let j = 0; j < W; j += 1) {
        paper(context, share(maximum(i, j)));
        context.fillRect(j, i, 1 + unit / 2, 1 + unit / 2);
        write(context, unit, short(maximum(i, j)), j + 0.5, i + 0.5);
      }
    }
    const [i, j] = bin();
    context.strokeStyle = explain.colour("--first");
    context.lineWidth = 4 * unit;
    context.strokeRect(j, i, 1, 1);
  };

  const drawBoth = (context, unit) => {
    drawCells(context, unit, { top: 0, left: 0, height: mapHeight, width: mapWidth });
    for (const [roi, name] of [[Number(second.value), "--measure-1"], [k, "--second"]]) {
      const [r, c, h, w] = numbers.windows[roi];
      context.fillStyle = explain.colour(name, 0.18);
      context.fillRect(c, r, w, h);
      context.strokeStyle = explain.colour(name);
      context.lineWidth = 3 * unit;
      context.strokeRect(c, r, w, h);
    }
  };

  const window_ = explain.canvas(find("window"), 1, 1, drawWindow);
  const result = explain.canvas(find("result"), W, H, drawResult);
  const both = explain.canvas(find("both"), mapWidth, mapHeight, drawBoth);

  // The bounds of a bin with the numbers of this RoI put into the formula.
  const written = (name, [first, end], start, length, index, bins) => {
    const [low, high] = [Math.floor((index * length) / bins), Math.ceil(((index + 1) * length) / bins)];
    const differs = end !== Math.min(start + high, name === "rows" ? mapHeight : mapWidth) && end > first;
    return (
      `${name} ${start} + ⌊${index} × ${length} ÷ ${bins}⌋ = ${start} + ${low} to ` +
      `${start} + ⌈${index + 1} × ${length} ÷ ${bins}⌉ − 1 = ${start} + ${high} − 1: ` +
      (end > first ? `${name} ${first} to ${end - 1}` : `no ${name} of the map`) +
      (differs ? " (clipped or rounded as the computer's 32-bit numbers are)" : "")
    );
  };

  const shared = () => {
    const other = Number(second.value);
    const [[r, c, h, w], [r2, c2, h2, w2]] = [numbers.windows[k], numbers.windows[other]];
    const height = Math.max(0, Math.min(r + h, r2 + h2) - Math.max(r, r2));
    const width = Math.max(0, Math.min(c + w, c2 + w2) - Math.max(c, c2));
    let same = 0;
    numbers.channels.forEach((_, index) => {
      const read = new Set(numbers.cells[other][index].filter((cell) => cell >= 0));
      for (const cell of new Set(numbers.cells[k][index])) if (read.has(cell)) same += 1;
    });
    find("shared").textContent =
      `Proposal ${k + 1} has ${h * w} cells, proposal ${other + 1} has ${h2 * w2}, and ${height * width} cells are in both. ` +
      `The network computed them once. In the ${numbers.channels.length} channels shown, ${same} numbers of the map are ` +
      "the maximum of a bin of both proposals. In training, the gradients of both are added there.";
    find("both").setAttribute("aria-label", `Windows of proposals ${k + 1} and ${other + 1} on the feature map`);
  };

  const explainBin = () => {
    const [i, j] = bin();
    const [r, c, h, w] = numbers.windows[k];
    const [cell, best] = [cellOf(i, j), maximum(i, j)];
    find("bin-title").textContent = `Bin (${i}, ${j})`;
    find("bin-rows").textContent = written("rows", numbers.rows[k][i], r, h, i, H);
    find("bin-columns").textContent = written("columns", numbers.columns[k][j], c, w, j, W);
    find("bin-maximum").textContent =
      cell < 0
        ? "The bin has no cell of the map: its result is 0."
        : `Maximum ${short(best)}, at row ${Math.floor(cell / mapWidth)}, column ${cell % mapWidth} of the map (the argmax).`;
  };

  const redraw = () => {
    const { height, width } = view();
    Object.assign(window_, { width, height });
    for (const drawing of [window_, result, both]) drawing.redraw();
    const table = Array.from({ length: H }, (_, i) => [`i = ${i}`, ...Array.from({ length: W }, (_, j) => short(maximum(i, j)))]);
    explain.rows(find("values"), table);
    explainBin();
    shared();
  };

  const selectBin = (i, j) => {
    [row.value, column.value] = [String(i), String(j)];
    redraw();
  };
  // A click selects the bin whose centre is nearest, of those that contain the cell.
  find("window").addEventListener("click", (event) => {
    const [x, y] = [window_.at(event)[0] + view().left, window_.at(event)[1] + view().top];
    const nearest = (parts, at) => {
      const distance = ([first, end]) => (at < first || at >= end ? 1e6 : 0) + Math.abs((first + end) / 2 - at);
      return parts.reduce((best, part, index) => (distance(part) < distance(parts[best]) ? index : best), 0);
    };
    selectBin(nearest(numbers.rows[k], y), nearest(numbers.columns[k], x));
  });
  find("result").addEventListener("click", (event) => {
    const [x, y] = result.at(event).map(Math.floor);
    selectBin(Math.min(H - 1, y), Math.min(W - 1, x));
  });
  for (const each of [channel, row, column, second]) each.addEventListener("input", redraw);

  return {
    show(chosen) {
      if (Number(second.value) === chosen) second.value = String((chosen + 1) % page.chosen.length);
      k = chosen;
      const [x1, y1, x2, y2] = numbers.rois[k];
      const [r, c, h, w] = numbers.windows[k];
      const line = (name, value, cell) => [name, fixed(value, 1), fixed(value / numbers.stride, 2), String(cell)];
      explain.rows(find("rounding"), [
        line("y1 → first row r", y1, r),
        line("x1 → first column c", x1, c),
        line(`y2 → last row (h = ${h})`, y2, r + h - 1),
        line(`x2 → last column (w = ${w})`, x2, c + w - 1),
      ]);
      const words = `(r, c, h, w) = (${r}, ${c}, ${h}, ${w}): ${h} × ${w} cells become ${H} × ${W} numbers per channel.`;
      find("window-words").textContent = words;
      find("window").setAttribute("aria-label", `The cells of the window ${words} The tables below have the numbers.`);
      find("result").setAttribute("aria-label", "The pooled map; the table below has its numbers.");
      redraw();
    },
  };
});
