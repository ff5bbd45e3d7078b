// One of many pictures, chosen by one slider or by two.
start("frames", (root, {axes, at}) => {
  const frames = [...root.querySelectorAll(".frame")];
  const controls = make("div", {className: "controls"});
  const place = at.slice();
  const cells = [];
  const show = () => {
    const index = place.reduce((sum, k, axis) => sum * axes[axis].values.length + k, 0);
    frames.forEach((frame, k) => { frame.hidden = k !== index; });
    cells.forEach((cell, k) => cell.classList.toggle("here", k === index));
  };
  const sliders = axes.map(({name, values}, axis) =>
    slider(controls, name, {
      max: values.length - 1,
      value: at[axis],
      words: (k) => values[k],
      moved: (k) => { place[axis] = k; show(); },
    }));

  if (axes.length === 2) {  // every pair at a glance; the sliders do the same by keyboard
    const width = axes[1].values.length;
    const map = make("div", {className: "map"});
    map.style.gridTemplateColumns = `repeat(${width}, max-content)`;
    map.setAttribute("aria-hidden", "true");
    frames.forEach((_, k) => {
      const cell = make("span", {title: `${axes[0].values[Math.floor(k / width)]}, ${axes[1].values[k % width]}`});
      cell.addEventListener("click", () => {
        sliders[0].value = Math.floor(k / width);
        sliders[1].value = k % width;
      });
      cells.push(cell);
      map.append(cell);
    });
    controls.append(make("span"), map, make("span"));
  } else if (axes[0].values.length > 5) {
    const last = axes[0].values.length - 1;
    let timer = 0;
    const button = make("button", {type: "button", className: "tour", textContent: "Play"});
    const stop = () => { clearInterval(timer); timer = 0; button.textContent = "Play"; };
    button.addEventListener("click", () => {
      if (timer) { stop(); return; }
      if (place[0] === last) sliders[0].value = 0;
      button.textContent = "Pause";
      timer = setInterval(() => {
        sliders[0].value = place[0] + 1;
        if (place[0] >= last) stop();
      }, 700);
    });
    sliders[0].input.addEventListener("pointerdown", stop);
    controls.append(button);
  }
  root.append(controls);
  show();
  wake(root);
});
