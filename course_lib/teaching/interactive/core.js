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
    const strip = root.querySelector(".strip");
    if (!strip) continue;
    const tiles = strip.classList.contains("over") ? 1 : strip.querySelectorAll(".tile").length;
    const width = 3 * tiles * strip.querySelector("img").getAttribute("width");  // no pixel larger than three by three
    root.style.maxWidth = `max(min(20em, 100%), min(${width}px, 100%))`;
  }
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
