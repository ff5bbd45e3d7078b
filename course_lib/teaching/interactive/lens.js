// The same part of several pictures, enlarged below each.
start("lens", (root, {zoom}) => {
  const cells = [...root.querySelectorAll(".tile")];
  const controls = make("div", {className: "controls"});
  const place = {x: 0.5, y: 0.5};
  const lenses = cells.map((cell) => {
    const area = cell.querySelector(".seen");
    const image = area.querySelector("img");
    const frame = make("div", {className: "field"});
    const canvas = make("canvas", {width: 300, height: 300});
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `the part under the lens of: ${image.alt}`);
    area.append(frame);
    cell.append(canvas);
    image.addEventListener("load", () => show());
    return {image, frame, canvas};
  });
  const show = () => {
    for (const {image, frame, canvas} of lenses) {
      const [width, height] = [image.naturalWidth, image.naturalHeight];
      if (!width) continue;
      const side = Math.min(width, height) / zoom;
      const [left, top] = [place.x * (width - side), place.y * (height - side)];
      Object.assign(frame.style, {
        left: `${100 * left / width}%`, top: `${100 * top / height}%`,
        width: `${100 * side / width}%`, height: `${100 * side / height}%`,
      });
      const paper = canvas.getContext("2d");
      paper.imageSmoothingEnabled = false;
      paper.drawImage(image, left, top, side, side, 0, 0, canvas.width, canvas.height);
    }
  };
  const percent = (value) => `${value} %`;
  const across = slider(controls, "across", {
    max: 100, value: 50, words: percent, moved: (value) => { place.x = value / 100; show(); },
  });
  const down = slider(controls, "down", {
    max: 100, value: 50, words: percent, moved: (value) => { place.y = value / 100; show(); },
  });
  const aim = (f) => Math.min(1, Math.max(0, (f - 0.5 / zoom) / (1 - 1 / zoom)));  // the pointer at the middle
  for (const cell of cells) {
    follow(cell.querySelector(".seen"), (x, y) => {
      across.value = Math.round(100 * aim(x));
      down.value = Math.round(100 * aim(y));
    }, true);
  }
  root.append(controls);
  show();
});
