// The ledger: a badge shows the claims of one verdict; a link to a claim opens it. Without scripts all claims stand there.
(() => {
  const all = [...document.querySelectorAll("section.claim")];
  const top = document.querySelector(".ledger-sum");
  if (!all.length || !top) return;

  const said = document.createElement("span");
  said.className = "ledger-said";
  said.setAttribute("role", "status");

  const buttons = [...top.querySelectorAll(".badge")].map((badge) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = badge.className;
    button.dataset.verdict = badge.dataset.verdict;
    button.innerHTML = badge.innerHTML;
    button.setAttribute("aria-pressed", "false");
    badge.replaceWith(button);
    return button;
  });
  top.append(said);

  const show = (verdict) => {
    for (const claim of all) claim.hidden = Boolean(verdict) && !claim.classList.contains(verdict);
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
    for (const line of document.querySelectorAll(".ledger-document")) {
      const claims = [...line.parentElement.querySelectorAll("section.claim")];
      line.parentElement.classList.toggle("empty", claims.every((claim) => claim.hidden));
    }
    const count = all.filter((claim) => !claim.hidden).length;
    said.textContent = verdict ? `${count} of ${all.length} shown; press again for all` : "";
  };
  for (const button of buttons)
    button.addEventListener("click", () =>
      show(button.getAttribute("aria-pressed") === "true" ? "" : button.dataset.verdict));

  const open = () => {
    const claim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!claim || !claim.matches("section.claim")) return;
    show("");
    claim.querySelector("details").open = true;
    claim.scrollIntoView({behavior: "instant"});
  };
  addEventListener("hashchange", open);
  open();
  addEventListener("load", open);  // pictures and fonts have moved the row by then
})();
