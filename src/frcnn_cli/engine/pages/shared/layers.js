// Toggles ground truth and detections in all images at once.
{
  const switches = [...document.querySelectorAll("[data-layer]")];

  const toggle = (layer, on) => {
    document.body.classList.toggle(`no-${layer}`, !on);
    for (const input of switches) if (input.dataset.layer === layer) input.checked = on;
  };

  for (const input of switches) {
    input.addEventListener("change", () => toggle(input.dataset.layer, input.checked));
  }
  // When the user returns to the page, the browser restores the switches: update the images to match.
  for (const layer of ["objects", "detections"]) {
    toggle(layer, switches.find((input) => input.dataset.layer === layer).checked);
  }
}
