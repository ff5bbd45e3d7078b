// The first panel: a photograph, a painter, and the line between before and after.
import {Chooser, receive} from "./chooser.js";
import {askCamera} from "./moving.js";
import {drawn, fitted, pixels, save, toNumbers, toPixels} from "./pictures.js";
import {Stage} from "./stage.js";
import {seconds} from "./studio.js";

export function attachPainting(panel) {
  const {root, form} = panel;
  const field = form.elements;
  const stage = new Stage(panel);
  const camera = {stage: panel.get("camera"), video: root.querySelector("video"), stream: null};

  panel.models = () => [field.painter.value];
  const size = () => Number(field.size.value);
  const painter = () => form.querySelector(`input[name=painter][value="${field.painter.value}"]`).dataset.title;

  const photo = new Chooser(panel, "photo", (name) => name, ({source, own}) => {
    showPhoto();
    root.querySelector(".credit").hidden = own;
    if (!own) panel.get("credit").textContent = photo.tile.dataset.credit;
    if (own) panel.say(`${source.width} × ${source.height} pixels, yours, and here they stay. Paint it.`);
    return refresh();
  });
  const refresh = () => (panel.started || panel.busy ? paint() : undefined);

  function showPhoto() {
    const {source, name} = photo.picture;
    stage.showPhoto(pixels(fitted(source, size())), name);
  }

  // How much of it, and whether only its light and dark, is for the style sheet to show: no picture is computed anew.
  function mix() {
    form.querySelector("output").textContent = `${field.strength.value} %`;
    stage.figure.style.setProperty("--paint", field.strength.value / 100);
    stage.figure.classList.toggle("own-colors", field.colors.checked);
  }

  // The picture as it is seen right of the line.
  function mixture() {
    const {before, after} = stage;
    const canvas = drawn(stage.surface("photo", before), before.width, before.height);
    const context = canvas.getContext("2d");
    context.globalAlpha = field.strength.value / 100;
    context.globalCompositeOperation = field.colors.checked ? "luminosity" : "source-over";
    context.drawImage(stage.surface("painting", after), 0, 0);
    return canvas;
  }

  const compute = async () => {
    await panel.ready(field.painter.value);
    const [model, input, who] = [field.painter.value, stage.before, painter()];
    if (!stage.after) panel.say(`${who} is painting ${input.width} × ${input.height} pixels …`);
    const found = await panel.run(model, toNumbers(input));
    if (input !== stage.before) return;  // another photograph has been chosen meanwhile
    stage.showPainting(toPixels(found), who);
    root.dataset.runMs = found.ms.toFixed(1);
    root.dataset.painted = `${model} ${input.width} ${input.height}`;
    panel.say(`${who} painted ${input.width} × ${input.height} pixels in ${seconds(found.ms)}.`, "done");
  };
  const paint = panel.guarded(async () => {
    if (!photo.picture) await photo.take();
    await panel.work(compute);
  });

  form.addEventListener("change", panel.guarded(async ({target}) => {
    if (!["size", "painter"].includes(target.name)) return;
    if (target.name === "size" && photo.picture) showPhoto();
    panel.price();
    await refresh();
  }));
  form.addEventListener("input", ({target}) => {
    if (target.name === "strength" || target.name === "colors") mix();
  });
  panel.go.addEventListener("click", paint);
  panel.get("save").addEventListener("click", () => {
    save(mixture(), `${field.painter.value}_${stage.called.replace(/\W+/g, "_").toLowerCase()}`);
  });
  // A pasted picture is for this panel, unless the visitor is at another one that takes pictures.
  receive(panel, panel.guarded((file) => photo.open(file)),
    () => !document.querySelector(":is(#studio-any, #studio-dusk).live:is(:hover, :focus-within)"));

  // The camera, where there is one and the page may use it.
  const close = () => {
    camera.stream?.getTracks().forEach((track) => track.stop());
    camera.stream = null;
    camera.stage.hidden = true;
  };
  panel.get("camera-open").hidden = !navigator.mediaDevices?.getUserMedia;
  panel.get("camera-open").addEventListener("click", panel.guarded(async () => {
    camera.stream = await askCamera(1280);
    camera.video.srcObject = camera.stream;
    camera.stage.hidden = false;
    await camera.video.play();
    panel.get("camera-take").focus();
  }));
  panel.get("camera-take").addEventListener("click", panel.guarded(async () => {
    const {videoWidth, videoHeight} = camera.video;
    const shot = drawn(camera.video, videoWidth, videoHeight);
    close();
    await photo.keep(shot, "your camera");
    if (!panel.started) await paint();
  }));
  panel.get("camera-close").addEventListener("click", () => {
    close();
    panel.get("camera-open").focus();
  });
  mix();  // a browser may have kept the settings of the last visit
}
