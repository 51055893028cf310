// The gradients that RoI pooling sends to each cell of the map, and their sum for one cell.
explain.section("gradient", (numbers, root) => {
  const { page, fixed, whole } = explain;
  const find = (name) => root.querySelector(`#gradient-${name}`);
  const [height, width] = numbers.map;
  const bins = numbers.pooled[1];
  const [shown, channel, row, column] = ["shown", "channel", "row", "column"].map(find);
  const count = (number, one, many) => `${whole(number)} ${number === 1 ? one : many}`;
  const gradients = (number) => count(number, "gradient", "gradients");
  const photo = document.getElementById("photo");
  let k = 0;

  shown.options[0].textContent = `gradients in all ${numbers.all_channels} channels`;
  channel.replaceChildren(...numbers.channels.map((each, index) => new Option(`${each.channel + 1} of ${numbers.all_channels}`, index)));
  row.max = String(height - 1);
  column.max = String(width - 1);

  const clamped = (input, most) => Math.max(0, Math.min(most, Math.trunc(Number(input.value)) || 0));
  const place = () => [clamped(row, height - 1), clamped(column, width - 1)];
  const current = () => numbers.channels[channel.value];

  // How many outputs of the channel have their maximum in each cell, by cell.
  const inChannel = () => {
    const counts = new Array(height * width).fill(0);
    for (const cell of current()?.argmax.flat() ?? []) if (cell >= 0) counts[cell] += 1;
    return counts;
  };
  const counts = () => (shown.value === "all" ? numbers.counts.flat() : inChannel());

  // The terms of equation 4 for the cell, largest first.
  const terms = () => {
    const [y, x] = place();
    const found = [];
    (current()?.argmax ?? []).forEach((cells, r) =>
      cells.forEach((cell, j) => {
        if (cell === y * width + x) found.push({ r, j, value: current().gradient?.[r][j] ?? null });
      }),
    );
    return found.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  };

  const map = explain.canvas(find("map"), width, height, (context, unit) => {
    const all = counts();
    const most = Math.max(1, ...all);
    context.fillStyle = explain.colour("--panel");
    context.fillRect(0, 0, width, height);
    // Cell i of the map is centred on pixel i times the stride.
    context.globalAlpha = 0.3;
    context.filter = "grayscale(1)";
    context.drawImage(photo, 0.5, 0.5, page.image.width / numbers.cell, page.image.height / numbers.cell);
    context.globalAlpha = 1;
    context.filter = "none";
    all.forEach((value, cell) => {
      // The root shows small counts beside large ones.
      context.fillStyle = explain.colour("--second", 0.9 * Math.sqrt(value / most));
      context.fillRect(cell % width, Math.floor(cell / width), 1, 1);
    });
    context.lineWidth = 2.5 * unit;
    if (numbers.windows[k]) {
      const [[top, bottom], [left, right]] = numbers.windows[k];
      context.strokeStyle = explain.colour("--first");
      context.strokeRect(left, top, right - left + 1, bottom - top + 1);
    }
    const [y, x] = place();
    context.strokeStyle = explain.colour("--ink");
    context.strokeRect(x, y, 1, 1);
  });

  const update = () => {
    const [y, x] = place();
    const all = counts();
    const found = terms();
    const where = shown.value === "all" ? "all channels" : `channel ${current().channel + 1}`;
    const reached = all.filter((value) => value > 0).length;
    find("words").textContent =
      `${gradients(all.reduce((sum, value) => sum + value, 0))} in ${where} fall on ${whole(reached)} of ${whole(height * width)} cells, ` +
      `${gradients(Math.max(...all))} on the one that gets the most.${numbers.windows[k] ? " Blue: the chosen proposal." : ""}`;
    find("map").setAttribute("aria-label", `A heat map of ${width} by ${height} cells. ${find("words").textContent} The cell in row ${y}, column ${x} gets ${gradients(all[y * width + x])}.`);
    find("title-of-cell").textContent = `The cell in row ${y}, column ${x}`;
    const total = found.reduce((sum, { value }) => sum + value, 0);
    const written = found.slice(0, 5).map(({ value }, index) => (value < 0 ? (index ? " − " : "−") : index ? " + " : "") + fixed(Math.abs(value)));
    const more = found.length - written.length;
    const inCell = `In channel ${current().channel + 1} it is the maximum of ${count(found.length, "bin", "bins")}`;
    find("sum").textContent = !found.length
      ? `${inCell}, so no gradient reaches it: ∂L/∂x = 0.`
      : numbers.missing === null
        ? `${inCell}. ∂L/∂x = ${written.join("")}${more ? ` … (${more} more)` : ""} = ${fixed(total)} (× 10${exponent})`
        : `${inCell}: ∂L/∂x is the sum of their ${gradients(found.length)}.`;
    explain.rows(
      find("terms"),
      found.map(({ r, j, value }) => [
        `${r + 1}${numbers.rois[r].label ? `: ${numbers.rois[r].label}` : ""}`,
        `${Math.floor(j / bins)}, ${j % bins}`,
        ...(numbers.missing === null ? [fixed(value)] : []),
      ]),
    );
    find("terms").closest(".scroll").hidden = !found.length;
    map.redraw();
  };
  const exponent = String(numbers.unit).replace("-", "⁻").replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
  find("unit").textContent = numbers.missing === null ? `in units of 10${exponent}, largest first` : "";

  const choose = (y, x) => {
    row.value = String(y);
    column.value = String(x);
    update();
  };
  // The cell of a part of the map with the most gradients in the channel.
  const busiest = ([[top, bottom], [left, right]]) => {
    const all = inChannel();
    let best = [top, left];
    for (let y = top; y <= bottom; y += 1) {
      for (let x = left; x <= right; x += 1) if (all[y * width + x] > all[best[0] * width + best[1]]) best = [y, x];
    }
    return best;
  };

  find("map").addEventListener("click", (event) => {
    const [x, y] = map.at(event);
    choose(Math.min(height - 1, Math.floor(y)), Math.min(width - 1, Math.floor(x)));
  });
  for (const input of [shown, channel, row, column]) input.addEventListener("input", update);
  find("most").addEventListener("click", () => choose(...busiest([[0, height - 1], [0, width - 1]])));

  const drawn = count(numbers.rois.length, "proposal", "proposals");
  const values =
    numbers.missing === null
      ? "L is the mean loss of the first head over them; a mini-batch has a second image with as many."
      : "The section on the loss says why there is no loss, so this one shows where gradients fall, but not their values.";
  find("values").hidden = numbers.missing !== null;
  find("sample").textContent =
    (numbers.rois[0]?.label ? `The ${drawn} of the previous section's mini-batch` : `${drawn} selected at random`) +
    ` have ${count(numbers.outputs, "output", "outputs")} after pooling (${numbers.rois.length} × ${numbers.all_channels} channels × ${numbers.pooled.join(" × ")} bins)` +
    `${numbers.empty ? `; ${count(numbers.empty, "belongs to an empty bin and has", "belong to empty bins and have")} no gradient` : ""}. ${values}`;

  return {
    show(chosen) {
      k = chosen;
      choose(...busiest(numbers.windows[k] ?? [[0, height - 1], [0, width - 1]]));
    },
  };
});
