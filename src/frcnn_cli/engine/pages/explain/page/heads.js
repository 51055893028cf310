// The layers of the heads for the chosen proposal, its class, and its box.
explain.section("heads", (numbers, root) => {
  const { page, rows, bar, fixed, short, whole } = explain;
  const find = (name) => root.querySelector(`#heads-${name}`);
  const names = ["background", ...page.classes];
  const isMargin = page.classifier === "svm";
  const SHOWN = 8; // classes
  let k = 0;

  const drawn = explain.image(find("box"), (context, unit) => {
    explain.box(context, unit, page.chosen[k].box, { stroke: "#8fd0ff", dash: [6, 4] });
    if (numbers.second) explain.box(context, unit, numbers.second.box[k], { stroke: "#7ee35c" });
    const label = `${names[numbers.best[k]]} ${fixed(numbers.scores[k][numbers.best[k]])}`;
    explain.box(context, unit, numbers.box[k], { width: 3, stroke: "#ffd24d", label });
  });

  // Activations have no upper limit: the longest bar is the strongest output.
  const showLayer = (name, input) => {
    const { size, active, index, values } = numbers[name];
    const most = values[k][0] || 1;
    find(`${name}-words`).textContent =
      `${input} numbers → ${whole(size)}; ${active[k]} are above 0, the ${values[k].length} largest:`;
    rows(find(name), index[k].map((each, i) => [`${each + 1}`, bar(values[k][i] / most), short(values[k][i])]));
  };

  const verdict = (score) => {
    const { threshold } = numbers;
    if (threshold === null || score >= threshold) return "enough for a detection, unless a better box suppresses it.";
    return `below the threshold of ${threshold}: no detection.`;
  };

  const showScores = () => {
    const scores = numbers.scores[k];
    const order = scores.map((_, label) => label).sort((a, b) => scores[b] - scores[a]);
    const shown = order.slice(0, SHOWN);
    const [low, high] = isMargin ? [scores[order.at(-1)], scores[order[0]]] : [0, 1];
    rows(
      find("scores"),
      shown.map((label) => [names[label], bar((scores[label] - low) / (high - low || 1)), fixed(scores[label], 3)]),
      (index) => shown[index] === numbers.best[k],
    );
    const rest = order.slice(SHOWN);
    const sum = rest.reduce((total, label) => total + scores[label], 0);
    find("scores-words").textContent =
      (rest.length ? `${rest.length} other classes${isMargin ? "" : `: ${fixed(sum, 3)} together`}. ` : "") +
      `The best class is ${names[numbers.best[k]]}, ${fixed(scores[numbers.best[k]], 3)}${numbers.second ? "." : `, ${verdict(scores[numbers.best[k]])}`}`;
  };

  const showBox = () => {
    const [box, moved] = [page.chosen[k].box, numbers.box[k]];
    find("offsets-title").textContent = `Offsets of ${names[numbers.best[k]]}`;
    const line = (name, values) => [name, ...values.map((value) => fixed(value, 3))];
    rows(find("offsets"), [
      line("Output of the layer, normalised", numbers.predicted[k]),
      line("× deviation", numbers.deviations[k]),
      line("+ mean", numbers.means[k]),
      line("Offset t", numbers.offsets[k]),
    ]);
    const lines = [
      ["Proposal", box],
      [numbers.second ? "Box of the first head" : "Box", moved],
    ];
    if (numbers.second) lines.push([`Box of the second head, ${names[numbers.second.best[k]]}`, numbers.second.box[k]]);
    rows(find("boxes"), lines.map(([name, values]) => [name, ...values.map((value) => fixed(value, 1))]));
    const [tx, ty, tw, th] = numbers.offsets[k];
    const percent = (factor) => `${fixed(100 * Math.exp(factor), 0)}%`;
    const direction = (value, [less, more]) => `${fixed(Math.abs(100 * value), 0)}% of its ${less === "left" ? "width" : "height"} ${value < 0 ? less : more}`;
    const words = numbers.moves
      ? `The box moves ${direction(tx, ["left", "right"])} and ${direction(ty, ["up", "down"])}; its width becomes ${percent(tw)}, its height ${percent(th)}.`
      : "Box regression is off: the box stays as it is.";
    find("box-words").textContent = words;
    find("box").setAttribute("aria-label", `The image with the proposal and its box. ${words}`);
  };

  const showMore = () => {
    const parts = [];
    if (numbers.places) {
      const [place, most] = [numbers.places[k], numbers.most];
      parts.push(
        `The ranker puts this proposal at place ${whole(place)} of ${whole(page.proposals)}; in detection, the heads read the best ${most}` +
          (place > most ? ", and so not this one. The numbers here are those that they would return." : "."),
      );
    }
    if (numbers.second) {
      const { best, scores, mean } = numbers.second;
      const [label, own] = [names[best[k]], (list) => fixed(list[k][best[k]], 3)];
      parts.push(
        `The second head pools again at the box of the first. For ${label} it returns ${own(scores)}, ` +
          `the first head ${own(numbers.scores)}; the score is their mean, ${own(mean)}, ${verdict(mean[k][best[k]])}`,
      );
    }
    find("more").textContent = parts.join(" ");
  };

  return {
    show(chosen) {
      k = chosen;
      const [channels, height, width] = numbers.pooled;
      const cells = `${channels} × ${height} × ${width}`;
      showLayer("fc6", numbers.averaged ? `${whole(channels)}, the means of ${cells}`
        : `${cells} = ${whole(channels * height * width)}`);
      showLayer("fc7", whole(numbers.fc6.size));
      showScores();
      showBox();
      showMore();
      drawn.redraw();
    },
  };
});
