// What the tests of this folder ask a page. Evaluated in it once; most functions return what is wrong, in words.
window.look = (() => {
  const short = (element) => element.outerHTML.replace(/base64,[^"]*/, "…").slice(0, 140);

  // Bytes fetched so far.
  const bytes = () => performance.getEntries().reduce((sum, entry) => sum + (entry.encodedBodySize || 0), 0);

  const layout = () => {
    const page = document.documentElement;
    if (page.scrollWidth <= innerWidth) return [];
    const over = (one) => one.getBoundingClientRect().right > innerWidth + 1;
    const wide = [...document.querySelectorAll(".bd-main *")].filter(over);
    return [`${page.scrollWidth} px wide on a screen of ${innerWidth}`, ...wide.slice(0, 3).map(short)];
  };

  // Before anything is scrolled to. A page's first figure and what a component draws from may come at once.
  const pictures = () => [...document.images].flatMap((image) => {
    const wrong = [];
    if (!(image.getAttribute("alt") ?? "").trim()) wrong.push("no alternative text");
    if (!image.getAttribute("width") || !image.getAttribute("height")) wrong.push("no size");
    const below = image.checkVisibility() && image.getBoundingClientRect().top > 2 * innerHeight;
    const figure = image.closest("figure");
    const atOnce = figure?.matches(".interactive") || figure === document.querySelector("article figure");
    if (below && image.loading !== "lazy" && !atOnce && !image.src.startsWith("data:")) wrong.push("not lazy");
    return wrong.map((words) => `${words}: ${short(image)}`);
  });

  // Every picture is fetched, as if somebody had scrolled to it.
  const broken = async () => {
    const wrong = [];
    await Promise.all([...document.images].map(async (image) => {
      image.loading = "eager";
      try { await image.decode(); } catch { wrong.push(`not a picture: ${short(image)}`); }
      if (!image.naturalWidth) wrong.push(`empty: ${short(image)}`);
    }));
    return wrong;
  };

  const figures = () => [
    ...[...document.querySelectorAll("article figure")]
      .filter((figure) => !figure.querySelector(":scope > figcaption")?.textContent.trim())
      .map((figure) => `no caption: ${short(figure)}`),
    ...[...document.querySelectorAll("article img")]
      .filter((image) => !image.closest("figure"))
      .map((image) => `outside a figure: ${short(image)}`),
  ];

  const formulas = () => {
    const unset = [...document.querySelectorAll(".math")]
      .filter((math) => !math.querySelector("mjx-container, math") || math.querySelector("mjx-merror, merror"))
      .map((math) => math.textContent.trim().slice(0, 80));
    const walker = document.createTreeWalker(document.querySelector("article") ?? document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode;
      const quoted = text.parentElement.closest("pre, code, script, style, mjx-container, math");
      if (!quoted && /\$\$|\\\(|\\\[|\\begin\{/.test(text.data)) unset.push(text.data.trim().slice(0, 80));
    }
    return unset;
  };

  const moving = () => document.getAnimations()
    .filter((animation) => animation.playState === "running")
    .map((animation) => short(animation.effect.target));

  // axe-core's findings; `rules` to ask only for some.
  const barriers = async (rules) => {
    const options = {resultTypes: ["violations"], preload: false, iframes: false};
    if (rules) options.runOnly = {type: "rule", values: rules};
    const {violations} = await axe.run(document, options);
    return violations.flatMap((rule) => rule.nodes.map((node) => ({
      impact: node.impact ?? rule.impact,
      words: `${rule.id} at ${node.target}: ${node.failureSummary}`,
    })));
  };

  // The component a slider belongs to, and what it says about its value.
  const component = (slider) =>
    slider.closest(".play, .studio") ?? slider.closest("figure, form") ?? slider.parentElement;
  const said = (slider) => [
    slider.getAttribute("aria-valuetext"),
    ...[...component(slider).querySelectorAll("output")].map((output) => output.textContent),
  ].join(" | ");

  // All that can be seen of it beside its sliders: words, pictures, where they are cut, drawings.
  const seen = (slider) => JSON.stringify([...component(slider).querySelectorAll("*:not(input, output)")].map((one) => {
    const s = getComputedStyle(one);
    const style = [s.display, s.visibility, s.opacity, s.clipPath, s.transform, s.left, s.top, s.width, s.fill];
    const words = one.children.length ? "" : one.textContent;
    const drawing = one instanceof HTMLCanvasElement ? one.toDataURL() : one.getAttribute("d");
    return [one.getAttribute("src"), one.checkVisibility(), ...style, words, drawing];
  }));

  // A slider's value, what it says, and what is seen of its component.
  const state = (slider) => [slider.value, said(slider), seen(slider)];

  // Where the keys are going: a part of the page, and whether one sees it.
  const focus = () => {
    const one = document.activeElement, box = one.getBoundingClientRect();
    const parts = {
      "skip link": "#pst-skip-link", search: ".search-button-field", contents: ".bd-docs-nav", text: "article",
    };
    const part = Object.keys(parts).find((name) => one.closest(parts[name]));
    const visible = box.width > 1 && box.height > 1 && one.checkVisibility({visibilityProperty: true});
    return [part ?? one.tagName, visible];
  };

  // Figures of which nothing is seen but the caption.
  const bare = () => {
    const things = "img, canvas, table, svg";
    const visible = (one) => {
      const box = one.getBoundingClientRect();
      return one.checkVisibility({visibilityProperty: true}) && box.width > 20 && box.height > 5;
    };
    return [...document.querySelectorAll("article figure")]
      .filter((figure) => !figure.closest("details:not([open])") && figure.querySelector(things))
      .filter((figure) => ![...figure.querySelectorAll(things)].some(visible))
      .map((figure) => `${figure.className}: ${figure.querySelector("figcaption")?.textContent.slice(0, 80)}`);
  };

  return {
    bytes, layout, pictures, broken, figures, formulas, moving, barriers, seen, state, focus, bare,
    words: (slider) => (slider.labels?.[0]?.textContent || slider.ariaLabel || "").trim(),
  };
})();
