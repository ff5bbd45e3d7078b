// Two films over each other, a movable edge, and one time for both. Nothing moves before somebody presses Play.
start("film", (root, {at, frame, length, perSecond}) => {
  const row = root.querySelector(".strip");
  const cells = [...row.querySelectorAll(".tile")];
  const names = cells.map((cell) => cell.querySelector(".name").textContent);
  const moments = cells.map((cell) => [...cell.querySelectorAll(".moment")]);
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
      select.setAttribute("aria-label", `film at the ${side}`);
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
  const time = slider(controls, "frame", {
    max: length - 1,
    value: frame,
    words: (k) => `${k + 1} of ${length}`,
    moved: (k) => moments.forEach((film) => film.forEach((moment, n) => { moment.hidden = n !== k; })),
  });
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
    let timer = 0;
    const button = make("button", {type: "button", className: "tour", textContent: "Play"});
    const stop = () => { clearInterval(timer); timer = 0; button.textContent = "Play"; };
    button.addEventListener("click", () => {
      if (timer) { stop(); return; }
      button.textContent = "Pause";
      timer = setInterval(() => {
        if (document.hidden || !root.isConnected) stop();
        else time.value = (time.value + 1) % length;
      }, 1000 / perSecond);
    });
    for (const kind of ["pointerdown", "keydown"]) time.input.addEventListener(kind, stop);
    controls.append(button);
  }
  follow(row, (x) => { edge.value = Math.round(100 * x); });
  root.append(controls);
  edge.value = at;
  time.value = frame;
  show();
  wake(root);
});
