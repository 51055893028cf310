// The receptive field of the chosen proposal, layer by layer, and the cost of a mini-batch.
explain.section("field", (numbers, root) => {
  const { page, fixed } = explain;
  const find = (name) => root.querySelector(`#field-${name}`);
  const { layers, costs, measured } = numbers;
  const [inputWidth, inputHeight] = numbers.input;
  const slider = find("step");
  const large = (value) => {
    const [unit, name] = value < 1e9 ? [1e6, "million"] : [1e9, "billion"];
    return `${fixed(value / unit, value < 10 * unit ? 2 : value < 100 * unit ? 1 : 0)} ${name}`;
  };
  const percent = (share) => `${fixed(100 * share, share < 0.0995 ? 1 : 0)}%`;
  const area = ([x1, y1, x2, y2]) => (x2 - x1 + 1) * (y2 - y1 + 1);
  const whole = page.image.width * page.image.height;
  let k = 0;

  slider.max = String(layers.length);
  slider.value = slider.max;

  // The part of the image that is used after the chosen number of layers.
  const used = () => {
    const step = Number(slider.value);
    return step ? numbers.fields[k]?.steps[step - 1] : page.chosen[k].box;
  };

  // After how many layers the field has its whole size.
  const early = (field) => {
    const enough = numbers.fields[k].steps.findIndex((box) => area(box) === area(field)) + 1;
    return enough > 1 && enough < layers.length ? `The first ${enough} of ${layers.length} layers, counted from the map, reach as far. ` : "";
  };

  const image = explain.image(find("image"), (context, unit) => {
    const field = used();
    const [x1, y1, x2, y2] = field ?? page.chosen[k].box;
    context.fillStyle = "rgb(0 0 0 / .62)";
    context.beginPath();
    context.rect(0, 0, page.image.width, page.image.height);
    context.rect(x1, y1, x2 - x1 + 1, y2 - y1 + 1);
    context.fill("evenodd");
    if (field) explain.box(context, unit, field, { width: 3, stroke: "#8fd0ff" });
    explain.box(context, unit, page.chosen[k].box, { width: 3, stroke: "#ffd24d" });
  });

  const describe = () => {
    const step = Number(slider.value);
    const layer = layers[step - 1];
    const name = layer ? `${layer.name} (${layer.kernel.join(" × ")}${layer.stride > 1 ? `, stride ${layer.stride}` : ""})` : "the map";
    find("stepped").textContent = `${step} of ${layers.length}`;
    slider.setAttribute("aria-valuetext", `${step} of ${layers.length}: ${name}`);
    const field = used();
    const share = field ? percent(area(field) / whole) : "";
    const words = !field
      ? "This proposal lies beyond the last cell of the map. It pools nothing, and depends on no pixel."
      : step === layers.length
        ? `The receptive field of the proposal: it depends on ${share} of the image. ${early(field)}Move the slider to see how it grows.`
        : step
          ? `Back to the input of ${name}, which covers ${share} of the image.`
          : `The proposal itself, ${share} of the image. Move the slider to go back through the layers.`;
    find("words").textContent = words;
    find("image").setAttribute("aria-label", `The image with the proposal and what its features depend on. ${words}`);
    image.redraw();
  };
  slider.addEventListener("input", describe);

  find("cell").textContent =
    (numbers.cell
      ? `A single cell of this network's map depends on ${numbers.cell} × ${numbers.cell} pixels, where the image is large enough. `
      : "Each cell of this network's map depends on the whole image, because some layers average over it. ") +
    "In VGG16, the largest network of the paper, it is 196 × 196. Pixels in the middle of a field influence the result most.";

  const convolutions = (images) => images * costs.image;
  const heads = costs.rois * costs.roi;
  find("rois").textContent = String(costs.rois);
  explain.rows(
    find("costs"),
    [
      [`${costs.images} images, as Fast R-CNN`, costs.images, costs.hierarchical],
      [`${costs.rois} images, as R-CNN and SPPnet`, costs.rois, costs.roi_centric],
    ].map(([name, images, total]) => [
      name,
      `${images} × ${large(costs.image)}`,
      large(total),
      explain.bar(total / costs.roi_centric),
    ]),
  );
  find("costs-words").textContent =
    `Multiply-adds (one multiplication and one addition each) of the forward pass, for images of this size: ${large(costs.image)} for the convolutions of ` +
    `an image, and ${large(costs.roi)} for the layers after pooling, for each proposal. With ${costs.rois} images the convolutions cost ` +
    `${large(convolutions(costs.rois))} instead of ${large(convolutions(costs.images))}; the layers after pooling cost ${large(heads)} in both cases. ` +
    `Together that is ${fixed(costs.ratio, costs.ratio < 10 ? 1 : 0)} times as much. The backward pass of a layer that is trained costs about twice as much as its forward pass, in both cases.`;
  find("measured").append(
    "The paper calls sampling from 2 images roughly 64 times faster. Measured by ",
    Object.assign(document.createElement("code"), { textContent: "frcnn bench sampling" }),
    `: ${measured.hierarchical_s} seconds for a mini-batch from 2 images, forward and backward, and ${measured.roi_centric_s} seconds ` +
      `from 128 images, which is ${fixed(measured.ratio, 0)} times as long (${measured.backbone} at scale ${measured.scale}, on two cores).`,
  );

  return {
    show(chosen) {
      k = chosen;
      const scale = inputWidth / page.image.width;
      const [x1, y1, x2, y2] = page.chosen[k].box;
      const field = numbers.fields[k];
      explain.rows(find("sizes"), [
        ["Proposal", fixed(Math.min((x2 - x1 + 1) * scale, inputWidth), 0), fixed(Math.min((y2 - y1 + 1) * scale, inputHeight), 0), percent(area(page.chosen[k].box) / whole)],
        ["Receptive field", ...(field ? [...field.pixels.map(String), percent(field.share)] : ["0", "0", "0%"])],
        ["Input of the network", String(inputWidth), String(inputHeight), "100%"],
      ]);
      describe();
    },
  };
});
