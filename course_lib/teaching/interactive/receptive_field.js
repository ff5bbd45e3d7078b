// What one position of a layer sees of the picture: a frame on it, and what is inside, larger.
start("receptive-field", (root, {layers, at, width, height}) => {
  const area = root.querySelector(".seen");
  const image = area.querySelector("img");
  const frame = area.querySelector(".field");
  const said = root.querySelector(".said");
  const canvas = make("canvas", {width: 200, height: 200});
  canvas.setAttribute("role", "img");
  root.querySelector(".crop").prepend(canvas);
  root.querySelector(".crop").hidden = false;
  const controls = make("div", {className: "controls"});
  const place = {layer: at, x: 0.5, y: 0.5};

  const show = () => {
    const layer = layers[place.layer];
    const positions = [width, height].map((side) => Math.max(1, Math.floor((side - 1 - 2 * layer.first) / layer.stride) + 1));
    const [column, row] = [place.x, place.y].map((f, k) => Math.min(positions[k] - 1, Math.floor(f * positions[k])));
    const [left, top] = [column, row].map((k) => layer.first + k * layer.stride - (layer.size - 1) / 2);
    frame.style.left = `${100 * left / width}%`;
    frame.style.top = `${100 * top / height}%`;
    frame.style.width = `${100 * layer.size / width}%`;
    frame.style.height = `${100 * layer.size / height}%`;
    said.textContent = `${layer.name}: position (${column}, ${row}) of ${positions[0]} × ${positions[1]} `
      + `sees ${layer.size} × ${layer.size} pixels of ${width} × ${height}; its neighbor looks ${layer.stride} further.`;
    const scale = image.naturalWidth / width;
    const paper = canvas.getContext("2d");
    paper.imageSmoothingEnabled = layer.size > 100;
    paper.fillStyle = "#777";  // beyond the picture: padding
    paper.fillRect(0, 0, 200, 200);
    if (image.naturalWidth) {
      paper.drawImage(image, left * scale, top * scale, layer.size * scale, layer.size * scale, 0, 0, 200, 200);
    }
    canvas.setAttribute("aria-label", `what this position sees, ${layer.size} pixels wide`);
  };
  slider(controls, "layer", {
    max: layers.length - 1, value: at, words: (k) => layers[k].name, moved: (k) => { place.layer = k; show(); },
  });
  const percent = (value) => `${value} %`;
  const across = slider(controls, "across", {
    max: 100, value: 50, words: percent, moved: (value) => { place.x = value / 100; show(); },
  });
  const down = slider(controls, "down", {
    max: 100, value: 50, words: percent, moved: (value) => { place.y = value / 100; show(); },
  });
  follow(area, (x, y) => { across.value = Math.round(100 * x); down.value = Math.round(100 * y); }, true);
  root.append(controls);
  image.addEventListener("load", show);
  show();
});
