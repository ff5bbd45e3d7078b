// Three optimizers on one landscape of two numbers: torch's SGD and Adam, and optimize/lbfgs.py, in sums.
start("optimizers-road", (root, given) => {
  const {count, low, high, shape, limits, last, landscapes, centers, choices} = given;
  const NAMES = ["gradient descent", "Adam", "L-BFGS"], TINY = 1e-30, ROUND = [1, 0, 1];
  const DARK = ["#b24a14", "#7b45a8", "#08598c"], BRIGHT = ["#d9743c", "#a06cc8", "#2b8cc4"];  // on the map, in the chart
  const CELLS = 180, DECADES = 8, SHARE = 1e-6;  // of the map and of the chart

  const LEGEND = "λ: the steepest curvature. Ring: the start. Ellipse: the shape that the optimizer takes the contours to have. "
    + "Dotted: what the bounds cut off. Thick: the moves s that L-BFGS remembers, each with an arrow, the change y of the gradient.";

  // ---- vectors [x, y], and symmetric matrices [a, b, d] with b at both sides
  const dot = ([a, b], [c, d]) => a * c + b * d;
  const plus = ([a, b], [c, d], t = 1) => [a + t * c, b + t * d];
  const times = ([a, b, d], [x, y]) => [a * x + b * y, b * x + d * y];
  const around = ([a, b, d], [p, q, r]) => {  // M N M
    const [one, other] = [times([a, b, d], times([p, q, r], [a, b])), times([a, b, d], times([p, q, r], [b, d]))];
    return [one[0], one[1], other[1]];
  };
  const eigen = ([a, b, d]) => {
    const half = Math.hypot((a - d) / 2, b), turn = Math.atan2(2 * b, a - d) / 2;
    return {values: [(a + d) / 2 + half, (a + d) / 2 - half], turn, cos: Math.cos(turn), sin: Math.sin(turn)};
  };
  const apply = (matrix, f) => {  // to its eigenvalues
    const {values, cos, sin} = eigen(matrix), [p, q] = values.map(f);
    return [p * cos * cos + q * sin * sin, (p - q) * cos * sin, p * sin * sin + q * cos * cos];
  };
  const rms = (v) => Math.max(TINY, Math.sqrt(dot(v, v) / 2));
  const box = (v) => Math.min(1, Math.max(0, v));

  // ---- landscapes: (x, y) → value and gradient
  const formula = (name, conditioning, angle) => {
    const [cx, cy] = centers[name] ?? [0.5, 0.5], cos = Math.cos(angle * Math.PI / 180), sin = Math.sin(angle * Math.PI / 180);
    return (x, y) => {
      const a = x - cx, b = y - cy, bent = name === "curved";
      let u = cos * a + sin * b, v = cos * b - sin * a, steep = 0;
      if (bent) [u, v, steep] = [u - 0.3, v - 2 * u * u + 0.3, -4 * u];
      const slope = u / conditioning + steep * v;
      return [(u * u / conditioning + v * v) / 2, cos * slope - sin * v, sin * slope + cos * v];
    };
  };
  // The baked one: value, slopes and mixed derivative at each node, per cell; cubic between, straight lines outside.
  const side = (high - low) / (count - 1), corners = new Float64Array(4 * count * count);
  const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  {
    const half = (bits) => (bits >> 15 ? -1 : 1) * (bits >> 10 & 31 ? 1 + (bits & 1023) / 1024 : (bits & 1023) / 512) * 2 ** ((bits >> 10 & 31) - 15);
    const baked = [...new Uint16Array(bytes(given.nodes).buffer)].map(half), at = (row, column, k) => baked[3 * (row * count + column) + k];
    const change = (value, k) => {
      const [from, to] = [Math.max(0, k - 1), Math.min(count - 1, k + 1)];
      return (value(to) - value(from)) / (to - from);
    };
    for (let row = 0; row < count; row++) {
      for (let column = 0; column < count; column++) {
        const mixed = change((k) => at(k, column, 1), row) + change((k) => at(row, k, 2), column);
        const here = [at(row, column, 0), at(row, column, 1) * side, at(row, column, 2) * side, mixed * side / 2];
        corners.set(here, 4 * (row * count + column));
      }
    }
  }
  const hermite = (t) => {  // of both ends, value and slope
    const s = box(t), slopes = [-6 * s * (1 - s), (1 - s) * (1 - 3 * s), 6 * s * (1 - s), s * (3 * s - 2)];
    const at = [1 - s * s * (3 - 2 * s), s * (1 - s) ** 2, s * s * (3 - 2 * s), s * s * (s - 1)];
    return [at.map((one, k) => one + slopes[k] * (t - s)), slopes];
  };
  const surface = (x, y) => {
    const p = (x - low) / side, q = (y - low) / side, cell = (v) => Math.min(count - 2, Math.max(0, Math.floor(v)));
    const column = cell(p), row = cell(q), [bx, dx] = hermite(p - column), [by, dy] = hermite(q - row);
    let f = 0, gx = 0, gy = 0;
    for (let k = 0; k < 16; k++) {
      const [i, j] = [k % 4, k >> 2];  // i: end and slope along x; j: along y
      const node = corners[4 * ((row + (j >> 1)) * count + column + (i >> 1)) + i % 2 + 2 * (j % 2)];
      f += bx[i] * by[j] * node;
      gx += dx[i] * by[j] * node;
      gy += bx[i] * dy[j] * node;
    }
    return [f, gx / side, gy / side];
  };

  const curvature = (loss, [x, y], h) => {
    const [, a, b] = loss(x + h, y), [, c, d] = loss(x - h, y), [, e, f] = loss(x, y + h), [, g, i] = loss(x, y - h);
    return [(a - c) / 2 / h, (b - d + e - g) / 4 / h, (f - i) / 2 / h];
  };
  const grid = (n, from, to) => [...Array(n * n).keys()].map((k) =>
    [k % n, Math.floor(k / n)].map((one) => from + one * (to - from) / (n - 1)));
  const least = (loss, points) => points.reduce((best, one) => (loss(...one)[0] < loss(...best)[0] ? one : best));
  // ---- the three optimizers: each returns a function from a point and its gradient to the next point
  const twoLoops = (g, pairs, B) => {  // Nocedal 1980, with B as the guess
    let q = g;
    const alphas = [...pairs].reverse().map(({s, y, sy}) => {
      const alpha = dot(s, q) / sy;
      q = plus(q, y, -alpha);
      return alpha;
    }).reverse();
    const newest = pairs.at(-1), gamma = newest ? newest.sy / Math.max(TINY, dot(newest.y, times(B, newest.y))) : 1;
    return pairs.reduce((r, {s, y, sy}, k) => plus(r, s, alphas[k] - dot(y, r) / sy), times(B, q).map((one) => gamma * one));
  };
  const descent = ({B, length}) => (x, g) => ({to: plus(x, times(B, g), -length), metric: () => B});
  const adam = ({root: half, rate, beta1, beta2}) => {
    let m = [0, 0], v = [0, 0], k = 0;
    return (x, gradient) => {
      const g = times(half, gradient);
      k++;
      m = m.map((one, i) => beta1 * one + (1 - beta1) * g[i]);
      v = v.map((one, i) => beta2 * one + (1 - beta2) * g[i] * g[i]);
      const size = v.map((one) => Math.sqrt(one) / Math.sqrt(1 - beta2 ** k) + 1e-8);
      const move = m.map((one, i) => -rate / (1 - beta1 ** k) * one / size[i]);
      return {to: plus(x, times(half, move)), metric: () => around(half, [1 / size[0], 0, 1 / size[1]])};
    };
  };
  const lbfgs = ({B, history, bounds, inside}) => {
    let pairs = [], recent = limits.most, before = null, made = {metric: () => B, used: []};
    return (x, full) => {
      const moved = inside(plus(x, full, -limits.first / rms(full)));  // a value that this does not move is held
      const free = x.map((one, i) => (bounds && moved[i] === one ? 0 : 1)), only = (v) => v.map((one, i) => one * free[i]);
      const g = only(full), b = only(times(B, g));
      if (!dot(g, g)) return {...made, to: x};  // at rest
      let direction = b.map((one) => -one * limits.first / rms(b)), used = [];
      if (before) {
        const s = plus(x, before.x, -1), y = only(plus(full, before.full, -1)), sy = dot(s, y);
        pairs = [...pairs, {s, y, sy, from: before.x, usable: sy > 1e-10 * dot(y, y)}].slice(-history);
        used = pairs.filter((one) => one.usable);
        const informed = only(twoLoops(g, used, B)).map((one) => -one);
        if (used.length && dot(informed, g) < 0) direction = informed;
        else {  // not downhill: what is remembered misleads
          pairs = pairs.map((one) => ({...one, usable: false}));
          used = [];
        }
      }
      before = {x, full};
      const cut = Math.min(1, Math.min(limits.growth * recent, limits.most) / rms(direction)), to = plus(x, direction, cut);
      recent *= Math.max(0.1, rms(plus(inside(to), x, -1)) / recent) ** 0.2;
      const metric = () => [...twoLoops([1, 0], used, B), twoLoops([0, 1], used, B)[1]];
      return made = {to, metric, used, free, cut};
    };
  };
  const road = (move, loss, inside, start, steps) => {
    const points = [start], losses = [], moves = [];
    for (;;) {
      const x = points.at(-1), [value, ...gradient] = loss(...x);
      losses.push(value);
      if (moves.length === steps || !(Math.abs(x[0]) + Math.abs(x[1]) < 1e9)) return {points, losses, moves};  // or it left
      moves.push(move(x, gradient));
      points.push(inside(moves.at(-1).to));
    }
  };
  const clamp = (bounds) => (bounds ? (x) => x.map(box) : (x) => x);
  const walk = (floor, rules, steps = last) => [descent, adam, lbfgs].map((make) => {
    const inside = clamp(rules.bounds);
    return road(make({...rules, ...floor, inside, length: rules.step / floor.steep}), floor.loss, inside, rules.start, steps);
  });
  const lowest = (loss, bounds) => {  // the lowest node of a grid, and L-BFGS from there
    const inside = clamp(bounds), nodes = grid(61, ...(bounds ? [0, 1] : [low, high]));
    return least(loss, road(lbfgs({B: ROUND, history: 10, bounds, inside}), loss, inside, least(loss, nodes), 200).points);
  };
  // B = (A/λ)^−p, with A the curvature at the lowest point: 1 in the steepest direction, more in flatter ones.
  const ground = ({landscape, conditioning, angle, power, bounds}) => {
    const loss = landscape === "grays" ? surface : formula(landscape, conditioning, angle);
    const A = curvature(loss, lowest(loss, false), 0.02), most = eigen(A).values[0];
    const B = power > 0 ? apply(A, (e) => (Math.max(e, most / 1e4) / most) ** -power) : ROUND;
    const roots = {root: apply(B, Math.sqrt), back: apply(B, (e) => e ** -0.5)};
    const steepest = (metric) => Math.max(...grid(13, 0, 1).map((one) =>
      eigen(around(metric, curvature(loss, one, 0.01))).values[0]));
    const bottom = lowest(loss, bounds);
    return {loss, B, ...roots, steep: steepest(roots.root), plain: steepest(ROUND), bottom, floor: loss(...bottom)[0]};
  };

  // ---- what is seen
  const rules = {landscape: "valley", start: [0, 0], bounds: true, metric: false, ...given.at};
  let shown = 0, floor, roads, view, known = "";
  const mask = bytes(given.mask);
  const tiles = NAMES.map((name, k) => {
    const map = make("canvas", {width: CELLS, height: CELLS}), board = make("canvas", {className: "board"}), handle = make("div", {className: "handle"}), said = make("div", {className: "said"});
    const grays = make("canvas", {className: "grays", width: shape[1], height: shape[0]});
    for (const canvas of [board, grays]) canvas.setAttribute("role", "img");
    const title = make("div", {className: "name"}, make("i"), name);
    title.firstChild.style.background = BRIGHT[k];
    const plane = make("div", {className: "plane"}, map, board, handle);
    return {map, board, grays, said, plane, handle, tile: make("div", {className: "lane"}, title, plane, grays, said)};
  });
  const chart = make("canvas", {className: "chart"}), told = make("div", {className: "said told"});
  chart.setAttribute("role", "img");
  const sized = (canvas, height) => {  // drawing is in CSS pixels
    const width = canvas.clientWidth || 240, dense = Math.min(2, window.devicePixelRatio || 1);
    height ??= width;
    const [w, h] = [Math.round(width * dense), Math.round(height * dense)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const paper = canvas.getContext("2d");
    paper.setTransform(dense, 0, 0, dense, 0, 0);
    paper.clearRect(0, 0, width, height);
    return [paper, width, height];
  };
  const survey = () => {  // the map in the chosen metric, with contours at factors of 2^(2/3)
    const turn = rules.metric ? floor.back : ROUND, unturn = rules.metric ? floor.root : ROUND;
    const reach = 1.4 * Math.max(...[[0.5, 0.5], [0.5, -0.5]].flatMap((one) => times(turn, one).map(Math.abs)));
    view = {reach, turn, point: (x) => times(turn, plus(x, [0.5, 0.5], -1)), back: (u) => plus(times(unturn, u), [0.5, 0.5])};
    const values = new Float64Array(CELLS * CELLS), outer = [], at = (k) => (2 * (k + 0.5) / CELLS - 1) * reach;
    for (let k = 0; k < values.length; k++) {
      const x = view.back([at(k % CELLS), -at(Math.floor(k / CELLS))]);
      values[k] = floor.loss(...x)[0];
      outer[k] = x.some((one) => one < 0 || one > 1);
    }
    const [least, most] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [floor.floor, -Infinity]);
    const levels = values.map((v) => 1.5 * Math.log2((v - least) / (most - least) + 2e-4));
    const pixels = new ImageData(CELLS, CELLS);
    levels.forEach((level, k) => {
      const slope = Math.hypot(levels[k + 1] - level || 0, levels[k + CELLS] - level || 0) + 1e-9;
      const ink = 0.24 * box(1.1 - Math.abs(level - Math.round(level)) / slope), t = box(1 + level / 17);
      const color = [253, 243, 226].map((one, c) => (one + t * ([176, 194, 209][c] - one)) * (1 - ink));
      pixels.data.set([...(rules.bounds && outer[k] ? color.map((one) => 0.45 * one + 140) : color), 255], 4 * k);
    });
    for (const {map} of tiles) map.getContext("2d").putImageData(pixels, 0, 0);
  };
  const trace = (paper, ...lines) => {
    paper.beginPath();
    for (const line of lines) line.forEach((one, k) => (k ? paper.lineTo(...one) : paper.moveTo(...one)));
  };
  const arrow = (paper, [x, y], [dx, dy]) => {
    const turn = Math.atan2(dy, dx), tip = [x + dx, y + dy];
    const barb = (by) => [tip[0] - 7 * Math.cos(turn + by), tip[1] - 7 * Math.sin(turn + by)];
    trace(paper, [[x, y], tip, barb(0.4), tip, barb(-0.4)]);
    paper.stroke();
  };
  const drawBoard = (k) => {
    const {points, moves} = roads[k], [paper, side] = sized(tiles[k].board), count = Math.min(shown, moves.length);
    const at = (x) => view.point(x).map((one, i) => side * (i ? 1 - one / view.reach : 1 + one / view.reach) / 2);
    const square = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]].map(at);
    Object.assign(paper, {lineJoin: "round", lineWidth: 1, strokeStyle: "#46525c"});
    if (rules.bounds) {
      trace(paper, square);
      paper.setLineDash([4, 3]);
      paper.stroke();
      paper.setLineDash([]);
    }
    const [bx, by] = at(floor.bottom);
    paper.strokeStyle = "#111";
    trace(paper, ...[5, -5].map((d) => [[bx - 5, by - d], [bx + 5, by + d]]));
    paper.stroke();
    paper.strokeStyle = paper.fillStyle = DARK[k];
    if (rules.bounds) {  // what the projection cut off
      paper.globalAlpha = 0.6;
      paper.setLineDash([2, 3]);
      trace(paper, ...moves.slice(0, count).map(({to}, n) =>
        (rms(plus(to, points[n + 1], -1)) < 1e-6 ? [] : [points[n], to, points[n + 1]].map(at))));
      paper.stroke();
      paper.setLineDash([]);
      paper.globalAlpha = 1;
    }
    paper.lineWidth = 1.6;
    trace(paper, points.slice(0, count + 1).map(at));
    paper.stroke();
    paper.beginPath();
    points.slice(0, count + 1).forEach((one, n) => {
      paper.closePath();
      paper.moveTo(...at(one));
      paper.arc(...at(one), n === count ? 4 : 2, 0, 7);
    });
    paper.fill();
    if (!count) return;
    const {metric, used = []} = moves[count - 1], here = at(points[count]);
    for (const {from, s, y} of used) {  // y, so long that it covers s in the steepest direction
      const [change, steep] = rules.metric ? [times(floor.root, y), floor.steep] : [y, floor.plain];
      const drawn = change.map((one, i) => (i ? -1 : 1) * side * one / steep / view.reach / 2), size = Math.hypot(...drawn) || 1;
      const scale = Math.min(60, Math.max(16, size)) / size;
      Object.assign(paper, {strokeStyle: "#111", lineWidth: 1.3});
      arrow(paper, at(plus(from, s)), drawn.map((one) => one * scale));
      Object.assign(paper, {strokeStyle: DARK[k], lineWidth: 3.5});
      trace(paper, [at(from), at(plus(from, s))]);
      paper.stroke();
    }
    const {values, turn} = eigen(around(view.turn, metric())), [a, b] = values.map((e) => Math.sqrt(Math.max(e, 0)));
    Object.assign(paper, {lineWidth: 1.4, strokeStyle: DARK[k]});
    paper.beginPath();
    paper.ellipse(...here, side * 0.11, side * 0.11 * Math.max(0.03, b / a), -turn, 0, 7);
    paper.stroke();
  };
  const height = (losses, n) => (losses[Math.min(n, losses.length - 1)] - floor.floor) / Math.max(TINY, losses[0] - floor.floor);
  const drawChart = () => {
    const [paper, width, tall] = sized(chart, 190), ink = getComputedStyle(root).color, most = Math.max(20, shown);
    const [left, right, top, foot] = [38, width - 58, 12, tall - 36];
    const x = (n) => left + (right - left) * n / most, y = (d) => top + (foot - top) * d / DECADES;
    Object.assign(paper, {font: "12px sans-serif", fillStyle: ink, strokeStyle: ink, lineWidth: 1, textAlign: "right"});
    [1, "10⁻²", "10⁻⁴", "10⁻⁶", "10⁻⁸"].forEach((words, k) => paper.fillText(words, left - 6, y(2 * k) + 4));
    paper.globalAlpha = 0.22;
    trace(paper, ...[0, 2, 4, 6, 8].map((d) => [[left, y(d)], [right, y(d)]]));
    paper.stroke();
    paper.globalAlpha = 1;
    paper.textAlign = "center";
    const stride = [5, 10, 20].find((one) => most / one < width / 80) ?? 50;
    for (let n = 0; n <= most; n += stride) paper.fillText(n, x(n), foot + 16);
    paper.fillText("evaluations", (left + right) / 2, tall - 4);
    const lines = roads.map(({losses}) => losses.slice(0, shown + 1).map((_, n) =>
      [x(n), y(Math.min(DECADES, Math.max(-0.5, -Math.log10(Math.max(height(losses, n), TINY)))))]));
    lines.forEach((line, k) => {
      Object.assign(paper, {strokeStyle: BRIGHT[k], fillStyle: BRIGHT[k], lineWidth: 2});
      paper.setLineDash([[7, 3], [2, 3], []][k]);
      trace(paper, line);
      paper.stroke();
      paper.beginPath();
      paper.arc(...line.at(-1), 3.5, 0, 7);
      paper.fill();
    });
    Object.assign(paper, {textAlign: "left", fillStyle: ink});
    let free = tall;
    for (const k of [0, 1, 2].sort((i, j) => lines[j].at(-1)[1] - lines[i].at(-1)[1])) {
      const [end, at] = lines[k].at(-1);
      free = Math.min(at + 4, free - 13);
      paper.fillText(["descent", "Adam", "L-BFGS"][k], end + 8, free);
    }
  };
  const number = (value) => (Math.abs(value) < 0.001 && value ? value.toExponential(0) : String(Number(value.toPrecision(3)))).replace(/-/g, "−");
  const tell = () => {
    const of = (list) => `${list[0]} (${NAMES[0]}), ${list[1]} (${NAMES[1]}) and ${list[2]} (${NAMES[2]})`;
    const shares = roads.map(({losses}) => number(Math.max(0, height(losses, shown))));
    const reached = roads.map(({losses}) => {
      const found = losses.findIndex((_, n) => height(losses, n) <= SHARE);
      return found < 0 ? `more than ${last}` : String(found);
    });
    told.textContent = `Loss above the lowest (×), 1 at the start, after ${shown} evaluations: ${of(shares)}. `
      + `A millionth is reached after ${of(reached)}.`;
    chart.setAttribute("aria-label", told.textContent);
    roads.forEach(({points, losses, moves}, k) => {
      const n = Math.min(shown, moves.length), [a, b] = points[n], {used, free, cut} = moves[n - 1] ?? {};
      const words = [`at ${number(Number(a.toFixed(3)))}, ${number(Number(b.toFixed(3)))}, loss ${number(losses[n])}`];
      if (n < shown) words.push("it has left");
      if (used) words.push(`${used.length} pair${used.length === 1 ? "" : "s"}`);
      const held = ["x", "y"].filter((_, i) => free?.[i] === 0 && points[n - 1][i] % 1 === 0);
      if (held.length) words.push(`${held.join(" and ")} held by a bound`);
      if (cut < 1) words.push("step cut to its limit");
      tiles[k].said.textContent = words.join("; ");
      tiles[k].board.setAttribute("aria-label", `${NAMES[k]} after ${n} evaluations: ${words.join("; ")}`);
    });
  };
  const drawGrays = () => roads.forEach(({points}, k) => {
    const pixels = new ImageData(shape[1], shape[0]), levels = points[Math.min(shown, points.length - 1)];
    for (let n = 0; n < shape[0] * shape[1]; n++) {
      const gray = 255 * levels[mask[n >> 3] >> (7 - n % 8) & 1];
      pixels.data.set([gray, gray, gray, 255], 4 * n);
    }
    tiles[k].grays.getContext("2d").putImageData(pixels, 0, 0);
    tiles[k].grays.setAttribute("aria-label", `the picture of ${NAMES[k]}: gray levels ${levels.map(number).join(" and ")}`);
  });
  const parts = [0, 1, 2].map((k) => () => drawBoard(k));
  parts.push(() => {
    drawChart();
    tell();
    if (rules.landscape === "grays") drawGrays();
  });
  const show = () => parts.forEach((draw) => draw());
  let odd = false;
  const changed = (dragged) => {
    const {landscape, conditioning, angle, power, bounds, metric} = rules;
    const key = JSON.stringify([landscape, conditioning, angle, power, bounds, metric]);
    if (key !== known) {
      floor = ground(rules);
      survey();
      known = key;
    }
    roads = walk(floor, rules);
    const [x, y] = view.point(rules.start);
    for (const {handle} of tiles) {
      handle.style.left = `${50 * (1 + x / view.reach)}%`;
      handle.style.top = `${50 * (1 - y / view.reach)}%`;
    }
    odd = !odd && dragged;  // in a drag, words and curves follow in every other frame
    parts.slice(0, odd ? 3 : 4).forEach((draw) => draw());
  };

  // ---- hands: the start under a finger, everything else in rows
  let quiet = true;
  const begin = (start, dragged) => {
    rules.start = start.map((one) => Math.round(100 * box(one)) / 100);
    quiet = true;
    starts.forEach((one, i) => { one.value = Math.round(100 * rules.start[i]); });
    quiet = false;
    changed(dragged);
  };
  for (const {plane, handle} of tiles) {
    const told = (event) => {
      const area = plane.getBoundingClientRect();
      const [x, y] = [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
      begin(view.back([(2 * x - 1) * view.reach, (1 - 2 * y) * view.reach]), event.type === "pointermove");
    };
    handle.addEventListener("pointerdown", (event) => { handle.setPointerCapture(event.pointerId); event.preventDefault(); });
    handle.addEventListener("pointermove", (event) => { if (event.buttons) told(event); });
    handle.addEventListener("pointerup", show);
    plane.addEventListener("click", (event) => { if (event.target !== handle) told(event); });
  }
  const [places, knobs, time] = ["", "", "time"].map((one) => make("div", {className: `controls ${one}`}));
  const knob = (into, name, key) => slider(into, name, {
    max: choices[key].length - 1, value: choices[key].indexOf(rules[key]), words: (k) => String(choices[key][k]),
    moved: (k) => { rules[key] = choices[key][k]; if (!quiet) changed(); },
  });
  const formed = [knob(places, "conditioning κ", "conditioning"), knob(places, "angle, in degrees", "angle")];
  const starts = ["x", "y"].map((name, i) => slider(places, `start, ${name}`, {
    max: 100, value: 100 * rules.start[i], words: (k) => (k / 100).toFixed(2),
    moved: (k) => { if (!quiet) { rules.start = rules.start.map((one, n) => (n === i ? k / 100 : one)); changed(); } },
  }));
  knob(places, "preconditioner: power p", "power");
  for (const [name, key] of [["descent: step × λ", "step"], ["Adam: rate", "rate"], ["Adam: β₁", "beta1"],
    ["Adam: β₂", "beta2"], ["L-BFGS: pairs kept", "history"]]) knob(knobs, name, key);
  const ticks = [["bounds", "bounds 0 to 1"], ["metric", "show the metric of the preconditioner"]].map(([key, words]) => {
    const tick = make("input", {type: "checkbox", checked: rules[key]});
    tick.addEventListener("change", () => { rules[key] = tick.checked; changed(); });
    return make("label", {className: "tick"}, tick, ` ${words}`);
  });
  const evaluations = slider(time, "evaluations", {
    max: last, value: shown, words: String,
    moved: (n) => { shown = n; if (!quiet) show(); },
  });
  const button = (words, pressed) => {
    const one = make("button", {type: "button", textContent: words});
    one.addEventListener("click", pressed);
    return one;
  };

  // ---- time: nothing moves before Run; where less motion is wished, the picture changes twice a second
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let running = false, frames = 0, drawn = 0;
  const run = (on) => {
    running = on;
    play.textContent = on ? "Pause" : "Run";
    if (on) requestAnimationFrame(frame);
    else show();
  };
  const frame = (now) => {
    if (!running || !root.isConnected) return;
    const part = frames++ % parts.length, slow = calm.matches;
    if (slow ? now - drawn > 500 : !part) {
      drawn = now;
      quiet = !slow;
      evaluations.value = Math.min(last, shown + (slow ? 8 : 1));
      quiet = false;
    }
    if (!slow) parts[part]();  // a quarter of the drawing in each frame
    if (shown === last) run(false);
    else requestAnimationFrame(frame);
  };
  const play = button("Run", () => {
    if (!running && shown === last) evaluations.value = 0;
    run(!running);
  });
  const stop = (then) => () => { run(false); then(); };
  const menu = make("div", {className: "games"}, ...Object.keys(landscapes).map((name) =>
    button(landscapes[name].title, stop(() => choose(name)))));
  menu.setAttribute("role", "group");
  menu.setAttribute("aria-label", "landscapes");
  const choose = (name) => {
    rules.landscape = name;
    quiet = true;
    evaluations.value = landscapes[name].shown;
    quiet = false;
    for (const {input} of formed) {
      for (const one of [input.previousSibling, input, input.nextSibling]) one.hidden = name === "grays";
    }
    for (const {grays} of tiles) grays.hidden = name !== "grays";
    [...menu.children].forEach((one, k) => { one.setAttribute("aria-pressed", Object.keys(landscapes)[k] === name); });
    begin(landscapes[name].start);
  };
  const stage = make("div", {className: "stage"}, menu, make("div", {className: "lanes"}, ...tiles.map(({tile}) => tile)), time,
    make("div", {className: "buttons"}, play, button("One step", stop(() => { evaluations.value = Math.min(last, shown + 1); })),
      button("Back to the start", stop(() => { evaluations.value = 0; })), ...ticks),
    chart, told, make("div", {className: "pair"}, places, knobs), make("p", {className: "note", textContent: LEGEND}));
  const sheet = root.querySelector(".sheet");
  sheet.hidden = true;
  sheet.after(stage);
  root.road = {ground, walk, rules};  // for tests and the console
  choose("valley");
  new ResizeObserver(show).observe(stage);
  document.addEventListener("visibilitychange", () => { if (document.hidden) run(false); });
});
