// Labels of boxes in an enlarged image: each takes the first place at its box where it covers no
// earlier label, otherwise the place where it covers least.
const placeLabels = (svg, size) => {
  const image = svg.viewBox.baseVal;
  const taken = [];
  const common = (a, b) =>
    Math.max(0, Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)) *
    Math.max(0, Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y));

  const place = (group) => {
    const text = group.querySelector("text");
    const box = group.querySelector("rect").getBBox();
    const width = text.getComputedTextLength() + 0.4 * size;
    const height = 1.25 * size;
    const [left, right] = [box.x, box.x + box.width - width];
    const [top, bottom] = [box.y, box.y + box.height];
    // Detections are labelled above, objects below, where both are free.
    const rows = group.classList.contains("object")
      ? [bottom, bottom - height, top - height, top]
      : [top - height, top, bottom, bottom - height];
    const places = [
      ...rows.map((y) => ({ x: left, y })),
      ...rows.map((y) => ({ x: right, y })),
      ...[top, bottom - height].flatMap((y) => [
        { x: box.x + box.width, y },
        { x: box.x - width, y },
      ]),
    ].map(({ x, y }) => ({
      x: Math.max(0, Math.min(x, image.width - width)),
      y: Math.max(0, Math.min(y, image.height - height)),
      width,
      height,
      moved: y < 0 || y > image.height - height,
    }));
    const covered = (candidate) =>
      taken.reduce((sum, other) => sum + common(candidate, other), candidate.moved ? 1e-3 : 0);
    const best = places.reduce((a, b) => (covered(b) < covered(a) ? b : a));
    taken.push(best);
    text.setAttribute("x", best.x + 0.2 * size);
    text.setAttribute("y", best.y + 0.95 * size);
  };

  const groups = [...svg.querySelectorAll("g")];
  const rank = (group) => (group.classList.contains("chosen") ? 0 : group.classList.contains("detection") ? 1 : 2);
  groups.sort((a, b) => rank(a) - rank(b)).forEach(place);
};
