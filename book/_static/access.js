// For readers with a keyboard: what scrolls sideways can be reached with Tab, and only while it does scroll.
(() => {
  // Opened as a file, a page may not read its neighbors: the search then lists titles without excerpts.
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  }
  const MAY_SCROLL = "article :is(pre, table, .math, .pst-scrollable-table-container, [style*='overflow-x'])";
  const mark = () => {
    for (const one of document.querySelectorAll(MAY_SCROLL)) {
      const cut = one.scrollWidth > one.clientWidth + 1;
      if (cut && /auto|scroll/.test(getComputedStyle(one).overflowX)) one.tabIndex = 0;
      else one.removeAttribute("tabindex");
    }
  };
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
