"use strict";
// Light, dark, or the system's theme; stored for the next visit if the browser allows it.
{
  const button = document.getElementById("theme");
  const words = button.querySelector("span");
  const order = ["auto", "light", "dark"];

  const stored = () => {
    try { return localStorage.getItem("frcnn-theme"); } catch { return null; }
  };
  const save = (theme) => {
    try { localStorage.setItem("frcnn-theme", theme); } catch { /* not stored then */ }
  };
  const show = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    words.textContent = theme;
  };

  let theme = order.includes(stored()) ? stored() : "auto";
  show(theme);
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    show(theme);
    save(theme);
  });
}
