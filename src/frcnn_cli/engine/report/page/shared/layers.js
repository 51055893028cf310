// Ground truth and detections, switched on and off everywhere at once.
{
  const switches = [...document.querySelectorAll("[data-layer]")];

  const toggle = (layer, on) => {
    document.body.classList.toggle(`no-${layer}`, !on);
    for (const each of switches) if (each.dataset.layer === layer) each.checked = on;
  };

  for (const each of switches) {
    each.addEventListener("change", () => toggle(each.dataset.layer, each.checked));
  }
  // On returning to the page the browser restores the switches: restore the pictures to match.
  for (const layer of ["objects", "detections"]) {
    toggle(layer, switches.find((each) => each.dataset.layer === layer).checked);
  }
}
