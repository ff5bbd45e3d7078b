// Streets from noise: a style for every layer, pulled toward the mean style, and a street with layers of two.
import {drawn, save, toPixels} from "./pictures.js";
import {seconds} from "./studio.js";

const ENLARGED = 4;  // times, of a saved picture
const NUMBERS = 9999;
const PLACES = ["first", "second", "mixed"];

// The normal noise of a street, from its number alone: Marsaglia's xorshift, and the transform of Box and Muller.
export function noise(number, count) {
  let state = number;
  const uniform = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;  // in (0, 1)
  };
  for (let k = 0; k < 20; k++) uniform();  // small numbers begin with many zeros
  return Float32Array.from({length: count}, () =>
    Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

// What ψ, in hundredths, makes of the streets.
const inWords = (psi) => psi === 0 ? "the mean street, whatever the number"
  : psi < 100 ? "near the mean street: better drawn, less various"
    : psi === 100 ? "the styles as they were learned" : "farther out than what was learned";

// The style of each layer from one style and the mean of all: mean + ψ · (w − mean).
export const truncated = (w, mean, psi) => w.map((value, k) => mean[k] + psi * (value - mean[k]));

export function attachNoise(panel) {
  const {root, form} = panel;
  const field = form.elements;
  const {mapping, painter} = root.dataset;
  const sides = root.dataset.sides.split(" ").map(Number);  // of the feature maps, for each layer that takes a style
  const count = Number(root.dataset.noise);
  const known = new Map();  // number of a street → its style and the mean style
  const shown = {};  // what the picture in each place was made from
  const street = {first: 0, second: 0};
  let [running, again] = [false, false];

  panel.models = () => [mapping, painter];
  const another = () => 1 + Math.floor(NUMBERS * Math.random());

  async function style(number) {
    if (!known.has(number)) {
      const {data, width} = await panel.run(mapping, {data: noise(number, count), width: count, height: 1});
      known.set(number, {w: data.slice(0, width), mean: data.slice(width)});
    }
    return known.get(number);
  }

  function show(which, image, label) {
    let canvas = panel.get(which).querySelector("canvas");
    if (!canvas) {
      canvas = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height});
      canvas.setAttribute("role", "img");
      panel.get(which).querySelector("img").replaceWith(canvas);
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.setAttribute("aria-label", label);
  }

  async function compute() {
    const {first, second} = street;
    const [psi, from] = [field.psi.value / 100, Number(field.from.value)];
    await panel.ready(mapping, painter);
    const styles = [];
    for (const number of [first, second]) {
      const {w, mean} = await style(number);
      styles.push(truncated(w, mean, psi));
    }
    const made = [];
    let ms = 0;
    for (const [k, which] of PLACES.entries()) {
      const rows = sides.map((side) => styles[which === "mixed" ? Number(side >= from) : k]);
      const key = which === "mixed" ? [first, second, psi, from].join() : [street[which], psi].join();
      if (shown[which] === key) continue;
      const data = new Float32Array(rows.length * rows[0].length);
      rows.forEach((row, layer) => data.set(row, layer * row.length));
      const found = await panel.run(painter, {data, width: rows[0].length, height: rows.length});
      ms += found.ms;
      made.push([which, toPixels(found), key]);
    }
    const labels = {
      first: `Street ${first}`, second: `Street ${second}`,
      mixed: `Street ${first}, with the styles of street ${second} from ${from} pixels on`,
    };
    for (const [which, image, key] of made) {
      show(which, image, labels[which]);
      shown[which] = key;
    }
    Object.assign(root.dataset, {streets: `${first} ${second}`, settings: `${psi.toFixed(2)} ${from}`});
    if (made.length === 0) return;
    root.dataset.runMs = (ms / made.length).toFixed(1);
    for (const name of ["other", "save"]) panel.get(name).disabled = false;
    const took = made.length === 1 ? "The picture took" : `The ${made.length} pictures took`;
    panel.say(`A: street ${first}. B: street ${second}. ${took} ${seconds(ms)}.`, "done");
  }

  // The first time, there is much to fetch and a button to stop it; later ones are done before anybody finds the button.
  const paint = panel.guarded(async () => {
    if (!panel.started) return panel.work(compute);
    again = true;
    if (running) return undefined;
    running = true;
    try {
      while (again) {
        again = false;
        await compute();
      }
    } finally {
      running = false;
    }
    return undefined;
  });

  panel.go.addEventListener("click", () => {
    street.first = another();
    street.second ||= another();
    return paint();
  });
  panel.get("other").addEventListener("click", () => {
    street.second = another();
    return paint();
  });
  form.addEventListener("input", () => {
    panel.get("psi").textContent = (field.psi.value / 100).toFixed(2);
    panel.get("psi-words").textContent = inWords(Number(field.psi.value));
    return panel.started || panel.busy ? paint() : undefined;
  });
  panel.get("save").addEventListener("click", () => {
    const canvas = panel.get("mixed").querySelector("canvas");
    save(drawn(canvas, ENLARGED * canvas.width, ENLARGED * canvas.height), `street_${street.first}_${street.second}`);
  });
}
