"use strict";
(() => {
  const body = document.body, root = document.documentElement;
  const slides = [...document.querySelectorAll(".slide")];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let at = 0, speaker = null;
  const started = Date.now();

  const theme = (name) => (root.dataset.theme = name);
  theme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));

  const steps = () => [...slides[at].querySelectorAll(".step")];
  const hidden = () => steps().filter((step) => !step.classList.contains("shown"));

  function tell() { // the window for whoever speaks
    if (!speaker || speaker.closed) return;
    const page = speaker.document, minutes = Math.floor((Date.now() - started) / 60000);
    const notes = slides[at].querySelector(".notes"), next = slides[at + 1];
    page.body.innerHTML = `<p><b>${at + 1} / ${slides.length}</b> · ${minutes} min</p>` +
      `<h1>${slides[at].querySelector("h1, h2").innerHTML}</h1>${notes.innerHTML || "<p>No notes.</p>"}` +
      `<hr><p>Next: ${next ? next.querySelector("h1, h2").innerHTML : "the end"}</p>`;
  }

  function show(to, whole) {
    at = Math.max(0, Math.min(slides.length - 1, to));
    slides.forEach((slide, k) => {
      slide.classList.toggle("on", k === at);
      slide.inert = k !== at && !body.classList.contains("overview");
    });
    steps().forEach((step) => step.classList.toggle("shown", !!whole));
    document.querySelector("#bar i").style.width = `${100 * (at + 1) / slides.length}%`;
    history.replaceState(null, "", `#${at + 1}`);
    if (!body.classList.contains("overview")) slides[at].focus({ preventScroll: true });
    tell();
  }

  function forward() {
    const left = hidden();
    if (left.length) left[0].classList.add("shown");
    else if (at < slides.length - 1) show(at + 1);
  }

  function back() {
    const open = steps().filter((step) => step.classList.contains("shown"));
    if (open.length) open[open.length - 1].classList.remove("shown");
    else if (at > 0) show(at - 1, true);
  }

  function overview() {
    body.classList.toggle("overview");
    show(at, true);
    if (body.classList.contains("overview")) slides[at].scrollIntoView({ block: "center" });
  }

  function speak() {
    speaker = open("", "notes", "width=760,height=820");
    if (!speaker) return;
    speaker.document.title = "Notes";
    speaker.document.head.innerHTML = "<style>body{margin:2rem;font:18px/1.5 sans-serif}img{max-width:100%}" +
      "pre{overflow:auto;background:#eee;padding:.6rem}</style>";
    speaker.onkeydown = keys;
    tell();
  }

  const full = () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen());
  const toggle = (name) => body.classList.toggle(name);
  const actions = {
    ArrowRight: forward, ArrowDown: forward, PageDown: forward, " ": forward, Enter: forward,
    ArrowLeft: back, ArrowUp: back, PageUp: back, Backspace: back,
    Home: () => show(0), End: () => show(slides.length - 1),
    n: () => toggle("noted"), s: speak, f: full, o: overview, "?": () => toggle("helped"),
    d: () => theme(root.dataset.theme === "dark" ? "light" : "dark"),
    Escape: () => { body.classList.remove("helped", "noted"); if (body.classList.contains("overview")) overview(); },
  };

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pressed = event.target.closest && event.target.closest("button, a, summary");
    if (pressed && (event.key === " " || event.key === "Enter")) return;
    if (event.key === "Enter" && body.classList.contains("overview")) { overview(); event.preventDefault(); return; }
    const action = event.key === " " && event.shiftKey ? back : actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action) { event.preventDefault(); action(); }
  }
  addEventListener("keydown", keys);

  document.querySelector("main").addEventListener("click", (event) => {
    const slide = event.target.closest(".slide");
    if (body.classList.contains("overview") && slide) { at = slides.indexOf(slide); overview(); }
  });
  document.querySelector("#help").addEventListener("click", () => toggle("helped"));
  for (const button of document.querySelectorAll(".nav button")) button.addEventListener("click", () => actions[button.value]());

  let touched = null;
  addEventListener("touchstart", (event) => { touched = event.touches.length === 1 ? event.touches[0] : null; }, { passive: true });
  addEventListener("touchend", (event) => {
    if (!touched || body.classList.contains("overview")) return;
    const across = event.changedTouches[0].clientX - touched.clientX, down = event.changedTouches[0].clientY - touched.clientY;
    if (Math.abs(across) > 50 && Math.abs(across) > 2 * Math.abs(down)) (across < 0 ? forward : back)();
  }, { passive: true });

  addEventListener("hashchange", () => show((parseInt(location.hash.slice(1), 10) || 1) - 1));
  setInterval(tell, 30000);
  body.classList.add("live");
  show((parseInt(location.hash.slice(1), 10) || 1) - 1);
})();
