// The loss of the chosen proposal: its role in training, both terms, and the curve of the second.
explain.section("loss", (numbers, root) => {
  const { page, fixed, short, whole } = explain;
  const find = (name) => root.querySelector(`#loss-${name}`);
  find("missing").hidden = numbers.missing === null;
  find("content").hidden = numbers.missing !== null;
  find("missing").textContent = numbers.missing;
  if (numbers.missing !== null) return { show() {} };

  const { curve, sample, lambda } = numbers;
  const [low, high] = numbers.background_iou;
  const ROLES = {
    foreground: ["Foreground", `at least ${numbers.foreground_iou}`],
    background: ["Background", numbers.objects ? `${low} to below ${high}` : "no objects"],
    "too far": ["Not sampled: little overlap", `below ${low}`],
    ignored: ["Not sampled: a difficult object", `at least ${numbers.foreground_iou} with it`],
  };
  const COORDINATES = ["x", "y", "w", "h"];
  const COLOURS = ["--first", "--second", "--good", "--bad"];
  const size = (value) => (value === null ? "–" : fixed(value, value < 0.1 ? 4 : 3));
  let k = 0;
  const roi = () => numbers.rois[k];

  const image = explain.image(find("image"), (context, unit) => {
    const { object, object_box, box, label } = roi();
    if (object) explain.box(context, unit, object_box, { width: 3, stroke: "#7ee35c", label: object });
    explain.box(context, unit, page.chosen[k].box, { width: 3, stroke: "#ffd24d" });
    if (box && lambda) explain.box(context, unit, box, { width: 3, stroke: "#ff9a3d", dash: [7, 5] });
  });

  // ---- The curves, with a point per coordinate.
  const [WIDTH, HEIGHT, LEFT, BELOW] = [400, 250, 40, 26];
  const end = curve.x.at(-1);
  const most = Math.max(...curve.smooth_l1) * 1.1;
  const at = (x, y) => [
    LEFT + ((WIDTH - LEFT - 12) * (x + end)) / (2 * end),
    HEIGHT - BELOW - ((HEIGHT - BELOW - 10) * y) / most,
  ];
  const plot = explain.canvas(find("curve"), WIDTH, HEIGHT, (context, unit) => {
    context.font = `${12 * unit}px sans-serif`;
    context.lineWidth = unit;
    const text = (words, [x, y], align, colour = "--muted") => {
      context.textAlign = align;
      context.fillStyle = explain.colour(colour);
      context.fillText(words, x, y);
    };
    const line = (from, to) => {
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
    };
    context.strokeStyle = explain.colour("--rule");
    for (const x of [-end, -1, 0, 1, end]) {
      line(at(x, 0), at(x, most));
      text(fixed(x, 0), [at(x, 0)[0], HEIGHT - BELOW + 17 * unit], "center");
    }
    const step = most < 2 ? 0.5 : Math.ceil(most / 4);
    for (let y = 0; y <= most; y += step) {
      line(at(-end, y), at(end, y));
      text(fixed(y, step < 1 ? 1 : 0), [LEFT - 6 * unit, at(0, y)[1] + 4 * unit], "right");
    }
    const path = (values, colour, dash) => {
      context.beginPath();
      curve.x.forEach((x, index) => values[index] <= most && context.lineTo(...at(x, values[index])));
      context.setLineDash(dash.map((length) => length * unit));
      context.strokeStyle = explain.colour(colour);
      context.lineWidth = 2 * unit;
      context.stroke();
      context.setLineDash([]);
    };
    path(curve.l2, "--muted", [6, 5]);
    path(curve.smooth_l1, "--ink", []);
    const points = (roi().x ?? []).map((x, index) => ({ index, place: at(x, roi().smooth_l1[index]) }));
    points.sort((first, second) => first.place[0] - second.place[0]);
    let [previous, level] = [-Infinity, 0];
    for (const { index, place: [left, top] } of points) {
      context.beginPath();
      context.arc(left, top, 5 * unit, 0, 2 * Math.PI);
      context.fillStyle = explain.colour(COLOURS[index]);
      context.fill();
      // Letters of points that lie close together are stacked.
      level = left - previous < 13 * unit ? level + 1 : 0;
      previous = left;
      text(COORDINATES[index], [left, top - (10 + 14 * level) * unit], "center", COLOURS[index]);
    }
  });

  const sentence = ({ role, iou, object, label, p }) => {
    const near = object ? `This proposal has an IoU of ${fixed(iou, 3)} with the ${object}` : "This proposal overlaps no object";
    if (role === "too far") return `${near}. Training does not sample it: background is sampled from proposals with an IoU of at least ${low}, which are harder to tell from objects.`;
    if (role === "ignored") return "This proposal lies on an object that is marked difficult, or on a crowd. Training does not sample it.";
    const meaning = role === "foreground" ? `so it is foreground: its true class u is ${label}` : "so it is background, u = 0";
    return `${near}, ${meaning}. The network gives ${label} a probability of ${fixed(p, p > 0.995 || p < 0.01 ? 4 : 2)}.`;
  };

  find("sample").textContent =
    `A mini-batch has ${sample.rois} of them from this image${sample.rois ? `, here ${sample.foreground} foreground and ${sample.rois - sample.foreground} background` : ""}. ` +
    `Their mean loss is ${size(sample.total)}${lambda ? `: ${size(sample.classification)} for the classes, and ${size(sample.box_regression)} for the boxes, where background counts as 0` : ""}.`;
  find("head").textContent =
    (lambda ? `λ is ${lambda}, as in the paper. ` : "λ is 0: this network has no box regression. ") +
    "The numbers are those of the first head, without dropout, by the sampling rules of the paper; the model may have been trained with others." +
    (numbers.cascade ? " The second head has a loss of the same form, for the boxes that the first one predicts." : "");

  return {
    show(chosen) {
      k = chosen;
      const { role, iou, object, label, p, classification, box_regression = 0 } = roi();
      const isDrawn = classification !== null;
      find("words").textContent = sentence(roi());
      find("image").setAttribute("aria-label", `The image with the proposal${object ? ` and the ${object} that it overlaps most` : ""}. ${sentence(roi())}`);
      explain.rows(find("terms"), [
        ["IoU with the nearest object", fixed(iou, 3)],
        ["Role", ROLES[role][0]],
        ["True class u", isDrawn ? label : "–"],
        ["Its probability p\u1d64", size(p)],
        ["−log p\u1d64", size(classification)],
        [`λ Σ smooth L1, λ = ${lambda}`, isDrawn ? (role === "foreground" ? size(lambda * box_regression) : "0 (background)") : "–"],
        ["Loss L", isDrawn ? size(classification + lambda * box_regression) : "none"],
      ]);
      find("terms").lastElementChild.classList.add("marked");
      const roles = Object.keys(ROLES).filter((name) => numbers.roles[name] || name === "foreground" || name === "background");
      explain.rows(find("roles"), roles.map((name) => [...ROLES[name], whole(numbers.roles[name])]), (index) => roles[index] === role);
      find("legend").textContent =
        `Yellow: the proposal. ${object ? "Green: the object that it overlaps most. " : ""}` +
        (role === "foreground" && lambda ? "Orange, dashed: where the network's offsets for class u move the proposal." : "");
      find("boxes").hidden = role !== "foreground" || !lambda;
      if (role === "foreground") {
        const of = roi();
        const sum = (values) => values.reduce((total, value) => total + value, 0);
        explain.rows(find("offsets"), [
          ...COORDINATES.map((name, i) => [name, ...["t", "v", "t_normalised", "v_normalised", "x", "smooth_l1", "l2"].map((column) => short(of[column][i]))]),
          ["Sum", "", "", "", "", "", short(of.box_regression), short(sum(of.l2))],
        ]);
        find("offsets").lastElementChild.classList.add("marked");
        find("curve").setAttribute("aria-label", `Smooth L1 against t minus v, with the points ${COORDINATES.map((name, i) => `${name} at ${short(of.x[i])}: ${short(of.smooth_l1[i])}`).join(", ")}.`);
        plot.redraw();
      }
      image.redraw();
    },
  };
});
