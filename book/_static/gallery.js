// The gallery: a click shows a picture on a wall of its own, with its neighbors and a lens. Without scripts the link
// opens the file.
(() => {
  const ZOOM = 2.5;
  const links = [...document.querySelectorAll("figure.painting a.full")];
  if (!links.length || !window.HTMLDialogElement) return;

  const make = (tag, properties = {}, ...inside) => {
    const one = Object.assign(document.createElement(tag), properties);
    one.append(...inside);
    return one;
  };
  const button = (words, pressed) => {
    const one = make("button", {type: "button", textContent: words});
    one.addEventListener("click", pressed);
    return one;
  };
  const slider = (words, from) => {
    const input = make("input", {type: "range", min: 0, max: 100, value: 50});
    input.addEventListener("input", () => show());
    input.addEventListener("focus", () => show());
    input.addEventListener("blur", () => hide());
    input.from = from;
    return [make("label", {}, make("span", {textContent: words}), input), input];
  };

  let at = 0;
  let lift = 0;  // pixels: a finger would cover the lens
  const title = make("p", {className: "title", id: "gallery-title"});
  const place = make("p", {className: "place"});
  const heading = make("div", {className: "heading"}, title, place);
  heading.setAttribute("aria-live", "polite");
  const image = make("img", {draggable: false});
  const lens = make("div", {className: "lens", hidden: true});
  const hung = make("div", {className: "hung"}, image, lens);
  const stage = make("div", {className: "stage"}, hung);
  const [acrossLabel, across] = slider("lens across", "left");
  const [downLabel, down] = slider("lens down", "top");
  const next = button("Next", () => turn(1));
  next.autofocus = true;
  const dialog = make(
    "dialog", {className: "gallery"},
    make("div", {className: "bar"}, heading, button("Close", () => dialog.close())),
    stage,
    make(
      "div", {className: "bar controls"},
      button("Previous", () => turn(-1)), make("div", {className: "sliders"}, acrossLabel, downLabel), next,
    ),
  );
  dialog.setAttribute("aria-labelledby", title.id);

  // The part below the lens, enlarged.
  const show = () => {
    for (const input of [across, down]) input.setAttribute("aria-valuetext", `${input.value} % from the ${input.from}`);
    lens.hidden = false;
    const [width, height] = [image.clientWidth, image.clientHeight];
    const [x, y] = [width * across.value / 100, height * down.value / 100];
    const side = lens.clientWidth;
    Object.assign(lens.style, {
      left: `${x}px`, top: `${y - Math.min(lift, y)}px`,
      backgroundImage: `url("${image.src}")`,
      backgroundSize: `${ZOOM * width}px ${ZOOM * height}px`,
      backgroundPosition: `${side / 2 - ZOOM * x}px ${side / 2 - ZOOM * y}px`,
    });
  };
  const hide = () => {
    lift = 0;
    lens.hidden = ![across, down].includes(document.activeElement);
  };
  const aim = (event) => {
    const box = image.getBoundingClientRect();
    const percent = (f) => 100 * Math.min(1, Math.max(0, f));
    across.value = percent((event.clientX - box.left) / box.width);
    down.value = percent((event.clientY - box.top) / box.height);
    lens.hidden = false;
    lift = event.pointerType === "touch" ? 0.75 * lens.clientWidth : 0;
    show();
  };
  for (const name of ["pointerdown", "pointermove"]) hung.addEventListener(name, aim);
  for (const name of ["pointerleave", "pointercancel"]) hung.addEventListener(name, hide);

  const hang = (index) => {
    at = (index + links.length) % links.length;
    const link = links[at];
    const light = link.querySelector("img");
    const [width, height] = [light.getAttribute("width"), light.getAttribute("height")];
    title.innerHTML = link.closest("figure").querySelector(".title").innerHTML;
    place.textContent = `${at + 1} of ${links.length}`;
    hung.style.setProperty("--ratio", width / height);
    Object.assign(image, {src: light.src, alt: light.alt, width, height});
    [across.value, down.value] = [50, 50];
    if (lens.hidden) return load(link.href);
    show();
    load(link.href);
  };
  // The page's light picture stays until the full one is there.
  const load = (address) => {
    const full = make("img", {src: address});
    full.decode().then(() => {
      if (links[at].href !== address) return;
      Object.assign(image, {src: address, width: full.naturalWidth, height: full.naturalHeight});
      hung.style.setProperty("--wide", full.naturalWidth);
      if (!lens.hidden) show();
    }, () => {});
  };
  const turn = (by) => hang(at + by);

  links.forEach((link, index) => link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;  // a tab or window of its own
    event.preventDefault();
    document.body.append(dialog);  // not before: until then it shows nothing
    hang(index);
    dialog.showModal();
  }));
  dialog.addEventListener("keydown", (event) => {
    const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!by || event.target.matches("input")) return;  // on a slider the arrows move the lens
    event.preventDefault();
    turn(by);
  });
  stage.addEventListener("click", (event) => {
    if (event.target === stage) dialog.close();
  });
  dialog.addEventListener("close", () => {
    hide();
    links[at].focus();
  });
  addEventListener("resize", () => {
    if (!lens.hidden) show();
  });
})();
