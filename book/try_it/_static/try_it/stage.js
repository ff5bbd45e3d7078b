// The photograph and its painting, one over the other, with a line between them.
import {calm} from "./studio.js";

const SWEEP = 900;  // ms in which the painting comes in

export class Stage {
  constructor(panel) {
    this.panel = panel;
    this.figure = panel.root.querySelector(".compare");
    this.divider = this.figure.querySelector("input[type=range]");
    this.moving = 0;  // the animation frame that the sweep waits for
    this.before = null;  // ImageData of the photograph at the chosen size
    this.after = null;  // ImageData of the painting, null while there is none of this photograph
    this.called = "";  // the photograph's name
  }

  split(at) {
    cancelAnimationFrame(this.moving);
    this.divider.value = at;
    this.divider.dispatchEvent(new Event("input"));
  }

  sweep(to) {
    if (calm()) return this.split(to);
    const [began, from] = [performance.now(), 100];
    const frame = (now) => {
      const t = Math.min(1, Math.max(0, now - began) / SWEEP);
      this.split(from + (to - from) * (1 - (1 - t) ** 3));
      if (t < 1) this.moving = requestAnimationFrame(frame);
    };
    this.moving = requestAnimationFrame(frame);
    return undefined;
  }

  // The canvas "photo" or "painting", in place of the picture that the page came with.
  surface(which, {width, height}) {
    const place = this.panel.get(which);
    let canvas = place.querySelector("canvas");
    if (!canvas) {
      canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      place.replaceChildren(canvas);
    }
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
    return canvas;
  }

  show(which, image, label) {
    const canvas = this.surface(which, image);
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.setAttribute("aria-label", label);
  }

  showPhoto(image, called) {
    [this.before, this.after, this.called] = [image, null, called];
    this.figure.style.setProperty("--ratio", image.width / image.height);
    this.show("photo", image, `The photograph: ${called}`);
    this.panel.root.classList.add("unpainted");
    this.panel.get("save").disabled = true;
    this.split(100);
  }

  // The first painting of a photograph comes in from the right; the next ones take its place.
  showPainting(image, painter) {
    const fresh = !this.after;
    this.after = image;
    this.show("painting", image, `${this.called}, painted in the manner of ${painter}`);
    this.panel.root.classList.remove("unpainted");
    this.panel.get("save").disabled = false;
    if (fresh) this.sweep(50);
  }
}
