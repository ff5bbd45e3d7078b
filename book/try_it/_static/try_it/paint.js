// The first panel: a photograph, a painter, and the line between before and after.
import {PictureError, decode, drawn, fitted, pixels, save, toNumbers, toPixels} from "./pictures.js";
import {calm, seconds} from "./studio.js";

const SWEEP = 900;  // ms in which the painting comes in

export function attachPainting(panel) {
  const {root, form} = panel;
  const field = form.elements;
  const figure = root.querySelector(".compare");
  const divider = figure.querySelector("input[type=range]");
  const [photo, painting] = ["photo", "painting"].map((name) => panel.get(name));
  const camera = {stage: panel.get("camera"), video: root.querySelector("video"), stream: null};
  let source = null;  // what the photograph is made from, at its full size
  let before = null;  // ImageData of the photograph at the chosen size
  let after = null;  // ImageData of the painting, null while there is none of this photograph
  let called = "";  // the photograph's name
  let moving = 0;  // the animation frame that the sweep waits for
  let mine = null;  // the visitor's own picture, to come back to

  panel.models = () => [field.painter.value];
  const size = () => Number(field.size.value);
  const label = (name) => form.querySelector(`input[value="${name}"]`).dataset.title;

  function split(at) {
    cancelAnimationFrame(moving);
    divider.value = at;
    divider.dispatchEvent(new Event("input"));
  }

  function sweep(to) {
    if (calm()) return split(to);
    const [began, from] = [performance.now(), 100];
    const frame = (now) => {
      const t = Math.min(1, Math.max(0, now - began) / SWEEP);
      split(from + (to - from) * (1 - (1 - t) ** 3));
      if (t < 1) moving = requestAnimationFrame(frame);
    };
    moving = requestAnimationFrame(frame);
    return undefined;
  }

  // A canvas in place of the picture that the page came with.
  function surface(place, {width, height}) {
    let canvas = place.querySelector("canvas");
    if (!canvas) {
      canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      place.replaceChildren(canvas);
    }
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
    return canvas;
  }

  function showPhoto() {
    before = pixels(fitted(source, size()));
    after = null;
    figure.style.setProperty("--ratio", before.width / before.height);
    const canvas = surface(photo, before);
    canvas.getContext("2d").putImageData(before, 0, 0);
    canvas.setAttribute("aria-label", `The photograph: ${called}`);
    root.classList.add("unpainted");
    panel.get("save").disabled = true;
    split(100);
  }

  // How much of it, and whether only its light and dark, is for the style sheet to show: no picture is computed anew.
  function mix() {
    form.querySelector("output").textContent = `${field.strength.value} %`;
    figure.style.setProperty("--paint", field.strength.value / 100);
    figure.classList.toggle("own-colors", field.colors.checked);
  }

  // The picture as it is seen right of the line.
  function mixture() {
    const canvas = drawn(surface(photo, before), before.width, before.height);
    const context = canvas.getContext("2d");
    context.globalAlpha = field.strength.value / 100;
    context.globalCompositeOperation = field.colors.checked ? "luminosity" : "source-over";
    context.drawImage(surface(painting, after), 0, 0);
    return canvas;
  }

  function showPainting() {
    const canvas = surface(painting, after);
    canvas.getContext("2d").putImageData(after, 0, 0);
    canvas.setAttribute("aria-label", `${called}, painted in the manner of ${label(field.painter.value)}`);
    root.classList.remove("unpainted");
    panel.get("save").disabled = false;
  }

  const paint = () => panel.work(async () => {
    if (!source) await take(field.photo.value);
    await panel.ready(field.painter.value);
    const [model, input] = [field.painter.value, before];
    if (!after) panel.say(`${label(model)} is painting ${input.width} × ${input.height} pixels …`);
    const found = await panel.run(model, toNumbers(input));
    if (input !== before) return;  // another photograph has been chosen meanwhile
    const fresh = !after;
    after = toPixels(found);
    showPainting();
    if (fresh) sweep(50);
    root.dataset.runMs = found.ms.toFixed(1);
    root.dataset.painted = `${model} ${input.width} ${input.height}`;
    panel.say(`${label(model)} painted ${input.width} × ${input.height} pixels in ${seconds(found.ms)}.`, "done");
  });

  function use(picture, name) {
    [source, called] = [picture, name];
    root.querySelector(".credit").hidden = field.photo.value === "own";
    showPhoto();
  }

  async function take(name) {
    const response = await fetch(`${panel.engine.root}pictures/${name}.webp`).catch(() => null);
    if (!response?.ok) throw new PictureError("The photograph could not be fetched. Try again, or use a file.");
    const picture = await decode(await response.blob());
    if (field.photo.value !== name) return;
    panel.get("credit").textContent = form.querySelector(`input[value="${name}"]`).dataset.credit;
    use(picture, label(name));
  }

  const guarded = (job) => async (...given) => {
    try {
      await job(...given);
    } catch (error) {
      panel.problem(error);
    }
  };

  const refresh = () => (panel.started ? paint() : undefined);

  const open = guarded(async (file) => {
    if (!file) return;
    const picture = await decode(file);
    chooseOwn(picture, file.name ? file.name.replace(/\.[^.]*$/, "") : "your picture");
    if (panel.started) await paint();
    else panel.say(`${picture.width} × ${picture.height} pixels, yours, and here they stay. Paint it.`);
  });

  function chooseOwn(picture, name) {
    const small = fitted(picture, 240);
    const place = root.querySelector(".own-choice");
    place.hidden = false;
    place.querySelector("canvas").replaceWith(small);
    mine = {picture, name};
    field.photo.value = "own";
    use(picture, name);
  }

  form.addEventListener("change", guarded(async ({target}) => {
    if (target.name === "photo" && target.value !== "own") await take(target.value);
    if (target.name === "photo" && target.value === "own") use(mine.picture, mine.name);
    if (target.name === "size" && source) showPhoto();
    if (["photo", "size", "painter"].includes(target.name)) {
      panel.price();
      await refresh();
    }
  }));
  form.addEventListener("input", ({target}) => {
    if (target.name === "strength" || target.name === "colors") mix();
  });
  panel.go.addEventListener("click", paint);
  panel.get("file").addEventListener("change", ({target}) => {
    open(target.files[0]);
    target.value = "";
  });
  panel.get("save").addEventListener("click", () => {
    save(mixture(), `${field.painter.value}_${called.replace(/\W+/g, "_").toLowerCase()}`);
  });

  // Dropped on the panel, or pasted anywhere on the page where nobody is writing.
  root.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    root.classList.add("over");
  });
  root.addEventListener("dragleave", (event) => {
    if (!root.contains(event.relatedTarget)) root.classList.remove("over");
  });
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    root.classList.remove("over");
    open(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files?.[0];
    if (file && !event.target.closest?.("input, textarea, [contenteditable]")) open(file);
  });

  // The camera, where there is one and the page may use it.
  const close = () => {
    camera.stream?.getTracks().forEach((track) => track.stop());
    camera.stream = null;
    camera.stage.hidden = true;
  };
  panel.get("camera-open").hidden = !navigator.mediaDevices?.getUserMedia;
  panel.get("camera-open").addEventListener("click", guarded(async () => {
    try {
      camera.stream = await navigator.mediaDevices.getUserMedia({video: {width: {ideal: 1280}}});
    } catch (error) {
      throw new PictureError(error.name === "NotAllowedError"
        ? "The camera was refused. Allow it for this page in the browser's settings, or use a file."
        : "No camera was found. Use a file instead.");
    }
    camera.video.srcObject = camera.stream;
    camera.stage.hidden = false;
    await camera.video.play();
    panel.get("camera-take").focus();
  }));
  panel.get("camera-take").addEventListener("click", guarded(async () => {
    const {videoWidth, videoHeight} = camera.video;
    const shot = drawn(camera.video, videoWidth, videoHeight);
    close();
    chooseOwn(shot, "your camera");
    await paint();
  }));
  panel.get("camera-close").addEventListener("click", () => {
    close();
    panel.get("camera-open").focus();
  });
  mix();  // a browser may have kept the settings of the last visit
}
