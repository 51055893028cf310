// An enlarged image: arrow keys show the others; Escape closes it (handled by the browser).
{
  const box = document.getElementById("lightbox");
  const stage = document.getElementById("lightbox-stage");
  const caption = document.getElementById("lightbox-caption");
  const words = document.getElementById("lightbox-words");
  const place = document.getElementById("lightbox-place");
  const letters = () => (stage.clientWidth < 600 ? 11 : 13); // text height on the screen
  let shown = null;

  const cards = () => [...shown.parentElement.children].filter((card) => !card.classList.contains("other"));

  // Labels keep their size on the screen at any image size.
  const fit = () => {
    for (const svg of stage.querySelectorAll(".pic > svg")) {
      const image = svg.viewBox.baseVal;
      const scale = Math.min(svg.clientWidth / image.width, svg.clientHeight / image.height);
      if (!(scale > 0)) continue;
      svg.setAttribute("font-size", letters() / scale);
      placeLabels(svg, letters() / scale);
    }
  };

  const show = (card) => {
    shown = card;
    card.hidden = false;
    const sides = card.querySelectorAll(".side");
    const images = sides.length ? sides : card.querySelectorAll(".pic");
    stage.replaceChildren(...[...images].map((image) => image.cloneNode(true)));
    caption.replaceChildren(...card.querySelector("figcaption").cloneNode(true).childNodes);
    words.textContent = [...stage.querySelectorAll("img")].map((image) => image.alt).join(" ");
    place.textContent = `${cards().indexOf(card) + 1} / ${cards().length}`;
    fit();
  };

  const step = (by) => {
    const all = cards();
    show(all[(all.indexOf(shown) + by + all.length) % all.length]);
  };

  for (const button of document.querySelectorAll(".open")) {
    button.addEventListener("click", () => {
      show(button.closest(".card"));
      box.showModal();
      fit();
    });
  }
  for (const button of box.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => step(Number(button.dataset.step)));
  }
  box.querySelector("[data-close]").addEventListener("click", () => box.close());
  // On the document, because the focus may have left the dialog for the browser's own buttons.
  document.addEventListener("keydown", (event) => {
    if (!box.open) return;
    const actions = {
      ArrowLeft: () => step(-1),
      ArrowRight: () => step(1),
      Home: () => show(cards()[0]),
      End: () => show(cards().at(-1)),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  });
  new ResizeObserver(fit).observe(stage);
  // Keyboard focus returns to the last image shown.
  box.addEventListener("close", () => {
    stage.replaceChildren();
    shown.querySelector(".open").focus();
  });
}
