// The image with its proposals, and the feature map with the chosen one.
explain.section("map", (numbers, root) => {
  const { page, fixed, whole } = explain;
  const [height, width] = numbers.map;
  const pixels = numbers.stride / numbers.scale; // of the image, per cell
  const strongest = Math.max(...numbers.strength.flat());
  const weakest = Math.min(...numbers.strength.flat());
  const slider = root.querySelector("#map-count");
  let k = 0;

  slider.max = String(numbers.proposals.length);
  slider.value = String(Math.min(50, numbers.proposals.length));

  const image = explain.image(root.querySelector("#map-image"), (context, unit) => {
    for (const each of numbers.proposals.slice(0, Number(slider.value))) {
      explain.box(context, unit, each, { width: 1, stroke: "rgb(255 255 255 / .55)" });
    }
    for (const each of page.chosen.toReversed()) {
      const standsOut = each.kind === "best" || each.kind === "highest score";
      explain.box(context, unit, each.box, { width: standsOut ? 2 : 1, stroke: "#8fd0ff" });
    }
    const { box, label, score } = page.chosen[k];
    explain.box(context, unit, box, { width: 3, stroke: "#ffd24d", label: `${label} ${fixed(score)}` });
  });

  const cells = explain.canvas(root.querySelector("#map-cells"), width, height, (context, unit) => {
    const share = (y, x) => (numbers.strength[y][x] - weakest) / (strongest - weakest || 1);
    explain.heat(context, unit, height, width, share);
    const [x1, y1, x2, y2] = numbers.rois[k].map((value) => value / numbers.stride);
    explain.outline(context, unit, [x1, y1, x2 - x1, y2 - y1], "--second");
  });

  // A click selects the smallest chosen proposal under it; another click there, the next larger.
  const element = root.querySelector("#map-image");
  element.addEventListener("click", (event) => {
    const [x, y] = image.at(event);
    const area = ({ box: [x1, y1, x2, y2] }) => (x2 - x1 + 1) * (y2 - y1 + 1);
    const under = page.chosen
      .map((each, index) => ({ each, index }))
      .filter(({ each: { box: [x1, y1, x2, y2] } }) => x >= x1 && x <= x2 + 1 && y >= y1 && y <= y2 + 1)
      .sort((a, b) => area(a.each) - area(b.each));
    if (!under.length) return;
    const place = under.findIndex(({ index }) => index === k);
    explain.select(under[(place + 1) % under.length].index);
  });

  const count = () => {
    root.querySelector("#map-counted").textContent = `${whole(slider.value)} of ${whole(numbers.proposals.length)}`;
    image.redraw();
  };
  slider.addEventListener("input", count);
  count();

  explain.rows(root.querySelector("#map-sizes"), [
    ["Image, pixels", String(page.image.width), String(page.image.height)],
    [`Input of the network, pixels (× ${fixed(numbers.scale, 3)})`, ...numbers.input.toReversed().map(String)],
    [`Feature map, cells (÷ ${numbers.stride})`, String(width), String(height)],
  ]);
  root.querySelector("#map-cells-words").textContent =
    `${width} × ${height} cells of ${numbers.channels} channels. Stride ${numbers.stride}: one cell is ` +
    `${numbers.stride} × ${numbers.stride} pixels of the input, ${fixed(pixels, 1)} × ${fixed(pixels, 1)} of the image.`;
  element.setAttribute(
    "aria-label",
    `The image with ${page.chosen.length} chosen proposals. The list at the bottom of the page selects them by keyboard.`,
  );

  return {
    show(chosen) {
      k = chosen;
      const [roi, { box, label, score, kind }] = [numbers.rois[k], page.chosen[k]];
      const onMap = roi.map((value) => value / numbers.stride);
      explain.rows(root.querySelector("#map-places"), [
        ["In the image", ...box.map((value) => fixed(value, 0))],
        ["In the input", ...roi.map((value) => fixed(value, 1))],
        ["On the map, before rounding", ...onMap.map((value) => fixed(value, 2))],
      ]);
      root.querySelector("#map-image-words").textContent =
        `Proposal ${k + 1} of ${page.chosen.length} (number ${whole(page.chosen[k].index + 1)} of ${whole(numbers.proposals.length)}): ` +
        `${kind}. The first head's best class for it is ${label}, with a score of ${fixed(score)}.`;
      root.querySelector("#map-cells").setAttribute(
        "aria-label",
        `The feature map, ${width} by ${height} cells. The proposal covers x ${fixed(onMap[0], 1)} to ` +
          `${fixed(onMap[2], 1)}, y ${fixed(onMap[1], 1)} to ${fixed(onMap[3], 1)} of it.`,
      );
      image.redraw();
      cells.redraw();
    },
  };
});
