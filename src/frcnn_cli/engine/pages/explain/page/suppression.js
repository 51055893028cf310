// The candidates of a class in the order of suppression, one decision at a time.
explain.section("suppression", (numbers, root) => {
  const { page, fixed } = explain;
  const find = (name) => root.querySelector(`#suppression-${name}`);
  const [choice, step, threshold] = ["class", "step", "threshold"].map(find);
  const GREEN = "#7ee35c", RED = "#ff6f61", YELLOW = "#ffd24d", WHITE = "#ffffff", BLUE = "#8fd0ff";
  const score = (value) => fixed(value, value < 0.1 ? 4 : 2);
  const name = (label) => page.classes[label - 1];
  let group = numbers.classes[0];
  let selected = 0; // of the chosen proposals
  let passed = []; // the candidates that reach the threshold

  // A lower threshold adds candidates at the end, and so changes no decision before them.
  const scores = numbers.classes.flatMap(({ candidates }) => candidates.map((each) => each.score));
  const [low, high] = numbers.margins ? [Math.floor(Math.min(0, ...scores)), Math.ceil(Math.max(0, ...scores))] : [0, 1];
  Object.assign(threshold, { min: low, max: high, step: 0.01 });
  threshold.value = String(numbers.threshold ?? low);
  find("limit").textContent = String(numbers.nms_iou);
  if (numbers.margins) find("score").textContent = "Margin";
  choice.replaceChildren(...numbers.classes.map(({ label }, index) => new Option(name(label), String(index))));
  find("voting").hidden = find("after").hidden = numbers.voting === null;
  find("no-voting").hidden = numbers.voting !== null;

  const isKept = ({ place }) => place >= 0; // neither suppressed nor without a score
  const isDetection = ({ place }) => place >= 0 && place < numbers.top_k;
  const decision = (candidate) => {
    if (candidate.score === null) return "suppressed: its score is not a number";
    if (candidate.by !== null) return `suppressed by ${candidate.by + 1}: IoU ${fixed(candidate.iou, 3)}`;
    return isDetection(candidate) ? "kept" : `not kept: the limit is ${numbers.top_k} detections`;
  };
  const current = () => passed[Number(step.value) - 1];
  // What voting moves: this candidate, or the one that suppressed it.
  const survivor = () => current() && (isKept(current()) ? current() : group.candidates[current().by]);

  const image = explain.image(find("image"), (context, unit) => {
    const now = current();
    const before = now ? passed.slice(0, Number(step.value) - 1) : [];
    for (const { box } of before.filter((each) => !isKept(each)).slice(-12)) {
      explain.box(context, unit, box, { width: 1, stroke: RED, dash: [6, 4] });
    }
    for (const each of before.filter(isKept)) {
      const place = group.candidates.indexOf(each);
      explain.box(context, unit, each.box, { width: place === now.by ? 4 : 2, stroke: GREEN, label: String(place + 1) });
    }
    if (now) explain.box(context, unit, now.box, { width: 3, stroke: YELLOW, label: step.value });
  });

  const boxes = [["voted-image", () => {
    const kept = survivor();
    return kept?.voted ? [[kept.box, { stroke: WHITE, dash: [6, 4] }], [kept.voted, { stroke: GREEN, width: 3 }]] : [];
  }], ["cascade-image", () => {
    const { moved, box } = numbers.cascade[selected];
    return [[page.chosen[selected].box, { stroke: WHITE, dash: [6, 4] }], [moved, { stroke: BLUE }], [box, { stroke: GREEN, width: 3 }]];
  }]].filter(([canvas]) => find(canvas));
  const pictures = boxes.map(([canvas, list]) =>
    explain.image(find(canvas), (context, unit) => {
      for (const [box, style] of list()) explain.box(context, unit, box, style);
    }),
  );

  const row = (text, box) => [text, ...box.map((value) => fixed(value, 1))];

  const voting = () => {
    const kept = survivor();
    find("voting").hidden = find("after").hidden = !kept;
    if (!kept) return;
    find("voted-which").textContent = `candidate ${group.candidates.indexOf(kept) + 1} of ${name(group.label)}`;
    explain.rows(find("voted"), [row("Before", kept.box), row("After", kept.voted)]);
    find("voted-words").textContent =
      `${kept.voters} of the ${group.count} candidates of ${name(group.label)} have an IoU of at least ${numbers.voting} with it, ` +
      "whatever their score. The new x1 is the sum of their score × x1, divided by the sum of their scores; the other corners likewise.";
    find("voted-image").setAttribute(
      "aria-label",
      `The image with the box before voting, ${kept.box.join(", ")}, and after it, ${kept.voted.join(", ")}.`,
    );
  };

  const sentence = (now) => {
    if (!now) {
      const best = group.candidates[0];
      return `No candidate of ${name(group.label)} reaches the threshold: the highest score is ${score(best.score)}. A lower threshold shows what suppression would do.`;
    }
    if (now.score === null) return `Candidate ${step.value}: suppressed, because its score is not a number.`;
    const start = `Candidate ${step.value}, score ${score(now.score)}: `;
    if (now.by === null && isDetection(now)) {
      const why = step.value === "1" ? "it has the highest score" : `its IoU with each kept candidate is at most ${numbers.nms_iou}`;
      return `${start}kept, because ${why}. It is a detection.`;
    }
    if (now.by === null) return `${start}nothing suppresses it, but the image already has ${numbers.top_k} better detections, which is the limit.`;
    return `${start}suppressed by candidate ${now.by + 1}, because their IoU of ${fixed(now.iou, 3)} is above ${numbers.nms_iou}.`;
  };

  const update = () => {
    const now = current();
    find("stepped").textContent = now ? `${step.value} of ${passed.length}` : "none";
    find("words").textContent = sentence(now);
    find("image").setAttribute("aria-label", `The image with the candidates up to this one. ${sentence(now)}`);
    const rows = [...find("candidates").rows];
    rows.forEach((each, index) => each.classList.toggle("marked", index === Number(step.value) - 1 && Boolean(now)));
    const frame = find("candidates").closest(".scroll");
    const marked = rows[Number(step.value) - 1];
    if (marked) frame.scrollTop = marked.offsetTop - frame.clientHeight / 2;
    image.redraw();
    if (numbers.voting !== null) voting();
    for (const picture of pictures) picture.redraw();
  };

  const list = (wanted = Number(step.value)) => {
    // Those without a score stay, so that the positions of the others do not change.
    passed = group.candidates.filter((each) => each.score === null || each.score >= Number(threshold.value));
    step.max = String(Math.max(1, passed.length));
    step.disabled = passed.length < 2;
    step.value = String(Math.min(wanted, Math.max(1, passed.length)));
    find("from").textContent = fixed(Number(threshold.value));
    const kept = passed.filter(isDetection).length;
    const reached = passed.filter((each) => each.score !== null).length;
    const most = passed.length === group.candidates.length && group.count > passed.length ? `; the page has the first ${passed.length} of ${group.count}` : "";
    find("count").textContent = `${reached} with at least the threshold, ${kept} kept${most}`;
    explain.rows(find("candidates"), passed.map((each, index) => [String(index + 1), each.score === null ? "" : score(each.score), decision(each)]));
    update();
  };

  const show = (k) => {
    selected = k;
    const { index } = page.chosen[k];
    const own = numbers.classes
      .map((each) => [each, each.candidates.findIndex(({ proposal }) => proposal === index)])
      .filter(([, position]) => position >= 0)
      .sort(([a, i], [b, j]) => b.candidates[j].score - a.candidates[i].score)[0];
    const why = numbers.read[k] ? "its scores are too low." : `the model selected ${numbers.max_proposals} other proposals for its ${numbers.cascade ? "second head" : "heads"}.`;
    let words = `Proposal ${k + 1} is not among the candidates of these classes: ${why}`;
    if (own) {
      const [found, position] = own;
      group = found;
      choice.value = String(numbers.classes.indexOf(found));
      const { score: value, by } = found.candidates[position];
      if (value === null) words = `Proposal ${k + 1} became candidate ${position + 1} of ${name(found.label)}, whose score is not a number.`;
      else words = `Proposal ${k + 1} became candidate ${position + 1} of ${name(found.label)}, with a score of ${score(value)}` +
        `${value >= Number(threshold.value) ? (by === null ? ", and is kept." : `, and is suppressed by candidate ${by + 1}.`) : ", below the threshold."}`;
    }
    find("roi").textContent = words;
    list(own ? own[1] + 1 : Infinity);
    if (numbers.cascade) cascade(k);
  };

  const cascade = (k) => {
    const { label, first, second, mean, moved, box } = numbers.cascade[k];
    const line = (text, probability, place) => [text, probability, ...row("", place).slice(1)];
    explain.rows(find("cascade"), [
      line("Proposal", "", page.chosen[k].box),
      line("First head", fixed(first, 3), moved),
      line("Second head", fixed(second, 3), box),
      ["Mean of both", fixed(mean, 3), "", "", "", ""],
    ]);
    const unread = numbers.read[k] ? "" : ` In detection, the second head reads only ${numbers.max_proposals} proposals, and not this one.`;
    const isInside = moved[0] >= 0 && moved[1] >= 0 && moved[2] <= page.image.width - 1 && moved[3] <= page.image.height - 1;
    const beyond = isInside ? "" : " The first head's box leaves the image; the second head reads it as it is, and the result is clipped.";
    find("cascade-words").textContent = `Probabilities of ${name(label)}, the first head's most probable class.${beyond}${unread}`;
    find("cascade-image").setAttribute("aria-label", `The image with the proposal, ${page.chosen[k].box.join(", ")}, the first head's box, ${moved.join(", ")}, and the second head's, ${box.join(", ")}.`);
  };

  choice.addEventListener("change", () => {
    group = numbers.classes[Number(choice.value)];
    list(Infinity);
  });
  step.addEventListener("input", update);
  threshold.addEventListener("input", () => list());
  find("candidates").addEventListener("click", (event) => {
    const clicked = event.target.closest("tr");
    if (!clicked) return;
    step.value = String(clicked.sectionRowIndex + 1);
    update();
  });
  return { show };
});
