// What every component uses. The pictures stand in the page already; a component only moves them.
const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

// Runs build(root, data) once for each component of this kind that is not running yet.
const start = (kind, build) => {
  for (const root of document.querySelectorAll(`.play[data-kind="${kind}"]:not([data-ready])`)) {
    root.dataset.ready = "yes";
    build(root, JSON.parse(root.dataset.settings || "{}"));
    fit(root);
    // JupyterLab takes the arrow keys for its own commands unless the focused element says this itself.
    for (const one of root.querySelectorAll("input, select, button")) one.dataset.lmSuppressShortcuts = "true";
  }
};

// Limits the width: pictures at most twice their size, and the figure with its controls and caption on one screen.
const fit = (root) => {
  const strip = root.querySelector(".strip");
  if (!strip) return;
  const tiles = strip.classList.contains("over") ? 1 : strip.querySelectorAll(".tile").length;
  const [width, height] = ["width", "height"].map((side) => Number(strip.querySelector("img").getAttribute(side)));
  const tall = Math.max(...[...strip.querySelectorAll(".tile")].map((tile) =>
    (tile.querySelector("img") ? height / width : 0) + (tile.querySelector("canvas") ? 1 : 0)));
  const count = (what) => root.querySelectorAll(what).length;
  // In em: the program's own bars, margins and names, a caption of four lines, controls, a chart above, a map.
  const rest = 14 + 2.4 * count(".controls > :is(input, select, button)")
    + (count(".bars") ? 6 : 0) + (count(".map") ? 1.3 * Math.ceil(count(".frame") / 6) : 0);
  // A frame inside a page, as on Colab, is as high as what it holds: there the screen is the measure.
  const screenful = window === window.top ? "100vh" : `${Math.max(400, screen.availHeight - 220)}px`;
  const most = `min(${2 * tiles * width}px, max(${8 * tiles}em, (${screenful} - ${rest}em) * ${(tiles / tall).toFixed(4)}))`;
  root.style.setProperty("--most", most);
};

// A row of the controls: a name, a range and its value in words. `moved` hears every change.
let made = 0;
const slider = (controls, name, {max, value, words, moved, min = 0}) => {
  const id = `play-${Date.now().toString(36)}-${made++}-${Math.floor(Math.random() * 1e6)}`;
  const input = make("input", {type: "range", id, min, max, step: 1, value});
  const output = make("output");
  output.setAttribute("for", id);
  const say = () => {
    output.textContent = words(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => { say(); moved(Number(input.value)); });
  controls.append(make("label", {htmlFor: id, textContent: name}), input, output);
  say();
  return {
    input,
    get value() { return Number(input.value); },
    set value(wanted) { input.value = wanted; say(); moved(Number(input.value)); },
  };
};

// Pointer or finger on `area`: told(x, y) with both in 0…1. A mouse need not be pressed where `hover` is set.
const follow = (area, told, hover = false) => {
  const inside = (value) => Math.min(1, Math.max(0, value));
  const tell = (event) => {
    const box = area.getBoundingClientRect();
    told(inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height));
  };
  area.addEventListener("pointerdown", (event) => { area.setPointerCapture(event.pointerId); tell(event); });
  area.addEventListener("pointermove", (event) => {
    if (event.buttons || (hover && event.pointerType === "mouse")) tell(event);
  });
};

// Hidden pictures are fetched only once somebody begins to play.
const wake = (root) => {
  const load = () => root.querySelectorAll("img[loading]").forEach((image) => { image.loading = "eager"; });
  for (const kind of ["pointerenter", "pointerdown", "focusin"]) root.addEventListener(kind, load, {once: true});
};
