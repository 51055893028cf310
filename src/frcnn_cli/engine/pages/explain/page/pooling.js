// RoI pooling of the chosen proposal in one channel, and the cells that a second one shares.
explain.section("pooling", (numbers, root) => {
  const { page, rows, fixed, short, whole } = explain;
  const find = (name) => root.querySelector(`#pooling-${name}`);
  const [mapHeight, mapWidth] = numbers.map;
  const [H, W] = numbers.pooled;
  const [channel, row, column, second] = ["channel", "i", "j", "second"].map(find);
  let k = 0;
  let range = [0, 1]; // of the channel's values

  channel.replaceChildren(
    ...numbers.channels.map((each, index) => new Option(`${each + 1} of ${numbers.all_channels}`, index)),
  );
  second.replaceChildren(...[...document.getElementById("chosen").options].map(({ text, value }) => new Option(text, value)));
  [row.max, column.max] = [String(H - 1), String(W - 1)];
  find("divided").textContent = `÷ ${numbers.stride}`;

  // ---- Values of the channel, and the bins of the chosen proposal.
  const valueAt = (y, x) => numbers.values[channel.value][y * mapWidth + x];
  const share = (value) => (0.8 * (value - range[0])) / (range[1] - range[0] || 1);
  const clamped = (input, most) => Math.max(0, Math.min(most, Math.trunc(Number(input.value)) || 0));
  const bin = () => [clamped(row, H - 1), clamped(column, W - 1)];
  const cellOf = (i, j) => numbers.cells[k][channel.value][i * W + j];
  const placeOf = (cell) => [Math.floor(cell / mapWidth), cell % mapWidth];
  const maximum = (i, j) => (cellOf(i, j) < 0 ? 0 : valueAt(...placeOf(cellOf(i, j))));
  const bounds = (i, j) => [...numbers.rows[k][i], ...numbers.columns[k][j]];
  const grid = (height, width, each) =>
    Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => each(y, x)));
  const everyBin = grid(H, W, (i, j) => [i, j]).flat();

  // What is drawn of the map: the window, and one cell around it.
  const view = () => {
    const [r, c, h, w] = numbers.windows[k];
    const [top, left] = [Math.max(0, r - 1), Math.max(0, c - 1)];
    return { top, left, height: Math.min(mapHeight, r + h + 1) - top, width: Math.min(mapWidth, c + w + 1) - left };
  };

  // ---- Drawings.
  const drawWindow = (context, unit) => {
    const { top: y0, left: x0, height, width } = view();
    explain.heat(context, unit, height, width, (y, x) => share(valueAt(y0 + y, x0 + x)));
    context.translate(-x0, -y0);
    // Where bins share cells, their shades add up.
    for (const [i, j] of everyBin) {
      const [top, bottom, left, right] = bounds(i, j);
      const place = [left, top, right - left, bottom - top];
      if (place[2] > 0 && place[3] > 0) explain.outline(context, unit, place, "--second", { width: 1, fill: 0.13 });
    }
    const [r, c, h, w] = numbers.windows[k];
    explain.outline(context, unit, [c, r, w, h], "--ink", { width: 2 });
    const [top, bottom, left, right] = bounds(...bin());
    if (bottom > top && right > left) explain.outline(context, unit, [left, top, right - left, bottom - top], "--first", { width: 4 });
    let isWritten = false;
    for (const [y, x] of grid(height, width, (a, b) => [y0 + a, x0 + b]).flat()) {
      isWritten = explain.write(context, unit, short(valueAt(y, x)), x, y);
    }
    context.fillStyle = explain.colour("--bad");
    for (const cell of new Set(numbers.cells[k][channel.value])) {
      if (cell < 0) continue;
      const [y, x] = placeOf(cell);
      context.beginPath();
      context.arc(x + 0.5, y + (isWritten ? 0.84 : 0.5), 3.5 * unit, 0, 7);
      context.fill();
    }
  };

  const drawResult = (context, unit) => {
    explain.heat(context, unit, H, W, (i, j) => share(maximum(i, j)));
    for (const [i, j] of everyBin) explain.write(context, unit, short(maximum(i, j)), j, i);
    const [i, j] = bin();
    explain.outline(context, unit, [j, i, 1, 1], "--first", { width: 4 });
  };

  const drawBoth = (context, unit) => {
    explain.heat(context, unit, mapHeight, mapWidth, (y, x) => share(valueAt(y, x)));
    for (const [roi, name] of [[Number(second.value), "--measure-1"], [k, "--second"]]) {
      const [r, c, h, w] = numbers.windows[roi];
      explain.outline(context, unit, [c, r, w, h], name, { fill: 0.2 });
    }
  };

  const cells = explain.canvas(find("window"), 1, 1, drawWindow);
  const result = explain.canvas(find("result"), W, H, drawResult);
  const both = explain.canvas(find("both"), mapWidth, mapHeight, drawBoth);

  // ---- Words.
  // The bounds of a bin, with the numbers of this RoI put into the formula.
  const written = (name, [first, end], start, length, index, bins, extent) => {
    const low = Math.floor((index * length) / bins);
    const high = Math.ceil(((index + 1) * length) / bins);
    const isExact = first === start + low && end === start + high;
    const why = start < 0 || start + length > extent ? "clipped to the map" : "32-bit numbers are rounded";
    return (
      `${name} ${start} + ⌊${index} × ${length} ÷ ${bins}⌋ = ${start + low} to ` +
      `${start} + ⌈${index + 1} × ${length} ÷ ${bins}⌉ − 1 = ${start + high - 1}` +
      (isExact ? "." : `; ${why}: ${end > first ? `${first} to ${end - 1}` : "none"}.`)
    );
  };

  const explainBin = () => {
    const [i, j] = bin();
    const [r, c, h, w] = numbers.windows[k];
    const [top, bottom, left, right] = bounds(i, j);
    const best = placeOf(cellOf(i, j));
    find("bin-title").textContent = `Bin (${i}, ${j})`;
    find("bin-rows").textContent = written("Rows", numbers.rows[k][i], r, h, i, H, mapHeight);
    find("bin-columns").textContent = written("Columns", numbers.columns[k][j], c, w, j, W, mapWidth);
    find("bin-maximum").textContent =
      cellOf(i, j) < 0
        ? "The bin has no cell of the map: its result is 0."
        : `Maximum ${short(maximum(i, j))}, in row ${best[0]}, column ${best[1]} of the map (the argmax).`;
    const isEmpty = bottom <= top || right <= left;
    const place = isEmpty ? [] : grid(bottom - top, right - left, (y, x) => [top + y, left + x]);
    find("bin-table").hidden = isEmpty;
    rows(find("bin-head"), [["row", ...(place[0] ?? []).map(([, x]) => String(x))]]);
    rows(find("bin-cells"), place.map((line) => [String(line[0][0]), ...line.map((each) => short(valueAt(...each)))]));
    find("bin-cells").rows[best[0] - top]?.cells[best[1] - left + 1].classList.add("top");
  };

  // The first row and column of a window on the map, and the ends of both; and its number of cells.
  const onMap = ([r, c, h, w]) => [Math.max(r, 0), Math.max(c, 0), Math.min(r + h, mapHeight), Math.min(c + w, mapWidth)];
  const size = ([top, left, bottom, right]) => whole(Math.max(0, bottom - top) * Math.max(0, right - left));

  const compare = () => {
    const other = Number(second.value);
    const own = onMap(numbers.windows[k]);
    const others = onMap(numbers.windows[other]);
    const common = [0, 1].map((at) => Math.max(own[at], others[at])).concat([2, 3].map((at) => Math.min(own[at], others[at])));
    const maxima = (roi, index) => new Set(numbers.cells[roi][index].filter((cell) => cell >= 0));
    const same = numbers.channels.map((_, index) => [...maxima(k, index)].filter((cell) => maxima(other, index).has(cell)).length);
    find("shared").textContent =
      `Proposal ${k + 1} covers ${size(own)} cells of the map, proposal ${other + 1} covers ${size(others)}, and ${size(common)} are in both. ` +
      `${size(common) === "0" ? "" : "The network computed them once. "}In the ${numbers.channels.length} channels of the list above, ` +
      `${same.reduce((a, b) => a + b, 0)} numbers of the map are the maximum of a bin in both. In training, the gradients ` +
      "of both proposals are added there.";
    find("both").setAttribute("aria-label", `The windows of proposals ${k + 1} and ${other + 1} on the feature map`);
  };

  const redraw = () => {
    const values = numbers.values[channel.value];
    range = [Math.min(...values), Math.max(...values)];
    const { height, width } = view();
    Object.assign(cells, { width, height });
    for (const each of [cells, result, both]) each.redraw();
    rows(find("values"), grid(H, W, (i, j) => short(maximum(i, j))).map((line, i) => [String(i), ...line]));
    explainBin();
    compare();
  };

  // ---- Choice of a bin: of those that contain the clicked cell, the one whose centre is nearest.
  const choose = (i, j) => {
    [row.value, column.value] = [String(i), String(j)];
    redraw();
  };
  find("window").addEventListener("click", (event) => {
    const [x, y] = cells.at(event);
    const nearest = (parts, at) => {
      const distance = ([first, end]) => (at < first || at >= end ? 1e6 : 0) + Math.abs((first + end) / 2 - at);
      return parts.reduce((best, part, index) => (distance(part) < distance(parts[best]) ? index : best), 0);
    };
    choose(nearest(numbers.rows[k], y + view().top), nearest(numbers.columns[k], x + view().left));
  });
  find("result").addEventListener("click", (event) => {
    const [x, y] = result.at(event).map(Math.floor);
    choose(Math.min(H - 1, y), Math.min(W - 1, x));
  });
  for (const each of [channel, row, column, second]) each.addEventListener("input", redraw);

  return {
    show(chosen) {
      k = chosen;
      if (Number(second.value) === k) second.value = String((k + 1) % page.chosen.length);
      const [x1, y1, x2, y2] = numbers.rois[k];
      const [r, c, h, w] = numbers.windows[k];
      const line = (name, value, cell) => [name, fixed(value, 1), fixed(value / numbers.stride, 2), String(cell)];
      rows(find("rounding"), [
        line("y1 → first row r", y1, r),
        line("x1 → first column c", x1, c),
        line(`y2 → last row; h = ${h}`, y2, r + h - 1),
        line(`x2 → last column; w = ${w}`, x2, c + w - 1),
      ]);
      const words = `(r, c, h, w) = (${r}, ${c}, ${h}, ${w}): ${h} × ${w} cells become ${H} × ${W} numbers per channel.`;
      find("window-words").textContent = words;
      find("window").setAttribute("aria-label", `The cells of the window ${words} The tables below have the numbers.`);
      redraw();
    },
  };
});
