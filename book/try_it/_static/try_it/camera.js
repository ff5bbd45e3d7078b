// Live: what a camera or a video file shows, frame by frame, through one painter or through two side by side.
import {receive} from "./chooser.js";
import {EngineError} from "./engine.js";
import {LEAST, change, median, stillness} from "./flicker.js";
import {askCamera, openVideo, release} from "./moving.js";
import {blank, pixels, save, toNumbers, toPixels} from "./pictures.js";
import {calm, graphics} from "./studio.js";

const KEPT = 20;  // frames that a number on the page is the median of
const PATIENCE = 1000;  // ms without a new frame, after which the last one is painted once more
const WIDTH = 640;  // pixels asked of a camera; a painter gets fewer

const tenThousandths = (value) => `${(1e4 * value).toFixed(value < 1e-3 ? 2 : 1)} · 10⁻⁴`;

export function attachCamera(panel) {
  const {root, form} = panel;
  const field = form.elements;
  const video = panel.get("video");
  const slow = panel.engine;  // the processor's, which the other panels use, too
  const steady = root.dataset.stable;  // the painter that does not flicker, where there is one
  const places = ["painted", ...(steady ? ["steady"] : [])];
  let source = "";  // "camera" or a file's name
  let running = null;  // what is being painted live; another object after every pause
  let wake = () => {};  // ends the wait for a frame
  let before = null;  // the last frame, its paintings, and what they were made by
  let kept = {};  // by name: the last values that a number on the page is the median of

  const both = () => Boolean(steady) && field.beside.value === "stable";
  panel.models = () => (both() ? [field.painter.value, steady] : [field.painter.value]);
  const settings = () => [...panel.models(), field.size.value, field.mirror.checked].join();
  const title = () => form.querySelector(`input[name=painter][value="${field.painter.value}"]`).dataset.title;

  function keep(name, value) {
    kept[name] = [...(kept[name] ?? []), value].slice(-KEPT);
    return median(kept[name]);
  }

  // --- what is seen
  function show(which, image, label) {
    let canvas = panel.get(which).querySelector("canvas");
    if (!canvas) {
      canvas = blank(image.width, image.height);
      canvas.setAttribute("role", "img");
      panel.get(which).querySelector("img").replaceWith(canvas);
    }
    if (canvas.width !== image.width || canvas.height !== image.height) {
      Object.assign(canvas, {width: image.width, height: image.height});
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.setAttribute("aria-label", label);
  }

  // The frame that the video shows now, at the chosen size.
  function grab() {
    const {videoWidth, videoHeight} = video;
    const scale = Math.min(1, Number(field.size.value) / Math.max(videoWidth, videoHeight));
    const canvas = blank(...[videoWidth, videoHeight].map((side) => Math.max(16, Math.round(scale * side))));
    const context = canvas.getContext("2d", {willReadFrequently: true});
    context.imageSmoothingQuality = "high";
    if (field.mirror.checked) context.setTransform(-1, 0, 0, 1, canvas.width, 0);
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    return pixels(canvas);
  }

  // Numbers that belong to other settings are of no use any more.
  function forget() {
    [before, kept] = [null, {}];
    for (const name of ["seen-change", "painted-flicker", "still-words", "times", ...(steady ? ["steady-flicker"] : [])]) {
      panel.get(name).textContent = "";
    }
    panel.get("fps").textContent = "–";
    panel.get("meters").hidden = true;
  }

  function measure(now) {
    if (!before) return;
    const fps = 1000 / keep("ms", now.at - before.at);
    panel.get("fps").textContent = fps.toFixed(1);
    panel.get("meters").hidden = false;
    root.dataset.fps = fps.toFixed(3);
    const {still, share} = stillness(before.image, now.image);
    const enough = share >= LEAST;
    panel.get("still-words").textContent = enough
      ? `${Math.round(100 * share)} % of the picture hardly changes`
      : "too much moves for the flicker to be measured";
    if (!enough) return;
    const numbers = {seen: keep("seen", change(before.image, now.image, still))};
    now.painted.forEach((image, k) => {
      numbers[places[k]] = keep(places[k], change(before.painted[k], image, still));
      panel.get(`${places[k]}-flicker`).textContent = `flicker ${tenThousandths(numbers[places[k]])}`;
    });
    panel.get("seen-change").textContent = `change ${tenThousandths(numbers.seen)}`;
    panel.get("times").textContent = numbers.steady > 0
      ? `the stable painter’s flicker is ${(numbers.steady / numbers.painted).toFixed(2)} times that of ${title()}` : "";
    root.dataset.flicker = JSON.stringify(numbers);
  }

  // --- one frame
  async function paint() {
    const [models, by] = [panel.models(), settings()];
    await panel.ready(...models);  // another painter may have been chosen
    panel.bar.hidden = true;
    const image = grab();
    const painted = [];
    for (const model of models) painted.push(toPixels(await panel.engine.run(model, toNumbers(image))));
    return {image, painted, at: performance.now(), by};
  }

  async function frame(token) {
    let now;
    try {
      now = await paint();
    } catch (error) {
      if (panel.engine === slow || !(error instanceof EngineError)) throw error;
      use(slow, "The graphics processor could not run the networks, so the processor does.");
      now = await paint();
    }
    // Settings that changed while it was painted: nothing is shown under a wrong name.
    if (token !== running || now.by !== settings()) return;
    const {width, height} = now.image;
    if (before && (before.image.width !== width || before.image.height !== height)) forget();  // a camera was turned
    const from = source === "camera" ? "your camera" : source;
    panel.get("seen-words").textContent = from;
    panel.get("painted-words").textContent = title();
    show("seen", now.image, `What is painted: ${from}`);
    now.painted.forEach((picture, k) => show(places[k], picture, `${from}, painted${k ? " by the stable painter" : ""}`));
    measure(now);
    before = now;
    root.dataset.frames = Number(root.dataset.frames ?? 0) + 1;
    panel.get("save").disabled = false;
    const words = `${title()} paints ${width} × ${height} pixels, live.`;
    if (panel.line.textContent !== words) panel.say(words, "done");
  }

  const fresh = () => new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, PATIENCE);
    video.requestVideoFrameCallback?.(resolve) ?? requestAnimationFrame(resolve);
  });

  // --- run and pause
  function buttons() {
    const [pause, live] = [panel.get("pause"), running !== null];
    panel.go.hidden = source === "camera";
    pause.disabled = source === "";
    pause.textContent = live || source === "" ? "Pause" : "Go on";
    root.classList.toggle("running", live);
  }

  function pause(words) {
    running = null;
    wake();
    if (source === "camera") release(video);
    video.pause();
    buttons();
    if (words) panel.say(words);
  }

  async function live() {
    const token = running = {};
    before = null;
    buttons();
    panel.get("pause").focus({preventScroll: true});
    panel.say("The first frame is being painted …");
    try {
      await video.play();
      while (token === running) {
        await frame(token);
        await fresh();
      }
    } catch (error) {
      if (token !== running) return;  // paused in the middle of something
      pause();
      throw error;
    }
  }

  // The networks, with a button to stop them on their way; false where they did not come.
  async function fetched() {
    let here = false;
    await panel.work(async () => {
      await panel.ready(...panel.models());
      here = true;
    });
    return here;
  }

  const inSight = (words) => {
    if (document.hidden) pause(words);
    return !document.hidden;
  };
  const AWAY = "Paused, because this page was out of sight.";
  const AWAY_CAMERA = "Paused, and the camera is off, because this page was out of sight.";

  let asking = false;
  const openCamera = panel.guarded(async () => {
    if (asking || panel.busy) return;
    asking = true;
    try {
      const stream = await askCamera(WIDTH);
      pause();
      release(video);
      forget();
      if (source !== "camera") field.mirror.checked = true;
      source = "camera";
      video.srcObject = stream;
      stream.getVideoTracks()[0].addEventListener("ended", () => {
        if (source === "camera" && running) pause("The camera was taken away. Go on when it is back, or use a file.");
      });
      if (!await fetched()) {
        release(video);
        source = "";
        return buttons();
      }
    } finally {
      asking = false;
    }
    return inSight(AWAY_CAMERA) ? live() : undefined;
  });

  const openFile = panel.guarded(async (file) => {
    if (!file || asking || panel.busy) return undefined;
    pause();
    release(video);
    source = "";
    buttons();
    await openVideo(video, file);
    forget();
    source = file.name || "your video";
    field.mirror.checked = false;
    buttons();
    if (!await fetched()) return undefined;
    if (!calm()) return inSight(AWAY) ? live() : undefined;
    running = {};
    await frame(running);  // where less motion is wished, the first frame alone
    return pause(`The first frame of ${source}. Press “Go on” to play it.`);
  });

  panel.go.addEventListener("click", openCamera);
  panel.get("pause").addEventListener("click", panel.guarded(async () => {
    if (running) return pause(source === "camera" ? "Paused, and the camera is off." : "Paused.");
    if (source === "camera") return openCamera();
    return await fetched() ? live() : undefined;
  }));
  panel.get("file").addEventListener("change", ({target}) => {
    const [file] = target.files;
    target.value = "";
    return openFile(file);
  });
  receive(panel, openFile, () => false);  // dropped, not pasted
  document.addEventListener("visibilitychange", () => {
    if (running) inSight(source === "camera" ? AWAY_CAMERA : AWAY);
  });
  addEventListener("pagehide", () => pause());
  form.addEventListener("change", ({target}) => {
    if (["painter", "beside"].includes(target.name)) panel.price();
    if (["mirror", "size", "painter", "beside"].includes(target.name)) forget();
    if (steady) panel.get("steady").hidden = !both();
  });
  panel.get("save").addEventListener("click", () => {
    const shown = places.map(panel.get, panel).filter((place) => !place.hidden);
    const pictures = shown.map((place) => place.querySelector("canvas")).filter(Boolean);
    const strip = blank(pictures.reduce((sum, {width}) => sum + width, 0), pictures[0].height);
    pictures.reduce((x, picture) => {
      strip.getContext("2d").drawImage(picture, x, 0);
      return x + picture.width;
    }, 0);
    save(strip, [...panel.models(), "frame", root.dataset.frames].join("_"));
  });

  // --- where it runs
  function use(engine, words) {
    panel.engine = engine;
    root.dataset.runs = engine.kind;
    panel.get("runs").textContent = words;
    panel.price();
  }
  use(slow, "Runs on the processor of your machine.");
  graphics().then((found) => {
    if (panel.busy || panel.started) return;
    if (found) {
      const words = "Runs on the graphics processor of your machine (WebGPU).";
      use(slow.sibling("webgpu", Number(root.dataset.gpu)), words);
    } else use(slow, "Runs on the processor of your machine: this browser offers no WebGPU, which would be faster.");
  });
  if (steady) panel.get("steady").hidden = !both();
}
