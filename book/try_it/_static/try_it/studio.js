// Brings the panels to life: one engine for all of them, and what they share.
import {Engine, EngineError, Stopped} from "./engine.js";
import {PictureError} from "./pictures.js";
import {attachPainting} from "./paint.js";
import {attachCamera} from "./camera.js";
import {attachAny} from "./any.js";
import {attachPad} from "./pad.js";
import {attachDusk} from "./dusk.js";
import {attachNoise} from "./noise.js";

const ATTACH = {
  paint: attachPainting, camera: attachCamera, any: attachAny, draw: attachPad, dusk: attachDusk, noise: attachNoise,
};

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
export const seconds = (ms) => (ms < 950 ? `${Math.round(ms)}\u00a0ms` : `${(ms / 1000).toFixed(1)}\u00a0s`);
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// Whether this browser can use a graphics processor; asked once.
let found = null;
export const graphics = () => (found ??= (async () => {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
})());

export class Panel {
  constructor(root, engine) {
    this.root = root;
    this.engine = engine;
    this.form = root.querySelector("form");
    this.bar = root.querySelector("progress");
    this.line = root.querySelector("[role=status]");
    this.go = root.querySelector("[data-do=go]");
    this.stop = root.querySelector("[data-do=stop]");
    this.speed = new Map();  // of each network's last picture: milliseconds a megapixel
    this.busy = this.again = this.started = false;
    this.stop.addEventListener("click", () => {
      this.again = false;
      this.engine.stop();
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
  }

  get(name) { return this.root.querySelector(`[data-is=${name}]`); }

  say(text, kind = "") {
    this.line.textContent = text;
    this.line.dataset.kind = kind;
  }

  // What went wrong, in the words of whoever noticed.
  problem(error) {
    if (error instanceof Stopped) return this.say("Stopped. Nothing was lost.");
    const known = error instanceof EngineError || error instanceof PictureError;
    return this.say(known ? error.message : `Something unforeseen happened: ${error.message}`, "problem");
  }

  // The same job, with what goes wrong said on the panel.
  guarded(job) {
    return (...given) => Promise.resolve().then(() => job(...given)).catch((error) => this.problem(error));
  }

  // Everything that keeps the panel busy goes through here; what is asked for meanwhile is done once, afterwards.
  async work(job) {
    if (this.busy) {
      this.again = true;
      return;
    }
    const focused = document.activeElement;
    this.busy = true;
    this.root.classList.add("busy");
    this.stop.hidden = false;
    this.go.hidden = true;
    if (focused === this.go) this.stop.focus();
    try {
      do {
        this.again = false;
        await job();
      } while (this.again);
      this.started = true;
    } catch (error) {
      this.problem(error);
    } finally {
      const back = document.activeElement === this.stop;
      this.busy = false;
      this.root.classList.remove("busy");
      this.bar.hidden = true;
      this.go.hidden = false;
      this.stop.hidden = true;
      if (back) this.go.focus();
      this.price();
    }
  }

  async ready(...models) {
    if (this.engine.missing(...models) === 0) return this.engine.ready(models);
    const began = performance.now();
    this.say(`Fetching ${megabytes(this.engine.missing(...models))}, this once …`);
    this.bar.hidden = false;
    this.bar.value = 0;
    await this.engine.ready(models, ({loaded, total}) => {
      this.bar.max = total;
      this.bar.value = loaded;
      this.bar.textContent = `${megabytes(loaded)} of ${megabytes(total)}`;
    });
    this.root.dataset.loadMs = Math.round(performance.now() - began);
    return undefined;
  }

  // One pass of a network. The bar is an estimate from the last one, shown where there is something to wait for.
  async run(model, image) {
    const size = image.width * image.height / 1e6;
    const expected = (this.speed.get(model) ?? 0) * size;
    const began = performance.now();
    this.bar.removeAttribute("value");
    const tick = setInterval(() => {
      this.bar.hidden = false;
      if (expected === 0) return;
      this.bar.max = 1;
      this.bar.value = 1 - Math.exp(-2.5 * (performance.now() - began) / expected);
    }, 150);
    try {
      const answer = await this.engine.run(model, image);
      this.speed.set(model, answer.ms / size);
      return answer;
    } finally {
      clearInterval(tick);
      this.bar.hidden = true;
    }
  }

  // What the next click costs, said before it is clicked.
  price() {
    const bytes = this.engine.missing(...this.models());
    this.get("price").textContent = bytes > 0
      ? `The first picture fetches ${megabytes(bytes)}; after that nothing crosses the network.`
      : "Everything needed is here; nothing crosses the network any more.";
  }
}

export function begin(roots) {
  const {root, sizes, runtime} = roots.find((panel) => panel.dataset.sizes).dataset;
  const engine = new Engine(new URL(root, document.baseURI).href, JSON.parse(sizes), Number(runtime));
  for (const element of roots.filter((one) => one.dataset.sizes)) {
    const panel = new Panel(element, engine);
    ATTACH[element.dataset.studio](panel);
    element.classList.add("live");
    panel.price();
  }
}
