// The second panel: a sheet of paper, the street that a network takes the drawing for, and a painting of that street.
import {PictureError, blank, decode, drawn, pixels, save, toNumbers, toPixels} from "./pictures.js";
import {seconds} from "./studio.js";

const SIDE = 512;  // pixels of the paper
const INK = {color: "#6a6a6a", width: 4.6};  // as dark and wide as in the drawings that the network learned from
const STEP = 8;  // pixels that an arrow key moves the pencil

// What a click or Enter sets down with its foot in the middle of (0, 0): lines as flat lists of x and y.
const box = (left, top, right, bottom) => [left, top, right, top, right, bottom, left, bottom, left, top];
const round = (x, y, rx, ry) => Array.from({length: 25}, (_, k) => [
  x + rx * Math.cos(k * Math.PI / 12), y + ry * Math.sin(k * Math.PI / 12)]).flat();
const crown = Array.from({length: 49}, (_, k) => {
  const angle = k * Math.PI / 24;
  const reach = 40 + 7 * Math.abs(Math.sin(3.5 * angle));
  return [reach * Math.cos(angle), -92 + reach * Math.sin(angle)];
}).flat();
const placed = (lines, x, y, size) => lines.map((line) => line.map((value, k) => size * value + (k % 2 ? y : x)));
const pane = [box(-18, -52, 18, 0), [0, -52, 0, 0], [-18, -28, 18, -28], [-23, 3, 23, 3]];
const door = [box(-19, -66, 19, 0), [-19, -48, 19, -48], box(-11, -40, 11, -8)];
// A house brings what the network knows houses by: windows, a door, and a pavement from edge to edge.
const places = [[-76, -150], [0, -150], [76, -150], [-70, -34], [70, -34]];
const house = [
  box(-112, -262, 112, 0), [-124, -256, 0, -362, 124, -256, -124, -256], box(-18, -316, 18, -280),
  ...places.flatMap(([x, y]) => placed(pane, x, y, 1.35)), ...placed(door, 0, 0, 1.35),
  [-SIDE, 0, SIDE, 0], [-SIDE, 20, SIDE, 20],
];
export const STAMPS = {
  house,
  window: pane,
  door,
  tree: [[-6, 0, -6, -48], [6, 0, 6, -48], crown],
  car: [[-52, -8, -52, -24, -30, -28, -18, -44, 22, -44, 36, -28, 52, -24, 52, -8, -52, -8],
    round(-28, -8, 9, 9), round(28, -8, 9, 9), [2, -44, 2, -28, -30, -28], [2, -28, 36, -28]],
};

function trace(context, line, [dx, dy] = [0, 0]) {
  context.beginPath();
  context.moveTo(line[0] + dx, line[1] + dy);
  if (line.length === 2) context.lineTo(line[0] + dx + 0.1, line[1] + dy);
  for (let k = 2; k < line.length; k += 2) context.lineTo(line[k] + dx, line[k + 1] + dy);
}

export function attachPad(panel) {
  const {root, form} = panel;
  const field = form.elements;
  const paper = panel.get("paper");
  const marker = panel.get("marker");
  const context = paper.getContext("2d", {willReadFrequently: true});
  const canvases = {street: panel.get("street"), painting: panel.get("painting")};
  const sheets = new Map();  // sample drawings that have been fetched
  let history = [];  // what is on the paper: a sheet, lines, stamps; undo takes the last away
  let line = null;  // the line being drawn
  let built = null;  // the street as the network made it, before it is enlarged
  let pen = {x: SIDE / 2, y: SIDE / 2, down: false};  // where the keyboard's pencil stands

  const painter = () => field.pad_painter.value;
  panel.models = () => [root.dataset.sketcher, ...(painter() === "none" ? [] : [painter()])];

  function redraw() {
    const first = history.findLastIndex((mark) => mark.sheet !== undefined);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    if (first >= 0 && history[first].sheet) context.drawImage(history[first].sheet, 0, 0, SIDE, SIDE);
    for (const mark of history.slice(first + 1)) put(mark);
    panel.get("undo").disabled = history.length === 0;
  }

  function put({line: points, erase, stamp, at}) {
    Object.assign(context, {lineCap: "round", lineJoin: "round", strokeStyle: INK.color, lineWidth: INK.width});
    if (stamp) {
      for (const part of STAMPS[stamp]) {
        trace(context, part, at);
        const closed = part.length > 4 && part[0] === part.at(-2) && part[1] === part.at(-1);
        context.fillStyle = "#fff";
        if (closed || part === crown) context.fill();
        context.stroke();
      }
    } else {
      if (erase) Object.assign(context, {strokeStyle: "#fff", lineWidth: 30});
      trace(context, points);
      context.stroke();
    }
  }

  // 4 × 4 pixels of the paper are one of the network's: their mean, as when its drawings were made.
  function seen() {
    const {data} = pixels(paper);
    const side = Number(root.dataset.side);
    const factor = SIDE / side;
    const found = {data: new Float32Array(3 * side * side), width: side, height: side};
    for (let c = 0; c < 3; c++) {
      for (let y = 0; y < SIDE; y++) {
        for (let x = 0; x < SIDE; x++) {
          const place = (c * side + Math.floor(y / factor)) * side + Math.floor(x / factor);
          found.data[place] += data[4 * (y * SIDE + x) + c] / 255 / factor ** 2;
        }
      }
    }
    return found;
  }

  function show(place, picture, label) {
    let canvas = place.querySelector("canvas");
    if (!canvas) {
      canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      place.querySelector("img")?.replaceWith(canvas);
    }
    Object.assign(canvas, {width: picture.width, height: picture.height});
    canvas.getContext("2d").drawImage(picture, 0, 0);
    canvas.setAttribute("aria-label", label);
    for (const button of place.querySelectorAll("figcaption button")) button.disabled = false;
    place.classList.remove("old");
    return canvas;
  }

  const build = () => panel.work(async () => {
    const sketcher = root.dataset.sketcher;
    await panel.ready(sketcher);
    const first = await panel.run(sketcher, seen());
    const small = blank(first.width, first.height);
    small.getContext("2d").putImageData(toPixels(first), 0, 0);
    built = small;
    const street = drawn(small, 2 * first.width, 2 * first.height);
    show(canvases.street, street, "The street that the network takes the drawing for");
    root.dataset.streetMs = first.ms.toFixed(1);
    const name = painter();
    canvases.painting.hidden = name === "none";
    if (name === "none") {
      return panel.say(`Street in ${seconds(first.ms)}. Draw on; it follows.`, "done");
    }
    await panel.ready(name);
    const second = await panel.run(name, toNumbers(pixels(street)));
    const painted = blank(second.width, second.height);
    painted.getContext("2d").putImageData(toPixels(second), 0, 0);
    const title = form.querySelector(`input[name=pad_painter][value=${name}]`).dataset.title;
    show(canvases.painting, painted, `The street in the manner of ${title}`);
    root.dataset.paintMs = second.ms.toFixed(1);
    const times = `Street in ${seconds(first.ms)}, painting in ${seconds(second.ms)}.`;
    return panel.say(`${times} Draw on; both follow.`, "done");
  });

  function changed() {
    redraw();
    if (panel.started) build();
    else for (const place of Object.values(canvases)) place.classList.add("old");
  }

  async function lay(name) {
    if (!sheets.has(name)) {
      const response = await fetch(`${panel.engine.root}pictures/${name}.webp`).catch(() => null);
      if (!response?.ok) throw new PictureError("The drawing could not be fetched. Try again, or draw your own.");
      sheets.set(name, await decode(await response.blob()));
    }
    history.push({sheet: sheets.get(name)});
    changed();
  }

  // --- mouse, finger, pen
  const place = (event) => {
    const area = paper.getBoundingClientRect();
    return [(event.clientX - area.left) * SIDE / area.width, (event.clientY - area.top) * SIDE / area.height];
  };
  paper.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    const at = place(event);
    marker.hidden = true;
    if (field.tool.value in STAMPS) {
      stampAt(at);
      return;
    }
    paper.setPointerCapture(event.pointerId);
    line = {line: [...at], erase: field.tool.value === "eraser"};
    history.push(line);
    put(line);
  });
  paper.addEventListener("pointermove", (event) => {
    if (!line) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const part of events.length > 0 ? events : [event]) line.line.push(...place(part));
    redraw();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    paper.addEventListener(end, () => {
      if (!line) return;
      line = null;
      changed();
    });
  }

  function stampAt(at) {
    history.push({stamp: field.tool.value, at});
    changed();
  }

  // --- keyboard: arrows move, Space or Enter sets down
  function mark() {
    marker.hidden = false;
    marker.style.left = `${100 * pen.x / SIDE}%`;
    marker.style.top = `${100 * pen.y / SIDE}%`;
    marker.classList.toggle("down", pen.down);
  }
  paper.addEventListener("focus", () => paper.matches(":focus-visible") && mark());
  paper.addEventListener("blur", () => {
    marker.hidden = true;
    if (line) lift();
  });
  function lift() {
    pen.down = false;
    line = null;
    changed();
  }
  paper.addEventListener("keydown", (event) => {
    const [dx, dy] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] ?? [0, 0];
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      if (field.tool.value in STAMPS) {
        stampAt([pen.x, pen.y]);
        panel.say(`A ${field.tool.value} stands there now.`);
      } else if (pen.down) {
        lift();
        panel.say("The pencil is up.");
      } else {
        pen.down = true;
        line = {line: [pen.x, pen.y], erase: field.tool.value === "eraser"};
        history.push(line);
        put(line);
        panel.say("The pencil is down.");
      }
      mark();
    } else if (dx || dy) {
      event.preventDefault();
      const step = event.shiftKey ? 4 * STEP : STEP;
      pen.x = Math.min(SIDE, Math.max(0, pen.x + step * dx));
      pen.y = Math.min(SIDE, Math.max(0, pen.y + step * dy));
      if (line) {
        line.line.push(pen.x, pen.y);
        redraw();
      }
      mark();
    }
  });

  // --- the rest
  panel.go.addEventListener("click", build);
  panel.get("undo").addEventListener("click", () => {
    history.pop();
    changed();
  });
  panel.get("clear").addEventListener("click", () => {
    history.push({sheet: null});  // a blank sheet, so that undo brings the drawing back
    changed();
  });
  form.addEventListener("change", ({target}) => {
    if (target.name !== "pad_painter") return;
    panel.price();
    canvases.painting.hidden = painter() === "none";
    canvases.painting.classList.add("old");
    if (panel.started) build();
  });
  for (const button of root.querySelectorAll("[data-sample]")) {
    button.addEventListener("click", panel.guarded(() => lay(button.dataset.sample)));
  }
  for (const [name, spot] of Object.entries(canvases)) {
    spot.querySelector("[data-do=save]").addEventListener("click", () => save(spot.querySelector("canvas"), name));
  }
  root.querySelector("[data-do=dusk]").addEventListener("click", () => {
    document.dispatchEvent(new CustomEvent("street", {detail: built}));  // for the panel that turns it to dusk
  });
  Object.assign(paper, {width: SIDE, height: SIDE});
  redraw();
  panel.guarded(async () => {
    await lay(root.dataset.first);
    history = history.slice(-1);
    for (const spot of Object.values(canvases)) spot.classList.remove("old");
  })();
}
