// The panel *Any painting*: any photograph in the style of any painting, or of two.
import {Chooser, receive} from "./chooser.js";
import {EngineError} from "./engine.js";
import {mixture, restyled, statistics} from "./features.js";
import {fitted, pixels, save, toNumbers, toPixels} from "./pictures.js";
import {Stage} from "./stage.js";
import {graphics, seconds} from "./studio.js";

const [ENCODER, DECODER] = ["any_encoder", "any_decoder"];
const LARGEST = 512;  // pixels of a painting's long side, as in the authors' code

export function attachAny(panel) {
  const {root, form} = panel;
  const field = form.elements;
  const stage = new Stage(panel);
  const slow = panel.engine;  // the processor's, which the other panels use, too
  const known = new WeakMap();  // statistics of paintings, by their picture and size: 1,024 numbers each
  let spent = 0;  // ms of all passes for the picture at hand
  let seen = null;  // features of the photograph, so that the sliders need the decoder alone

  panel.models = () => [ENCODER, DECODER];
  const size = () => Number(field.size.value);
  const mixes = () => field.second.value !== "none";

  const photo = new Chooser(panel, "photo", (name) => name, ({source, own}) => {
    showPhoto();
    if (own) panel.say(`${source.width} × ${source.height} pixels, yours, and here they stay. Paint it.`);
    return changed();
  });
  const style = new Chooser(panel, "style", (name) => `style_${name}`, () => changed());
  const second = new Chooser(panel, "second", (name) => `style_${name}`, () => changed());
  const choices = () => (mixes() ? [photo, style, second] : [photo, style]);

  function changed() {
    describe();
    return panel.started || panel.busy ? paint() : undefined;
  }

  function showPhoto() {
    const {source, name} = photo.picture;
    stage.showPhoto(pixels(fitted(source, size())), name);
  }

  // What the sliders stand for.
  function describe() {
    const [alpha, share] = [field.alpha.value, field.mix.value];
    panel.get("alpha").textContent = `${alpha} %`;
    panel.get("alpha-words").textContent = alpha === "100" ? "all of the painting’s statistics"
      : `${alpha} % the painting’s statistics, ${100 - alpha} % the photograph’s own`;
    panel.get("mix").textContent = `${share} %`;
    panel.get("mixing").hidden = !mixes();
    if (mixes()) {
      const [first, other] = [style, second].map((one) => one.picture?.name ?? one.tile.dataset.title);
      panel.get("mix-words").textContent = `${100 - share} % ${first}, ${share} % ${other}`;
    }
    panel.get("credit").textContent = choices().map((one) => one.tile.dataset.credit).filter(Boolean).join(" · ");
  }

  // The features of a picture at the chosen size.
  async function encode(image, called) {
    panel.say(`Reading ${called}, ${image.width} × ${image.height} pixels …`);
    const found = await panel.run(ENCODER, toNumbers(image));
    spent += found.ms;
    return found;
  }

  async function ofPhoto() {
    if (seen?.image !== stage.before) {
      const features = await encode(stage.before, "the photograph");
      seen = {image: stage.before, features, own: statistics(features)};
    }
    return seen;
  }

  async function ofPainting({picture}) {
    const longest = Math.min(LARGEST, size());
    const sizes = known.get(picture.source) ?? new Map();
    known.set(picture.source, sizes);
    if (!sizes.has(longest)) {
      const image = pixels(fitted(picture.source, longest));
      sizes.set(longest, statistics(await encode(image, picture.name)));
    }
    return sizes.get(longest);
  }

  async function compute() {
    spent = 0;
    await panel.ready(ENCODER, DECODER);
    const [, ...chosen] = choices();
    const paintings = [];
    for (const one of chosen) paintings.push(await ofPainting(one));
    const {image, features, own} = await ofPhoto();
    const share = field.mix.value / 100;
    const wanted = mixture(paintings, chosen.length > 1 ? [1 - share, share] : [1]);
    if (!stage.after) panel.say(`Painting ${image.width} × ${image.height} pixels …`);
    const found = await panel.run(DECODER, restyled(features, own, wanted, field.alpha.value / 100));
    if (image !== stage.before) return;  // another photograph has been chosen meanwhile
    const names = chosen.map((one) => one.picture.name).join(" and ");
    stage.showPainting(toPixels(found, image.width, image.height), names);
    root.dataset.painted = `${image.width} ${image.height}`;
    const all = spent > 0 ? `, ${seconds(spent)} of it for reading` : "";
    panel.say(`${image.width} × ${image.height} pixels in ${seconds(spent + found.ms)}${all}.`, "done");
  }

  const paint = panel.guarded(async () => {
    for (const one of choices()) if (!one.picture) await one.take();
    await panel.work(async () => {
      try {
        await compute();
      } catch (error) {
        if (panel.engine === slow || !(error instanceof EngineError)) throw error;
        use(slow, "The graphics processor could not run the networks, so the processor does.");
        await compute();
      }
    });
  });

  function use(engine, words) {
    panel.engine = engine;
    root.dataset.runs = engine.kind;
    panel.get("runs").textContent = words;
    panel.price();
  }

  use(slow, "Runs on the processor of your machine.");
  graphics().then((found) => {
    if (!found || panel.busy || panel.started) return;
    use(slow.sibling("webgpu", Number(root.dataset.gpu)), "Runs on the graphics processor of your machine (WebGPU).");
  });

  form.addEventListener("change", panel.guarded(async ({target}) => {
    if (target.name !== "size") return;
    if (photo.picture) showPhoto();
    await changed();
  }));
  form.addEventListener("input", panel.guarded(({target}) => {
    if (target.name === "alpha" || target.name === "mix") return changed();
    return undefined;
  }));
  panel.go.addEventListener("click", paint);
  panel.get("save").addEventListener("click", () => {
    const name = [stage.called, style.picture.name].join("_").replace(/\W+/g, "_").toLowerCase();
    save(stage.surface("painting", stage.after), name);
  });
  // What is dropped on the paintings, or pasted there, is a painting.
  receive(panel, panel.guarded((file, target) => {
    const place = target.closest?.("fieldset")?.dataset.group;
    return ({style, second}[place] ?? photo).open(file);
  }), () => root.matches(":hover, :focus-within"));
  describe();
}
