// The first script of the page: works wherever the page is opened from, and fetches the rest where that can work.
(() => {
  const own = document.currentScript.src;
  const panels = [...document.querySelectorAll(".studio[data-sizes]")];  // those that have what they need

  // The line between photograph and painting: a range input, so that mouse, finger and keyboard all move it.
  for (const figure of document.querySelectorAll(".studio .compare")) {
    const divider = figure.querySelector("input[type=range]");
    divider.addEventListener("input", () => {
      figure.style.setProperty("--at", `${divider.value}%`);
      divider.setAttribute("aria-valuetext", `${divider.value} % photograph`);
    });
    divider.hidden = false;
  }

  const say = (text, html = "") => panels.forEach((panel) => {
    const place = panel.querySelector("[role=status]");
    place.textContent = text;
    place.insertAdjacentHTML("beforeend", html);
    place.dataset.kind = "problem";
  });
  if (panels.length === 0) return;  // rendered without the program: the page says so itself
  if (location.protocol === "file:") {
    return say("This page was opened as a file, and browsers let a file fetch nothing, not even its own neighbors. " +
      "Say one command in the folder of the book, the one that holds index.html, and open the address that it prints:",
      " <code>python -m http.server</code>");
  }
  if (typeof WebAssembly !== "object") {
    return say("This browser has WebAssembly switched off, and the networks run on it. Another browser, or a less " +
      "strict mode of this one, can paint.");
  }
  if (typeof DecompressionStream === "undefined" || typeof createImageBitmap === "undefined") {
    return say("This browser is too old for the program that runs the networks; one from 2023 or later can paint.");
  }
  import(new URL("studio.js", own).href)
    .then(({begin}) => begin(panels))
    .catch((error) => say(`The panel's scripts could not be loaded (${error.message}). Reload the page to try again.`));
})();
