// A click or Enter shows a picture on a wall of its own, with its neighbors; the paintings of the gallery also have a
// lens. Without scripts a painting's link opens its file.
(() => {
  const ZOOM = 2.5;
  const SWIPE = 60;  // pixels
  const NOT = "a, button, label, .interactive, .play, .studio, .credit, .source";
  const paintings = [...document.querySelectorAll("figure.painting a.full")];
  const pictures = [...document.querySelectorAll("article figure img")].filter((image) => !image.closest(NOT));
  if (!(paintings.length + pictures.length) || !window.HTMLDialogElement) return;

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

  let wall = [];  // what opens the pictures that can be seen now
  let at = 0;
  let lift = 0;  // pixels: a finger would cover the lens
  const title = make("p", {className: "title", id: "picture-title"});
  const place = make("p", {className: "place"});
  const heading = make("div", {className: "heading"}, title, place);
  heading.setAttribute("aria-live", "polite");
  const caption = make("p", {className: "caption", id: "picture-caption"});
  const image = make("img", {draggable: false});
  const lens = make("div", {className: "lens", hidden: true});
  const hung = make("div", {className: "hung"}, image, lens);
  const stage = make("div", {className: "stage"}, hung);
  const [acrossLabel, across] = slider("lens across", "left");
  const [downLabel, down] = slider("lens down", "top");
  const next = button("Next", () => turn(1));
  next.autofocus = true;
  const previous = button("Previous", () => turn(-1));
  const dialog = make(
    "dialog", {className: "pictures"},
    make("div", {className: "bar"}, heading, button("Close", () => dialog.close())),
    stage,
    make(
      "div", {className: "bar controls"},
      previous, make("div", {className: "sliders"}, acrossLabel, downLabel), caption, next,
    ),
  );
  dialog.setAttribute("aria-labelledby", title.id);
  dialog.setAttribute("aria-describedby", caption.id);

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
    if (!dialog.matches(".gallery")) return;
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

  const seen = (opener) => opener.querySelector("img") ?? opener;  // a painting's link holds it
  const fullOf = (opener) => opener.href ?? opener.dataset.full ?? opener.currentSrc ?? opener.src;
  const hang = (index) => {
    at = (index + wall.length) % wall.length;
    const [opener, light] = [wall[at], seen(wall[at])];
    const figure = opener.closest("figure");
    const [width, height] = ["width", "height"].map((side) => light.getAttribute(side) ?? light[`natural${side}`]);
    const said = figure.querySelector("figcaption");
    const own = dialog.matches(".gallery") ? said.querySelector(".title") : opener.closest(".cell")?.querySelector(".title");
    title.innerHTML = (own ?? said)?.innerHTML ?? light.alt;
    caption.innerHTML = own && !dialog.matches(".gallery") ? said?.innerHTML ?? "" : "";
    place.textContent = `${at + 1} of ${wall.length}`;
    hung.style.setProperty("--ratio", width / height);
    hung.style.setProperty("--wide", width);
    const chart = light.closest(".chart");
    dialog.classList.toggle("chart", Boolean(chart));
    hung.style.setProperty("--least", chart?.style.getPropertyValue("--least") ?? "0px");
    dialog.classList.toggle("square", light.style.imageRendering === "pixelated");
    image.style.filter = getComputedStyle(light).filter;
    Object.assign(image, {src: light.currentSrc || light.src, alt: light.alt, width, height});
    stage.scrollTo(0, 0);
    [across.value, down.value] = [50, 50];
    if (!lens.hidden) show();
    load(fullOf(opener));
  };
  // The page's light picture stays until the full one is there.
  const load = (address) => {
    const full = make("img", {src: address});
    full.decode().then(() => {
      if (fullOf(wall[at]) !== address || !full.naturalWidth) return;
      Object.assign(image, {src: address, width: full.naturalWidth, height: full.naturalHeight});
      hung.style.setProperty("--wide", full.naturalWidth);
      if (!lens.hidden) show();
    }, () => {});
  };
  const turn = (by) => hang(at + by);

  const open = (opener, all) => {
    wall = all.filter((one) => seen(one).checkVisibility({visibilityProperty: true}));
    dialog.classList.toggle("gallery", all === paintings);
    previous.hidden = next.hidden = wall.length < 2;
    document.body.append(dialog);  // not before: until then it shows nothing
    hang(wall.indexOf(opener));
    dialog.showModal();
  };
  for (const link of paintings) link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;  // a tab or window of its own
    event.preventDefault();
    open(link, paintings);
  });
  // The first picture of a figure can be reached with Tab; the arrow keys lead to the others.
  const figures = new Set();
  for (const one of pictures) {
    const figure = one.closest("figure");
    one.tabIndex = figures.has(figure) ? -1 : 0;
    figures.add(figure);
    one.setAttribute("role", "button");
    one.setAttribute("aria-haspopup", "dialog");
    one.classList.add("can-open");
    one.addEventListener("click", () => open(one, pictures));
    one.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      open(one, pictures);
    });
  }
  dialog.addEventListener("keydown", (event) => {
    const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!by || event.target.matches("input")) return;  // on a slider the arrows move the lens
    event.preventDefault();
    turn(by);
  });
  // A finger that moves sideways turns the page, unless it moves a lens, a wide chart or what it has enlarged.
  let from = null;
  stage.addEventListener("pointerdown", (event) => {
    const free = event.pointerType === "touch" && event.isPrimary && !dialog.matches(".gallery");
    const calm = stage.scrollWidth <= stage.clientWidth + 1 && (window.visualViewport?.scale ?? 1) === 1;
    from = free && calm ? [event.clientX, event.clientY] : null;
  });
  stage.addEventListener("pointercancel", () => { from = null; });
  stage.addEventListener("pointerup", (event) => {
    if (!from) return;
    const [x, y] = [event.clientX - from[0], event.clientY - from[1]];
    from = null;
    if (Math.abs(x) > SWIPE && Math.abs(x) > 2 * Math.abs(y)) turn(x < 0 ? 1 : -1);
  });
  stage.addEventListener("click", (event) => {
    if (event.target === stage) dialog.close();
  });
  dialog.addEventListener("close", () => {
    hide();
    wall[at].focus();
  });
  addEventListener("resize", () => {
    if (!lens.hidden) show();
  });
})();
