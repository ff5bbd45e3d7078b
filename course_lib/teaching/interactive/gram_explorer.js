// The Gram matrix of two pictures, computed here from their feature maps: losses/style.py, G/M = F Fᵀ/M, in sums.
start("gram-explorer", (root, {maps: packed, steps, names, side, titles, layer, of, toy, error, at}) => {
  const COUNT = side * side, CHANNELS = names.length, SIZE = 4 * side;  // SIZE: pixels of the picture with its shadow
  const COLORS = [[86, 170, 226], [240, 138, 72]];  // more in the first picture, more in the second

  // ---- numbers
  const unpack = () => {
    const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
    const all = new Uint8Array(2 * CHANNELS * COUNT);
    for (let k = 0, n = 0; k < bytes.length; k++) {
      if (bytes[k]) all[n++] = bytes[k];
      else n += bytes[++k];  // a zero, and how many there are
    }
    const map = (k) => all.subarray(k * COUNT, (k + 1) * COUNT);
    return [0, 1].map((p) => names.map((_, c) => map(p * CHANNELS + c)));
  };
  // Whole numbers are added first, which is exact in any order; then the steps make them the network's numbers.
  const gram = (rows, scales) => {
    const G = rows.map(() => Array(rows.length));
    rows.forEach((a, i) => rows.slice(0, i + 1).forEach((b, j) => {
      let sum = 0;
      for (let k = 0; k < a.length; k++) sum += a[k] * b[k];
      G[i][j] = G[j][i] = scales[i] * scales[j] * sum / a.length;
    }));
    return G;
  };
  const permutation = (length) => {
    const order = Array.from({length}, (_, k) => k);
    for (let k = length - 1; k > 0; k--) {
      const other = Math.floor(Math.random() * (k + 1));
      [order[k], order[other]] = [order[other], order[k]];
    }
    return order;
  };
  const moved = (row, order) => row.map((_, k) => row[order[k]]);
  // The fewest positions whose products make half of the entry.
  const half = (products) => {
    const sorted = new Uint16Array(products).sort().reverse(), inside = new Uint8Array(sorted.length);
    let rest = sorted.reduce((sum, one) => sum + one, 0) / 2, count = 0;
    while (rest > 0 && count < sorted.length) rest -= sorted[count++];
    const least = count ? sorted[count - 1] : Infinity;
    let ties = count - sorted.findLastIndex((one) => one > least) - 1;  // of those that equal the last one
    products.forEach((one, k) => { inside[k] = one > least || (one === least && ties-- > 0); });
    return {inside, count};
  };
  const given = unpack(), exact = given.map((rows) => gram(rows, steps));
  // Pairs of maps by their part of ‖A − B‖², in which an entry off the diagonal stands twice.
  const parts = names.flatMap((_, i) => names.slice(i).map((__, k) => {
    const j = i + k;
    return {i, j, part: (i === j ? 1 : 2) * (exact[0][i][j] - exact[1][i][j]) ** 2};
  }));
  const total = parts.reduce((sum, one) => sum + one.part, 0);
  parts.sort((a, b) => b.part - a.part);
  const length = (matrix) => Math.sqrt(matrix.flat().reduce((sum, one) => sum + one * one, 0));

  // ---- what is shown
  let view = 0, maps = given, now = exact, pin = at, look = at;  // view 2 is the difference
  let orders = null, alone = -1;  // where the squares of the pictures went; the one map that was shuffled
  const canvas = (width) => {
    const one = make("canvas", {width, height: width});
    one.setAttribute("role", "img");
    return one;
  };
  const digits = (value) => Number(value.toPrecision(3)).toString();
  const percent = (value) => (value < 0.01 ? "less than 1\u00a0%" : `${Math.round(100 * value)}\u00a0%`);
  const button = (words, pressed) => {
    const one = make("button", {type: "button", textContent: words});
    one.addEventListener("click", pressed);
    return one;
  };
  const GRAYS = Uint32Array.from({length: 256}, (_, k) => 0xff000000 | Math.round(Math.sqrt(255 * k)) * 0x10101);
  const paint = (one, color) => {  // color(k): red in the lowest byte, opacity in the highest
    const pixels = new ImageData(one.width, one.height), words = new Uint32Array(pixels.data.buffer);
    for (let k = 0; k < words.length; k++) words[k] = color(k);
    one.getContext("2d").putImageData(pixels, 0, 0);
  };

  const board = canvas(CHANNELS), field = make("div", {className: "field"});
  const mirror = make("div", {className: "field mirror"}), legend = make("div", {className: "name"});
  const area = make("div", {className: "seen", tabIndex: 0}, board, mirror, field);
  area.setAttribute("role", "application");
  area.dataset.lmSuppressShortcuts = "true";  // as core.js does for buttons
  const entry = make("div", {className: "said entry"}), status = make("div", {className: "said"});
  status.setAttribute("role", "status");
  const looks = make("div", {className: "looks"});
  const picture = [0, 2].map((k) => root.querySelectorAll(".sheet img")[k]);
  const squares = titles.map(() => make("canvas", {width: SIZE, height: SIZE}));  // the pictures as they are now
  const shade = make("canvas", {width: side, height: side});
  const tiles = titles.map((title) => ["picture", "row", "column", "product"].map((kind) => {
    const one = {canvas: canvas(kind === "picture" ? SIZE : side), name: make("div", {className: "name"})};
    one.tile = make("div", {className: "tile"}, one.canvas, one.name);
    looks.append(one.tile);
    return one;
  }));

  const drawSquares = () => picture.forEach((image, p) => {
    const paper = squares[p].getContext("2d"), from = image.naturalWidth / side, to = SIZE / side;
    if (!from) return;
    if (!orders) { paper.drawImage(image, 0, 0, SIZE, SIZE); return; }
    orders[p].forEach((k, n) => paper.drawImage(image, k % side * from, Math.floor(k / side) * from, from, from,
      n % side * to, Math.floor(n / side) * to, to, to));
  });
  const drawBoard = () => {
    const most = Math.max(...now.flat(2));
    const [a, b] = now.map((one) => one.flat());
    const widest = Math.max(...a.map((value, k) => Math.abs(value - b[k])), 1e-12);
    paint(board, (k) => {
      if (view < 2) return GRAYS[Math.round(255 * [a, b][view][k] / most)];
      const bright = Math.sqrt(Math.abs(a[k] - b[k]) / widest);
      const [red, green, blue] = COLORS[a[k] > b[k] ? 0 : 1].map((one) => Math.round(one * bright));
      return 0xff000000 | blue << 16 | green << 8 | red;
    });
    legend.textContent = view < 2 ? `G/M of ${titles[view]}, ${CHANNELS} of the ${of} channels of ${layer}`
      : `Blue: more in ${titles[0]}. Orange: more in ${titles[1]}.`;
    board.setAttribute("aria-label", legend.textContent);
  };
  const put = (box, i, j) => {
    const part = (count) => `${100 * count / CHANNELS}%`;
    Object.assign(box.style, {left: part(j), top: part(i), width: part(1), height: part(1)});
  };
  const times = (i, j) => {  // an entry of both pictures in words
    const [a, b] = now.map((G) => G[i][j]), ratio = Math.max(a, b) / Math.min(a, b);
    if (!(ratio >= 1.05)) return "nearly the same in both";
    const more = titles[a > b ? 0 : 1];
    return `${ratio < 100 ? Number(ratio.toPrecision(2)) : "more than 100"} times as large in ${more}`;
  };
  const tell = () => {
    const [i, j] = look, [a, b] = now.map((one) => one[i][j]);
    const pair = i === j ? `Map ${names[i]} with itself` : `Maps ${names[i]} and ${names[j]}`;
    if (view < 2) {
      const G = now[view], cosine = G[i][j] / Math.sqrt(G[i][i] * G[j][j]);
      return `${pair}: G/M = ${digits(G[i][j])}${i === j || !(cosine >= 0) ? "" : `, cosine ${cosine.toFixed(2)}`}. `;
    }
    const part = (i === j ? 1 : 2) * (a - b) ** 2 / total;
    const which = i === j ? "This entry makes" : "The entry and its mirror image make";
    return `${pair}: ${digits(a)} in ${titles[0]}, ${digits(b)} in ${titles[1]}, ${times(i, j)}. `
      + `${which} ${percent(part)} of the squared distance. `;
  };
  const drawLook = () => {
    const [i, j] = look, shown = view < 2 ? [view] : [0, 1];
    put(field, i, j);
    put(mirror, j, i);
    mirror.hidden = i === j;
    const shares = [], products = maps.map((all) => new Uint16Array(all[i]).map((value, k) => value * all[j][k]));
    const largest = Math.max(1, ...products.map((all) => all.reduce((most, one) => Math.max(most, one))));
    for (const p of shown) {
      const [a, b] = [maps[p][i], maps[p][j]];
      const {inside, count} = half(products[p]), [whole, row, column, product] = tiles[p];
      shares.push(count / COUNT);
      paint(row.canvas, (k) => GRAYS[a[k]]);
      paint(column.canvas, (k) => GRAYS[b[k]]);
      paint(product.canvas, (k) => GRAYS[Math.round(255 * products[p][k] / largest)]);
      const paper = whole.canvas.getContext("2d");
      paint(shade, (k) => (inside[k] ? 0 : 0xb8000000));
      paper.imageSmoothingEnabled = false;
      paper.drawImage(squares[p], 0, 0);
      paper.drawImage(shade, 0, 0, SIZE, SIZE);
      [titles[p], `map ${names[i]}`, `map ${names[j]}`, i === j ? "its square" : "their product"].forEach((name, k) => {
        const {canvas: one, name: words} = tiles[p][k];
        words.textContent = name;
        one.setAttribute("aria-label", `${titles[p]}: ${k ? name : "where half of the entry comes from"}`);
      });
    }
    const where = shares.map(percent).join(" and ");
    entry.textContent = tell() + (shares.some(Boolean)
      ? `Half of the sum comes from ${where} of the positions; the rest of the picture is dimmed.`
      : "At no position are both above 0.");
    area.setAttribute("aria-label", `Gram matrix, row ${names[i]}, column ${names[j]}. ${entry.textContent}`);
  };
  const say = () => {
    const change = now.map((G, p) => G.map((row, i) => row.map((value, j) => value - exact[p][i][j])));
    const most = (list) => Math.max(...list.map(Math.abs)), p = view % 2, row = change[p][alone];
    if (orders) {
      status.textContent = "All maps were shuffled alike and the matrices computed again. Largest change of an entry: "
        + `${digits(most(change.flat(2)))}.`;
    } else if (row) {
      const [up, down] = [row.filter((one) => one > 0).length, row.filter((one) => one < 0).length];
      status.textContent = `Map ${names[alone]} was shuffled alone. In its row (and its column) of ${titles[p]} `
        + `${up} entries rose and ${down} fell; its entry on the diagonal changed by ${digits(row[alone])}.`;
    } else status.textContent = "";
  };
  const show = () => {
    views.forEach((one, k) => one.setAttribute("aria-pressed", String(k === view)));
    for (const one of [looks, entry]) one.classList.toggle("both", view === 2);
    tiles.forEach((row, p) => row.forEach(({tile}) => { tile.hidden = view < 2 && view !== p; }));
    list.hidden = view < 2;
    back.disabled = !orders && alone < 0;
    drawBoard();
    drawLook();
    say();
  };

  // ---- what the reader does
  let quiet = false;  // while the handles are set to an entry that was pointed at
  const turn = (i, j, keep = true) => {
    if (look[0] !== i || look[1] !== j) {
      look = [i, j];
      quiet = true;
      [rows.value, columns.value] = look;
      quiet = false;
      drawLook();
      only.textContent = `Shuffle map ${names[i]} alone`;
    }
    if (keep) pin = look;
  };
  const shuffle = (which) => {  // all maps of both pictures, or one of them
    const order = [0, 1].map(() => permutation(COUNT));
    if (which < 0) orders = order;
    else orders = null;
    alone = which;
    maps = given.map((all, p) => all.map((row, c) => (which < 0 || c === which ? moved(row, order[p]) : row)));
    now = maps.map((all) => gram(all, steps));
    drawSquares();
    show();
  };
  const reset = () => {
    [orders, alone, maps, now] = [null, -1, given, exact];
    drawSquares();
    show();
  };
  const views = [...titles, "Difference"].map((name, k) => button(name, () => { view = k; show(); }));
  const group = make("div", {className: "acts"}, ...views);
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "matrix that is shown");
  const only = button(`Shuffle map ${names[at[0]]} alone`, () => shuffle(look[0]));
  const back = button("Put back", reset);
  const controls = make("div", {className: "controls"});
  const knob = (name, axis) => slider(controls, name, {
    max: CHANNELS - 1, value: at[axis], words: (k) => `map ${names[k]}`,
    moved: (k) => { if (!quiet) turn(...(axis ? [look[0], k] : [k, look[1]])); },
  });
  const rows = knob("row i", 0), columns = knob("column j", 1);
  const cell = (value) => Math.min(CHANNELS - 1, Math.floor(value * CHANNELS));
  follow(area, (x, y) => turn(cell(y), cell(x), false), true);  // a mouse that leaves goes back to what was pressed
  for (const kind of ["pointerdown", "pointerup"]) area.addEventListener(kind, () => { pin = look; });
  area.addEventListener("pointerleave", () => turn(...pin));
  area.addEventListener("keydown", (event) => {
    const step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    turn(...look.map((one, axis) => Math.min(CHANNELS - 1, Math.max(0, one + step[axis]))));
  });
  const apart = length(exact[0].map((row, i) => row.map((value, j) => value - exact[1][i][j]))) / length(exact[1]);
  // The three maps and the three pairs of maps that differ most.
  const listed = (words, wanted) => {
    const list = parts.filter(({i, j}) => (i === j) === wanted).slice(0, 3).map(({i, j, part}) => {
      const name = i === j ? `Map ${names[i]}` : `Maps ${names[i]} and ${names[j]}`;
      const one = button(`${name}: ${times(i, j)}`, () => turn(i, j));
      one.append(" ", make("span", {textContent: percent(part / total)}));
      return make("li", {}, one);
    });
    return [make("div", {className: "said", textContent: words}), make("ul", {className: "worst"}, ...list)];
  };
  const list = make("div", {},
    make("div", {className: "said", textContent: `‖A − B‖ / ‖B‖ = ${apart.toFixed(2)}, with A for ${titles[0]} and B `
      + `for ${titles[1]}. What differs most, with its part of the squared distance:`}),
    ...listed("One map, on the diagonal", true), ...listed("Two maps together", false));

  // ---- two maps by hand
  const cells = (tag, properties) => Array.from({length: 4}, () => make(tag, properties));
  const numbers = toy.map((values, r) => values.map((value, k) => {
    const one = make("input", {type: "number", min: 0, max: 9, step: 1, value});
    one.setAttribute("aria-label", `F${r + 1}, position ${k + 1}`);
    one.addEventListener("input", () => add());
    one.addEventListener("change", () => { one.value = read(one); add(); });
    return one;
  }));
  const read = (one) => Math.min(9, Math.max(0, Number(one.value) || 0));
  const products = cells("span", {}), entries = cells("span", {className: "sum"});
  const sums = make("div", {className: "said"});
  const add = () => {
    const F = numbers.map((all) => all.map(read)), G = gram(F, [1, 1]).map((row) => row.map((value) => 4 * value));
    F[0].forEach((value, k) => { products[k].textContent = digits(value * F[1][k]); });
    const most = Math.max(...G.flat(), 1e-12);
    G.flat().forEach((value, k) => {
      const bright = Math.round(255 * Math.sqrt(value / most));
      entries[k].textContent = digits(value);
      const color = bright > 125 ? "#000" : "#fff";
      Object.assign(entries[k].style, {background: `rgb(${bright} ${bright} ${bright})`, color});
    });
    const cosine = G[0][1] / Math.sqrt(G[0][0] * G[1][1]);
    const terms = F[0].map((value, k) => `${digits(value)}·${digits(F[1][k])}`).join(" + ");
    const [a, b, c] = [G[0][0], G[0][1], G[1][1]].map((value) => digits(value / 4));
    sums.textContent = `G₁₂ = ${terms} = ${digits(G[0][1])}. `
      + `Divided by the M = 4 positions: G₁₁/M = ${a}, G₁₂/M = ${b}, G₂₂/M = ${c}. `
      + (Number.isFinite(cosine) ? `Cosine of the angle between the maps: ${cosine.toFixed(2)}.`
        : "A map of zeros has no angle.");
  };
  const fill = (values) => {
    numbers.forEach((row, r) => row.forEach((one, k) => { one.value = values[r][k]; }));
    add();
  };
  const mixed = (both) => {
    const order = permutation(4);
    fill(numbers.map((all, r) => (both || r === 0 ? moved(all.map(read), order) : all.map(read))));
  };
  const block = (inside, name) => make("div", {}, make("div", {className: "cells"}, ...inside), name);
  const hand = make("fieldset", {className: "toy"},
    make("legend", {textContent: "By hand: two maps with 2 × 2 positions"}),
    make("div", {className: "toys"}, block(numbers[0], "F₁"), block(numbers[1], "F₂"), block(products, "products"),
      block(entries, "G")),
    sums,
    make("div", {className: "acts"}, button("Shuffle both alike", () => mixed(true)),
      button("Shuffle F₁ alone", () => mixed(false)), button("Numbers of the chapter", () => fill(toy))));

  // ---- everything together
  const sheet = root.querySelector(".sheet");
  sheet.hidden = true;
  sheet.after(
    make("div", {className: "desk"},
      make("div", {className: "gram"}, area, legend, controls),
      make("div", {className: "beside"}, group, entry,
        make("div", {className: "acts"}, button("Shuffle all maps alike", () => shuffle(-1)), only, back),
        status, list)),
    looks, hand,
    make("p", {className: "note", textContent: "Brightness is the square root of the value, from 0 to the largest. "
      + `The maps are rounded to 256 levels, which moves the matrices by up to ${digits(100 * error)} % `
      + "(‖G − A‖ / ‖A‖)."}));
  root.gram = {gram, given, exact, half, get now() { return now; }, get maps() { return maps; }};  // for tests, console
  add();
  show();
  picture.forEach((image) => {
    image.loading = "eager";
    image.decode().then(() => { drawSquares(); drawLook(); });
  });
});
