// How many products each output pixel adds up: a transposed convolution, and an enlarged map that is convolved.
start("overlaps", (root, {inputs, kernels, strides, at}) => {
  const place = {...at};
  // Along one side, with all weights 1: input i reaches the outputs i·stride … i·stride + kernel − 1.
  const transposed = (kernel, stride) => {
    const counts = Array((inputs - 1) * stride + kernel).fill(0);
    for (let i = 0; i < inputs; i++) for (let k = 0; k < kernel; k++) counts[i * stride + k]++;
    return counts;
  };
  const resized = (kernel, stride) => {  // each input is repeated, then every repetition reaches `kernel` outputs
    const counts = Array(inputs * stride + kernel - 1).fill(0);
    for (let i = 0; i < inputs * stride; i++) for (let k = 0; k < kernel; k++) counts[i + k]++;
    return counts;
  };
  // The counts that occur away from the borders.
  const inner = (counts, border) => [...new Set(counts.slice(border, counts.length - border))].sort((a, b) => a - b);

  const tiles = [...root.querySelectorAll(".tile")].map((tile) => {
    const canvas = make("canvas");
    canvas.setAttribute("role", "img");
    const image = tile.querySelector("img");
    image.hidden = true;
    image.after(canvas);
    return {canvas, name: tile.querySelector(".name").textContent};
  });
  const said = make("div", {className: "said"});
  const line = make("canvas", {className: "taps", width: 720, height: 190});
  line.setAttribute("role", "img");

  const plane = (canvas, counts) => {
    Object.assign(canvas, {width: counts.length, height: counts.length});
    const paper = canvas.getContext("2d"), most = Math.max(...counts) ** 2;
    counts.forEach((a, y) => counts.forEach((b, x) => {
      const gray = Math.round(255 * a * b / most);
      paper.fillStyle = `rgb(${gray} ${gray} ${gray})`;
      paper.fillRect(x, y, 1, 1);
    }));
  };
  const taps = (counts, {kernel, stride}) => {  // the same along one side, with each product as a line
    const paper = line.getContext("2d"), ink = getComputedStyle(root).color;
    const unit = 720 / counts.length, most = Math.max(...counts);
    paper.clearRect(0, 0, 720, 190);
    paper.strokeStyle = paper.fillStyle = ink;
    for (let i = 0; i < inputs; i++) {
      const x = (i * stride + kernel / 2) * unit;
      paper.globalAlpha = 0.45;
      for (let k = 0; k < kernel; k++) {
        paper.beginPath();
        paper.moveTo(x, 14);
        paper.lineTo((i * stride + k + 0.5) * unit, 90);
        paper.stroke();
      }
      paper.globalAlpha = 1;
      paper.beginPath();
      paper.arc(x, 12, 8, 0, 7);
      paper.fill();
    }
    paper.font = "15px sans-serif";
    paper.textAlign = "center";
    counts.forEach((count, k) => {
      paper.fillStyle = "#1f7ab3";
      paper.fillRect(k * unit + 2, 168 - 72 * count / most, unit - 4, 72 * count / most);
      paper.fillStyle = ink;
      if (unit > 11) paper.fillText(count, (k + 0.5) * unit, 186);
    });
  };
  const show = () => {
    const {kernel, stride} = place;
    const [one, other] = [transposed(kernel, stride), resized(kernel, stride)];
    plane(tiles[0].canvas, one);
    plane(tiles[1].canvas, other);
    taps(one, place);
    const seen = inner(one, kernel - 1), flat = seen.length === 1;
    said.textContent = `Kernel ${kernel}, stride ${stride}: away from the border, an output pixel of the transposed `
      + `convolution adds ${seen.join(" or ")} product${seen.at(-1) === 1 ? "" : "s"} along a side, `
      + `${[...new Set(seen.flatMap((a) => seen.map((b) => a * b)))].sort((a, b) => a - b).join(", ")} in the plane: `
      + `${flat ? "no pattern" : "a checkerboard"}. After repeating, it adds ${inner(other, kernel - 1)[0]} everywhere.`;
    tiles[0].canvas.setAttribute("aria-label", `${tiles[0].name}: ${flat ? "even" : "a checkerboard"}`);
    tiles[1].canvas.setAttribute("aria-label", `${tiles[1].name}: even`);
    line.setAttribute("aria-label", `Products for each output along one side: ${one.join(", ")}`);
  };
  const controls = make("div", {className: "controls"});
  for (const [key, name, values] of [["kernel", "side of the kernel", kernels], ["stride", "stride", strides]]) {
    slider(controls, name, {
      max: values.length - 1, value: values.indexOf(at[key]), words: (k) => String(values[k]),
      moved: (k) => { place[key] = values[k]; show(); },
    });
  }
  root.querySelector(".strip").after(line, said, controls);
  root.overlaps = {transposed, resized};  // for tests and the console
  show();
});
