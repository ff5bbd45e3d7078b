// Where a patch of one picture comes from: a frame on it, one on its source in another, and both enlarged below.
start("origin", (root, {side, stride, sizes, nearest, at}) => {
  const cells = [...root.querySelectorAll(".tile")];
  const controls = make("div", {className: "controls"});
  const said = make("div", {className: "said"});
  const [rows, columns] = [nearest.length, nearest[0].length / 2];
  const views = cells.map((cell) => {
    const image = cell.querySelector("img");
    const canvas = make("canvas", {width: 200, height: 200});
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `the patch, enlarged, of: ${image.alt}`);
    cell.append(canvas);
    image.addEventListener("load", () => show());
    return {image, frame: cell.querySelector(".field"), canvas};
  });
  const show = () => {
    const [x, y] = [across.value, down.value];
    const [v, u] = nearest[y].slice(2 * x, 2 * x + 2);  // row and column in the source
    [[x, y], [u, v]].forEach((place, k) => {
      const {image, frame, canvas} = views[k];
      const [width, height] = sizes[k];
      const [left, top] = place.map((index) => index * stride);
      Object.assign(frame.style, {left: `${100 * left / width}%`, top: `${100 * top / height}%`});
      if (!image.naturalWidth) return;
      const scale = image.naturalWidth / width;
      const paper = canvas.getContext("2d");
      paper.drawImage(image, left * scale, top * scale, side * scale, side * scale, 0, 0, 200, 200);
    });
    said.textContent = `The patch at column ${x + 1} of ${columns}, row ${y + 1} of ${rows} is nearest to the one `
      + `${100 * (u * stride + side / 2) / sizes[1][0] | 0} % from the left and `
      + `${100 * (v * stride + side / 2) / sizes[1][1] | 0} % from the top.`;
  };
  const axis = (name, count, value) => slider(controls, name, {
    max: count - 1, value, words: (k) => `${k + 1} of ${count}`, moved: () => show(),
  });
  const across = axis("column", columns, at[0]);
  const down = axis("row", rows, at[1]);
  follow(cells[0].querySelector(".seen"), (x, y) => {
    const aim = (f, k, count) => Math.min(count - 1, Math.max(0, Math.round((f * sizes[0][k] - side / 2) / stride)));
    across.value = aim(x, 0, columns);
    down.value = aim(y, 1, rows);
  }, true);
  root.append(controls, said);
  show();
});
