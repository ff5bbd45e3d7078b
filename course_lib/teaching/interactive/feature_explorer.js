// What excites the channels of a network at one place, and one number of its first layer, product by product.
start("feature-explorer", (root, {photos, layers, names, mean, std, at, tile}) => {
  const ROWS = 5, PATCHES = layers[0].from[0].length, GAP = 4;
  const sheet = root.querySelector(".sheet"), holder = root.querySelector(".later");
  const COLORS = ["red", "green", "blue"];
  const number = (value, digits = 2) => {
    const text = value.toFixed(digits);
    return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
  };

  // ---- the atlas: in the page, or in a file beside it that is fetched on a click
  const fetched = (address) => new Promise((done, failed) => {
    const script = make("script", {src: address});
    script.onload = () => done(globalThis.playLater[address.split("/").at(-1)]);
    script.onerror = () => failed(new Error("it could not be fetched"));
    document.head.append(script);
  });
  const inflated = async (text) => {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  const sums = (steps, width) => {  // of differences along both sides; bytes wrap around at 256
    const plane = Uint8Array.from(steps);
    plane.forEach((step, k) => {
      const left = k % width ? plane[k - 1] : 0, above = k >= width ? plane[k - width] : 0;
      plane[k] = step + left + above - (k % width && k >= width ? plane[k - width - 1] : 0);
    });
    return plane;
  };
  // teaching/feature_atlas.py, unpack: luma for every pixel, two color differences for every 2 × 2
  const pixels = (stored, width, height) => {
    const all = width * height, data = new Uint8ClampedArray(4 * all);
    const luma = sums(stored.subarray(0, all), width);
    const [orange, leaf] = [0, 1].map((k) =>
      new Int8Array(sums(stored.subarray(all + k * all / 4, all + (k + 1) * all / 4), width / 2).buffer));
    for (let k = 0; k < all; k++) {
      const half = (k / width >> 1) * width / 2 + (k % width >> 1);
      const [co, cg] = [2 * orange[half], 2 * leaf[half]];
      const middle = luma[k] - (cg >> 1), blue = middle - (co >> 1);
      data.set([blue + co, cg + middle, blue, 255], 4 * k);
    }
    return data;
  };
  const picture = async (address) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    return image;
  };

  const open = async () => {
    const atlas = holder.dataset.src ? await fetched(holder.dataset.src) : JSON.parse(holder.content.textContent);
    const data = await Promise.all(photos.map(async ({width, height}, k) =>
      pixels(await inflated(atlas.pixels[k]), width, height)));
    const codes = await Promise.all(atlas.codes.map((texts) => Promise.all(texts.map(inflated))));
    const sheets = await Promise.all(atlas.sheets.map(picture));
    explore(data, codes, sheets, atlas.filters);
  };

  const explore = (data, codes, sheets, filters) => {
    const place = {photo: at.photo, layer: at.layer, x: at.x, y: at.y};  // x, y: in pixels
    let pinned = -1;  // the channel that is looked at, or −1: the strongest one here

    // ---- the numbers
    // Normalized, one plane for each color, with a frame of zeros.
    const inputs = data.map((bytes, k) => {
      const {width, height} = photos[k], wide = width + 2;
      return mean.map((middle, c) => {
        const plane = new Float64Array(wide * (height + 2));
        for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
          plane[(y + 1) * wide + x + 1] = (bytes[4 * (y * width + x) + c] / 255 - middle) / std[c];
        }
        return plane;
      });
    });
    const kernels = filters.weights.map((filter) => Float64Array.from(filter.flat(2)));
    const positions = (photo, layer) => {  // of the layer, and of those that are stored
      const {stride, step} = layers[layer];
      return [photos[photo].width, photos[photo].height].map((side) => {
        const all = Math.floor(side / stride);
        return {all, kept: Math.ceil((all - (step >> 1)) / step)};
      });
    };
    // The stored position whose center is nearest: its place among those, its column and row, its field.
    const here = ({photo, layer, x, y}) => {
      const {stride, step, field} = layers[layer];
      const [column, row] = positions(photo, layer).map(({kept}, k) => {
        const wanted = ([x, y][k] - (stride - 1) / 2) / stride;
        return Math.min(kept - 1, Math.max(0, Math.round((wanted - (step >> 1)) / step)));
      });
      const at = [column, row].map((k) => (step >> 1) + k * step);
      const center = at.map((k) => (stride - 1) / 2 + k * stride);
      return {column, row, at, center, corner: center.map((middle) => middle - (field - 1) / 2)};
    };
    // The 27 products of one number of the first layer: max(0, b + Σ W · P), with zeros around the picture.
    const products = (photo, channel, x, y) => {
      const wide = photos[photo].width + 2, cells = [];
      kernels[channel].forEach((weight, k) => {
        const value = inputs[photo][Math.floor(k / 9)][(y + Math.floor(k / 3) % 3) * wide + x + k % 3];
        cells.push({value, weight, product: value * weight});
      });
      const bias = filters.biases[channel];
      const total = cells.reduce((sum, {product}) => sum + product, bias);
      return {cells, bias, total, answer: Math.max(0, total)};
    };
    const first = (photo, channel, x, y) => {  // the same number, quickly
      const wide = photos[photo].width + 2, kernel = kernels[channel];
      let total = filters.biases[channel], k = 0;
      for (let c = 0; c < 3; c++) {
        const plane = inputs[photo][c];
        for (let v = 0, at = y * wide + x; v < 3; v++, at += wide, k += 3) {
          total += kernel[k] * plane[at] + kernel[k + 1] * plane[at + 1] + kernel[k + 2] * plane[at + 2];
        }
      }
      return total > 0 ? total : 0;
    };
    const answer = (photo, layer, channel, column, row) => {
      if (!codes[layer].length) return first(photo, channel, column, row);
      const [{kept: across}, {kept: down}] = positions(photo, layer);
      const code = codes[layer][photo][(channel * down + row) * across + column];
      return layers[layer].scales[channel] * (code / 255) ** 2;
    };
    const answers = (photo, layer, {column, row}) =>
      layers[layer].channels.map((_, channel) => answer(photo, layer, channel, column, row));
    const strongest = (values) => values.map((_, k) => k).sort((a, b) => values[b] - values[a] || a - b);

    // ---- what is seen
    const canvas = (width, height) => {
      const one = make("canvas", {width, height});
      one.setAttribute("role", "img");
      return one;
    };
    const plain = photos.map(({width, height}, k) => {
      const one = make("canvas", {width, height});
      one.getContext("2d").putImageData(new ImageData(data[k], width, height), 0, 0);
      return one;
    });
    const framed = (one) => {
      const field = make("div", {className: "field"});
      return {field, area: make("div", {className: "seen"}, one, field)};
    };
    const board = make("canvas"), map = canvas(1, 1);
    const {field, area} = framed(board), {field: spot, area: whole} = framed(map);
    Object.assign(area, {tabIndex: 0});
    area.setAttribute("role", "application");
    area.dataset.lmSuppressShortcuts = "true";
    const said = make("div", {className: "said"}), mapName = make("div", {className: "name"});
    said.setAttribute("aria-live", "polite");
    const square = canvas(tile, tile);
    const rows = Array.from({length: ROWS}, () => {
      const name = make("b"), value = make("span"), patches = canvas(PATCHES * (tile + GAP) - GAP, tile);
      const button = make("button", {type: "button", className: "channel"},
        make("span", {}, name, make("br"), value), patches);
      button.addEventListener("click", () => {
        pinned = Number(button.value) === pinned ? -1 : Number(button.value);
        show();
      });
      return {button, name, value, patches, drawn: ""};
    });

    const MAGMA = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]];
    const TINTS = Uint8ClampedArray.from(Array.from({length: 256}, (_, shade) => {
      const k = Math.min(3, Math.floor(shade / 64)), rest = shade / 63.75 - k;
      return MAGMA[k].map((low, c) => low + rest * (MAGMA[k + 1][c] - low));
    }).flat());
    let mapped = "";
    const drawMap = (channel) => {
      const {photo, layer} = place, wanted = [photo, layer, channel].join();
      if (wanted === mapped) return;
      mapped = wanted;
      const [{kept: across}, {kept: down}] = positions(photo, layer);
      const values = new Float32Array(across * down), colors = new ImageData(across, down);
      let most = 1e-9;
      for (let row = 0, k = 0; row < down; row++) for (let column = 0; column < across; column++, k++) {
        values[k] = answer(photo, layer, channel, column, row);
        if (values[k] > most) most = values[k];
      }
      values.forEach((value, k) => {
        const at = 3 * Math.round(255 * value / most);
        for (let c = 0; c < 3; c++) colors.data[4 * k + c] = TINTS[at + c];
        colors.data[4 * k + 3] = 255;
      });
      Object.assign(map, {width: across, height: down});
      map.getContext("2d").putImageData(colors, 0, 0);
      mapName.textContent = `channel ${layers[layer].channels[channel]} on the whole photograph, 0 to ${number(most, 1)}`;
      map.setAttribute("aria-label", mapName.textContent);
    };
    const drawPatches = (row, channel) => {
      const {layer} = place, wanted = [layer, channel].join();
      if (row.drawn === wanted) return;
      row.drawn = wanted;
      const paper = row.patches.getContext("2d"), size = layers[layer].patch;
      paper.clearRect(0, 0, row.patches.width, tile);
      paper.imageSmoothingEnabled = size > 30;
      for (let k = 0; k < PATCHES; k++) {
        paper.drawImage(sheets[layer], k * size, channel * size, size, size, k * (tile + GAP), 0, tile, tile);
      }
      const from = layers[layer].from[channel].map((k) => names[k]);
      row.patches.setAttribute("aria-label", `patches that excite it most, from: ${from.join(", ")}`);
    };
    const drawSquare = ({corner}) => {
      const paper = square.getContext("2d"), size = layers[place.layer].field;
      paper.imageSmoothingEnabled = size > 30;
      paper.fillStyle = "#777";  // beyond the picture: zeros
      paper.fillRect(0, 0, tile, tile);
      paper.drawImage(plain[place.photo], ...corner, size, size, 0, 0, tile, tile);
      square.setAttribute("aria-label", `what the position sees, ${size} × ${size} pixels`);
    };
    const put = (box, width, height, left, top, side) => {
      [["left", left, width], ["width", side, width], ["top", top, height], ["height", side, height]]
        .forEach(([name, value, whole]) => { box.style[name] = `${100 * value / whole}%`; });
    };

    // ---- follow one number
    const cells = () => {
      const grid = make("div", {className: "nine"}, ...Array.from({length: 9}, () => make("span")));
      grid.setAttribute("role", "img");
      return grid;
    };
    const sign = (text) => make("span", {className: "sign", textContent: text, ariaHidden: "true"});
    const lines = COLORS.map((color) => {
      const line = {window: cells(), filter: cells(), products: cells(), sum: make("span", {className: "sum"})};
      line.all = make("div", {className: "sums"}, make("strong", {textContent: color}),
        line.window, sign("×"), line.filter, sign("="), line.products, line.sum);
      return line;
    });
    const head = make("p"), end = make("p"), normal = make("p");
    const arithmetic = make("div", {className: "follow"}, head, ...lines.map(({all}) => all), end, normal);
    const elsewhere = make("p", {className: "said"});
    const fill = (grid, name, values, most) => {  // as many digits as fit, the same for all three colors
      const digits = most >= 10 ? 1 : most >= 0.1 ? 2 : 1 - Math.floor(Math.log10(most));
      values.forEach((value, k) => {
        const cell = grid.children[k], words = number(value, digits);
        if (cell.textContent === words) return;  // nothing to lay out again
        cell.textContent = words;
        cell.style.background = `rgb(${value < 0 ? "31 122 179" : "214 106 46"} / ${(0.5 * Math.abs(value) / most).toFixed(2)})`;
      });
      grid.setAttribute("aria-label", `${name}: ${values.map((value) => number(value, digits)).join(", ")}`);
    };
    const follow27 = (channel, {at: [x, y]}) => {
      const {cells: all, bias, total, answer: last} = products(place.photo, channel, x, y);
      const part = (key, c) => all.slice(9 * c, 9 * c + 9).map((one) => one[key]);
      const sumsOf = COLORS.map((_, c) => part("product", c).reduce((a, b) => a + b, 0));
      const most = Object.fromEntries(["value", "weight", "product"].map((key) =>
        [key, Math.max(1e-9, ...all.map((one) => Math.abs(one[key])))]));
      lines.forEach((line, c) => {
        for (const [grid, key, name] of [[line.window, "value", "picture"], [line.filter, "weight", "weights"],
          [line.products, "product", "products"]]) fill(grid, `${name}, ${COLORS[c]}`, part(key, c), most[key]);
        line.sum.textContent = `sum ${number(sumsOf[c], 4)}`;
      });
      head.textContent = `Follow one number: channel ${layers[0].channels[channel]} at (${x}, ${y}). `
        + "For each color, 3 × 3 pixels of the normalized picture, times the filter:";
      const plus = (value) => `${value < 0 ? "−" : "+"} ${number(Math.abs(value), 4)}`;
      end.textContent = `${number(sumsOf[0], 4)} ${plus(sumsOf[1])} ${plus(sumsOf[2])} ${plus(bias)} (bias) `
        + `= ${number(total, 4)}. ReLU: max(0, ${number(total, 4)}) = ${number(last, 4)}.`;
      const byte = data[place.photo][4 * (y * photos[place.photo].width + x)];
      const whole = Math.abs(255 * std[0] - 1) < 1e-4;  // a network that takes pixels from 0 to 255
      const how = whole ? `${byte} − ${number(255 * mean[0])}` : `(${byte}/255 − ${number(mean[0], 3)})/${number(std[0], 3)}`;
      normal.textContent = `Normalized, for example the red in the middle: ${how} = `
        + `${number((byte / 255 - mean[0]) / std[0])}. Numbers are shown rounded and added in full.`;
    };

    let now = null;  // the place, the channels there, and the one that is looked at
    const look = () => {
      const {photo, layer} = place, {width, height} = photos[photo];
      const spotted = here(place), values = answers(photo, layer, spotted), order = strongest(values);
      now = {spotted, values, order, channel: pinned < 0 ? order[0] : pinned};
      put(field, width, height, ...spotted.corner, layers[layer].field);
      const [{kept}, {kept: keptRows}] = positions(photo, layer);
      put(spot, kept, keptRows, spotted.column, spotted.row, 1);
    };
    const showRows = () => {
      const {photo, layer} = place, {width, height} = photos[photo], one = layers[layer];
      const {spotted, values, order, channel} = now;
      const list = order.slice(0, ROWS);
      if (!list.includes(channel)) list[ROWS - 1] = channel;
      drawSquare(spotted);
      rows.forEach((row, k) => {
        const value = values[list[k]];
        row.button.value = list[k];
        row.button.setAttribute("aria-pressed", String(list[k] === pinned));
        row.button.classList.toggle("now", list[k] === channel);
        row.name.textContent = `channel ${one.channels[list[k]]}`;
        row.value.textContent = `${number(value, value < 10 ? 2 : 1)} of ${number(one.most[list[k]], 1)}`;
        drawPatches(row, list[k]);
      });
      const [{all}, {all: allRows}] = positions(photo, layer);
      said.textContent = `${one.name}: position (${spotted.at.join(", ")}) of ${all} × ${allRows} sees `
        + `${one.field} × ${one.field} of ${width} × ${height} pixels. Of ${values.length} channels, `
        + `${values.filter((value) => value > 0).length} respond here.`;
      area.setAttribute("aria-label", `${photos[photo].title}; arrow keys move the place. ${said.textContent}`);
    };
    const showNumber = () => {
      if (!codes[place.layer].length) follow27(now.channel, now.spotted);
    };
    const showMap = () => drawMap(now.channel);
    const show = () => {
      const one = layers[place.layer], computed = !codes[place.layer].length;
      field.classList.toggle("dim", one.field > 30);
      field.classList.toggle("small", one.field < 30);
      [arithmetic.hidden, elsewhere.hidden] = [!computed, computed];
      elsewhere.firstChild.textContent = `Each number of ${one.name} is a sum of 3 × 3 × ${one.inputs} = `
        + `${9 * one.inputs} products and a bias, and what is negative becomes 0. In ${layers[0].name} it is 27 products. `;
      look();
      [showRows, showNumber, showMap].forEach((part) => part());
    };
    // While a pointer moves, every frame shows the channels; the arithmetic and the map follow five times a second.
    let due = 0, late = 0;
    const moved = () => {
      due ||= requestAnimationFrame(() => { due = 0; look(); showRows(); });
      late ||= setTimeout(() => { late = 0; showNumber(); requestAnimationFrame(showMap); }, 200);
    };

    // ---- hands and keys
    const choosePhoto = (k) => {
      const {width, height} = photos[k];
      place.x *= width / photos[place.photo].width;
      place.y *= height / photos[place.photo].height;
      place.photo = k;
      Object.assign(board, {width, height});
      board.getContext("2d").drawImage(plain[k], 0, 0);
      pictures.forEach((button, n) => { button.setAttribute("aria-pressed", String(n === k)); });
    };
    const pictures = photos.map(({title}, k) => {
      const button = make("button", {type: "button", textContent: title});
      button.addEventListener("click", () => { choosePhoto(k); show(); });
      return button;
    });
    const controls = make("div", {className: "controls"});
    const depth = slider(controls, "layer", {
      max: layers.length - 1, value: at.layer, words: (k) => layers[k].name,
      moved: (k) => { place.layer = k; pinned = -1; show(); },
    });
    const jump = make("button", {type: "button", textContent: `Follow one in ${layers[0].name}`});
    jump.addEventListener("click", () => { depth.value = 0; depth.input.focus(); });
    elsewhere.append("", jump);
    follow(area, (x, y) => {
      place.x = x * photos[place.photo].width - 0.5;
      place.y = y * photos[place.photo].height - 0.5;
      moved();
    });
    area.addEventListener("keydown", (event) => {
      const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
      if (!move) return;
      event.preventDefault();
      event.stopPropagation();
      const {stride, step} = layers[place.layer], by = stride * step * (event.shiftKey ? 8 : 1);
      const {center} = here(place), {width, height} = photos[place.photo];
      [place.x, place.y] = [width, height].map((side, k) => Math.min(side - 1, Math.max(0, center[k] + by * move[k])));
      show();
    });
    const group = make("div", {className: "choices"}, ...pictures);
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "photograph");
    const top = make("div", {className: "glance"}, square,
      make("span", {}, make("b", {textContent: "What it sees"}), make("br"), "Below, the channels that respond most here: the value"
        + " here, the greatest in all photographs, and the patches that excite the channel most."));
    const stage = make("div", {className: "spread"}, area, make("div", {className: "found"}, top, ...rows.map(({button}) => button)),
      make("div", {className: "whole"}, whole, mapName));
    sheet.hidden = true;
    sheet.after(group, controls, stage, said, arithmetic, elsewhere);
    for (const one of root.querySelectorAll("input, select, button")) one.dataset.lmSuppressShortcuts = "true";
    root.features = {here, products, answers, strongest, bytes: (k) => data[k]};  // for tests and the console
    choosePhoto(place.photo);
    show();
  };

  const opened = (words, button) => open().then(() => {
    if (!button) return;
    button.remove();
    root.querySelector("[role=application]").focus({preventScroll: true});
  }).catch((problem) => {
    words.textContent = `The explorer did not open: ${problem.message}.`;
    if (button) button.disabled = false;
  });
  const words = make("p", {className: "said"});
  words.setAttribute("role", "status");
  sheet.after(words);
  if (!holder.dataset.src) opened(words);
  else {
    const button = make("button", {type: "button", className: "open",
      textContent: `Open the explorer (${number(holder.dataset.bytes / 1e6, 1)} MB)`});
    button.addEventListener("click", () => { button.disabled = true; opened(words, button); });
    sheet.after(button);
  }
});
