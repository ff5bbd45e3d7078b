// What scrolls sideways says so and can be reached with Tab, only while it does scroll; cards in the margin are open.
(() => {
  // Opened as a file, a page may not read its neighbors: the search then lists titles without excerpts.
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  }
  const MAY_SCROLL = "article :is(pre, table, .math, .pst-scrollable-table-container, .sideways, [style*='overflow-x'])";
  const mark = () => {
    for (const one of document.querySelectorAll(MAY_SCROLL)) {
      const cut = one.scrollWidth > one.clientWidth + 1;
      const scrolls = cut && /auto|scroll/.test(getComputedStyle(one).overflowX);
      if (scrolls) one.tabIndex = 0;
      else one.removeAttribute("tabindex");
      one.toggleAttribute("data-scrolls", scrolls);
    }
  };
  const margin = matchMedia("(min-width: 992px)");
  const unfold = () => {
    for (const one of document.querySelectorAll("aside.margin.run details")) one.open = margin.matches;
  };
  unfold();
  margin.addEventListener("change", unfold);
  addEventListener("load", () => {
    mark();
    let due = 0;
    new ResizeObserver(() => {
      cancelAnimationFrame(due);
      due = requestAnimationFrame(mark);
    }).observe(document.body);
    document.addEventListener("toggle", mark, true);  // what was folded has a width only now
  });
})();
