// Truncated SVD: what a rank costs and keeps, and the detections at the nearest computed rank.
explain.section("svd", (numbers, root) => {
  const { page, fixed, whole } = explain;
  const find = (name) => root.querySelector(`#svd-${name}`);
  const [slider, choice] = [find("rank"), find("layer")];
  const { layers, tried } = numbers;
  const full = Math.max(...layers.map(({ values }) => values.length));
  const percent = (share) => `${fixed(100 * share, share > 0 && share < 0.1 ? 1 : 0)}%`;
  const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BELOW] = [400, 220, 44, 20, 8, 26]; // of a plot, and its margins

  // Small ranks differ most, so the slider moves by a share of the rank.
  const some = Array.from({ length: 61 }, (_, index) => Math.round(full ** (index / 60)));
  const ranks = [...new Set([...some, ...tried.slice(1).map(({ rank }) => rank), ...layers.map(({ largest }) => largest)])]
    .filter((rank) => rank >= 1 && rank <= full)
    .sort((a, b) => a - b);
  slider.max = String(ranks.length - 1);
  choice.replaceChildren(...layers.map(({ name }, index) => new Option(name, String(index))));
  // The smallest rank that loses no object of this image, or the largest one.
  const enough = tried.slice(1).find(({ same }) => same > 0 && same === tried[0].same) ?? tried.at(-1);
  slider.value = String(ranks.indexOf(enough.rank ?? full));

  const rank = () => ranks[Number(slider.value)];
  const layer = () => layers[Number(choice.value)];
  const kept = ({ energy }, t) => energy[Math.min(t, energy.length) - 1];
  const cost = ({ inputs, outputs }, t) => t * (inputs + outputs);
  // The uncompressed model counts as the full rank.
  const nearest = () => {
    const distance = (row) => Math.abs(Math.log((row.rank ?? full) / rank()));
    return tried.reduce((best, row) => (distance(row) < distance(best) ? row : best));
  };

  // A curve over the ranks, which are on a logarithmic scale; filled up to the rank.
  const curve = (name, values, most, label) =>
    explain.canvas(find(name), WIDTH, HEIGHT, (context, unit) => {
      const list = values();
      const x = (t) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(t)) / Math.log(Math.max(2, list.length));
      const y = (value) => HEIGHT - BELOW - ((HEIGHT - TOP - BELOW) * value) / (most() || 1);
      const text = (words, place, align) => {
        context.textAlign = align;
        context.fillStyle = explain.colour("--muted");
        context.fillText(words, ...place);
      };
      context.font = `${12 * unit}px sans-serif`;
      for (const share of [0, 0.5, 1]) {
        context.fillStyle = explain.colour("--rule");
        context.fillRect(LEFT, y(share * most()), WIDTH - LEFT - RIGHT, unit);
        text(label(share * most()), [LEFT - 6 * unit, y(share * most()) + 4 * unit], "right");
      }
      for (let t = 1; t <= list.length; t *= 4) text(whole(t), [x(t), HEIGHT - BELOW + 18 * unit], "center");
      const t = Math.min(rank(), list.length);
      const path = (last) => {
        context.beginPath();
        for (let at = 1; at <= last; at += 1) context.lineTo(x(at), y(list[at - 1]));
      };
      path(t);
      context.lineTo(x(t), y(0));
      context.lineTo(x(1), y(0));
      context.fillStyle = explain.colour("--first", 0.25);
      context.fill();
      path(list.length);
      context.strokeStyle = explain.colour("--first");
      context.lineWidth = 2 * unit;
      context.stroke();
      context.fillStyle = explain.colour("--second");
      context.fillRect(x(t) - unit, y(most()), 2 * unit, y(0) - y(most()));
      context.beginPath();
      context.arc(x(t), y(list[t - 1]), 5 * unit, 0, 2 * Math.PI);
      context.fill();
    });
  const plots = [
    curve("values", () => layer().values, () => Math.max(...layer().values), (value) => explain.short(value)),
    curve("energy", () => layer().energy, () => 1, (value) => percent(value)),
  ];

  const image = explain.image(find("image"), (context, unit) => {
    const { detections } = nearest();
    for (const { box, label, score } of detections.toReversed()) {
      const words = detections.length > 10 ? "" : `${page.classes[label - 1]} ${fixed(score)}`; // they would hide each other
      explain.box(context, unit, box, { stroke: "#7ee35c", label: words });
    }
  });

  const named = (row) => (row.rank === null ? "without compression" : `at rank ${whole(row.rank)}`);
  const byClass = ({ detections }) => {
    const counts = new Map();
    for (const { label } of detections) counts.set(label, (counts.get(label) ?? 0) + 1);
    const texts = [...counts].map(([label, number]) => (number === 1 ? page.classes[label - 1] : `${page.classes[label - 1]} × ${number}`));
    return texts.length ? ` (${texts.join(", ")})` : "";
  };
  const objects = (number) => `${number} ${number === 1 ? "detection" : "detections"}`;

  const sentence = () => {
    const { name, inputs, outputs, weights, split, largest, values } = layer();
    const t = Math.min(rank(), values.length);
    const start = `${name} at t = ${whole(t)}: ${whole(t)} × (${whole(outputs)} + ${whole(inputs)}) = ${whole(cost(layer(), t))} ` +
      `multiply-adds per proposal instead of ${whole(weights)}, which is ${percent(cost(layer(), t) / weights)}. ` +
      `${percent(kept(layer(), t))} of the energy is kept. `;
    const already = split === null ? "" : `The layer is already in two parts of rank ${whole(split)}. `;
    return start + already + (t > largest ? `Above rank ${whole(largest)} the two layers are not smaller than the one, so the layer stays as it is.` : "");
  };

  const update = () => {
    const [t, row] = [rank(), nearest()];
    find("ranked").textContent = whole(t);
    slider.setAttribute("aria-valuetext", `rank ${whole(t)}`);
    find("values-of").textContent = `of ${layer().name}, against the rank`;
    find("energy-of").textContent = `of ${layer().name}, against the rank`;
    find("words").textContent = sentence();
    find("values").setAttribute("aria-label", `The ${whole(layer().values.length)} singular values of ${layer().name}, from ${explain.short(layer().values[0])} down to ${explain.short(layer().values.at(-1))}. ${sentence()}`);
    find("energy").setAttribute("aria-label", `The share of the energy that each rank keeps, in ${layer().name}. ${sentence()}`);
    explain.rows(
      find("layers"),
      layers.map((each) => {
        const own = Math.min(t, each.values.length);
        return [each.name, `${whole(each.outputs)}\u00a0×\u00a0${whole(each.inputs)}`, whole(each.weights), whole(cost(each, own)), percent(cost(each, own) / each.weights), percent(kept(each, own))];
      }),
      (index) => index === Number(choice.value),
    );
    find("which").textContent = named(row);
    const near = row.rank === t ? "" : `, the computed rank nearest to ${whole(t)}`;
    const all = tried[0].detections.length;
    const found = all === 0 ? "Without compression there are none." : `${row.same} of ${all} without compression ${row.same === 1 ? "is" : "are"} among them: ` +
      "the same class, and an IoU of at least 0.5.";
    find("found").textContent = `${objects(row.detections.length)}${byClass(row)} ${named(row)}${near}. ${row.rank === null ? "" : found}`;
    find("image").setAttribute("aria-label", `The image with ${objects(row.detections.length)} ${named(row)}: ` +
      `${row.detections.slice(0, 10).map(({ label, score }) => `${page.classes[label - 1]} ${fixed(score)}`).join(", ") || "none"}.`);
    explain.rows(
      find("tried"),
      tried.map((each) => [
        each.rank === null ? "not truncated" : whole(each.rank),
        `${fixed(each.multiply_adds / 1e9, 2)}\u00a0billion`,
        String(each.detections.length),
        `${each.same} of ${tried[0].detections.length}`,
      ]),
      (index) => tried[index] === row,
    );
    for (const plot of plots) plot.redraw();
    image.redraw();
  };

  slider.addEventListener("input", update);
  choice.addEventListener("change", update);
  find("tried").addEventListener("click", (event) => {
    const clicked = event.target.closest("tr");
    if (!clicked) return;
    const row = tried[clicked.sectionRowIndex];
    slider.value = String(ranks.indexOf(row.rank ?? full));
    update();
  });
  update();
  return { show() {} };
});
