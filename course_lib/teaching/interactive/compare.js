// Two pictures over each other and a movable edge; with more than two, a choice of which.
start("compare", (root, {at}) => {
  const row = root.querySelector(".strip");
  const cells = [...row.querySelectorAll(".tile")];
  const names = cells.map((cell) => cell.querySelector(".name").textContent);
  const controls = make("div", {className: "controls"});
  row.classList.add("over");
  row.append(make("div", {className: "edge"}));

  const shown = [0, cells.length - 1];
  const show = () => {
    cells.forEach((cell, k) => {
      cell.hidden = !shown.includes(k);
      cell.classList.toggle("before", k === shown[0]);
      cell.classList.toggle("after", k === shown[1] && k !== shown[0]);
    });
    row.insertBefore(cells[shown[0]], row.firstChild);
  };
  if (cells.length > 2) {
    ["left", "right"].forEach((side, which) => {
      const select = make("select", {}, ...names.map((name, k) => make("option", {value: k, textContent: name})));
      select.value = shown[which];
      select.setAttribute("aria-label", `picture at the ${side}`);
      select.addEventListener("change", () => { shown[which] = Number(select.value); show(); });
      controls.append(make("label", {textContent: side}), select, make("span"));
    });
  }
  const edge = slider(controls, "edge", {
    max: 100,
    value: at,
    words: (percent) => `${percent} %`,
    moved: (percent) => row.style.setProperty("--at", `${percent}%`),
  });
  follow(row, (x) => { edge.value = Math.round(100 * x); });
  root.append(controls);
  edge.value = at;
  show();
  wake(root);
});
