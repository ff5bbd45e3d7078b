// Two players in the plane, trained while one looks: methods/gan.py with points, written out as sums.
start("gan-laboratory", (root, {games, targets, reach, width, batch, warm}) => {
  const SHOWN = 150, ARROWS = 60, GRID = 36, LAST = 600;  // points, arrows, cells of the heat map, steps of the curves
  const PIXELS = 420, BUDGET = 7;  // sides of the board; milliseconds of a frame for steps
  const SIDE = 16, CELL = 2 * reach / SIDE;  // of a drawn target
  const OBJECTIVES = ["non-saturating", "minimax", "least-squares"];
  const RATES = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2], STEPS = [1, 2, 5, 10], PENALTIES = [0, 0.01, 0.1, 0.3, 1];

  // Mulberry32 in [0, 1), and normal numbers from it.
  const numbers = (seed) => {
    let state = seed | 0;
    const uniform = () => {
      state = state + 0x6D2B79F5 | 0;
      let t = Math.imul(state ^ state >>> 15, 1 | state);
      t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
      return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
    };
    const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return {uniform, normal};
  };
  const noise = (random, count) => Float64Array.from({length: 2 * count}, random.normal);

  // Two hidden layers; `slope` of the rectifier below zero. Weights as PyTorch draws them: uniform, ±1/√inputs.
  const perceptron = (outputs, slope, {uniform}) => {
    const layers = [[2, width], [width, width], [width, outputs]].map(([inputs, units]) => {
      const fill = (length) => Float64Array.from({length}, () => (2 * uniform() - 1) / Math.sqrt(inputs));
      return {inputs, units, weight: fill(inputs * units), bias: fill(units)};
    });
    const parameters = layers.flatMap(({weight, bias}) => [weight, bias]);
    const gradient = parameters.map((one) => new Float64Array(one.length));
    const moments = parameters.map((one) => [new Float64Array(one.length), new Float64Array(one.length)]);
    return {layers, slope, parameters, gradient, moments, steps: 0};
  };

  // The outputs of every layer for rows of two numbers, the input first.
  const forward = ({layers, slope}, rows) => {
    const count = rows.length / 2;
    const all = [rows];
    layers.forEach(({inputs, units, weight, bias}, k) => {
      const x = all[k], y = new Float64Array(count * units);
      for (let n = 0; n < count; n++) {
        for (let i = 0; i < units; i++) {
          let sum = bias[i], more = 0;  // two sums do not wait for each other
          for (let w = i * inputs, r = n * inputs, end = w + inputs; w < end; w += 2, r += 2) {
            sum += weight[w] * x[r];
            more += weight[w + 1] * x[r + 1];
          }
          sum += more;
          y[n * units + i] = sum > 0 || k === 2 ? sum : slope * sum;
        }
      }
      all.push(y);
    });
    return all;
  };
  const output = (network, rows) => forward(network, rows)[3];

  // From the gradient in the outputs to the one in the inputs; adds to the weights' own where `learn`.
  const backward = ({layers, slope, gradient}, all, outputs, learn) => {
    let above = outputs;
    for (let k = 2; k >= 0; k--) {
      const {inputs, units, weight} = layers[k];
      const x = all[k], count = x.length / inputs, below = new Float64Array(x.length);
      const [ofWeight, ofBias] = [gradient[2 * k], gradient[2 * k + 1]];
      for (let n = 0; n < count; n++) {
        for (let i = 0; i < units; i++) {
          const g = above[n * units + i];
          if (g === 0) continue;
          const w = i * inputs, r = n * inputs;
          for (let j = 0; j < inputs; j++) below[r + j] += g * weight[w + j];
          if (!learn) continue;
          ofBias[i] += g;
          for (let j = 0; j < inputs; j++) ofWeight[w + j] += g * x[r + j];
        }
      }
      if (k > 0) below.forEach((_, at) => { if (x[at] <= 0) below[at] *= slope; });
      above = below;
    }
    return above;
  };

  // γ/2 · mean |∇D(x)|². With fixed slopes, ∇D = W₁ᵀ S₁ W₂ᵀ S₂ w₃ is differentiated factor by factor.
  const steepness = (D, all, gamma) => {
    const [first, second, last] = D.layers;
    const count = all[0].length / 2;
    const [one, two] = [first, second].map(({units}) => new Float64Array(units));
    let total = 0;
    for (let n = 0; n < count; n++) {
      const bent = (k, i) => (all[k][n * width + i] > 0 ? 1 : D.slope);
      for (let i = 0; i < width; i++) two[i] = bent(2, i) * last.weight[i];
      one.fill(0);
      for (let i = 0; i < width; i++) for (let j = 0; j < width; j++) one[j] += two[i] * second.weight[i * width + j];
      let [x, y] = [0, 0];
      for (let j = 0; j < width; j++) {
        one[j] *= bent(1, j);
        x += one[j] * first.weight[2 * j];
        y += one[j] * first.weight[2 * j + 1];
      }
      total += gamma / 2 * (x * x + y * y) / count;
      [x, y] = [gamma * x / count, gamma * y / count];
      const through = new Float64Array(width);
      for (let j = 0; j < width; j++) {
        D.gradient[0][2 * j] += one[j] * x;
        D.gradient[0][2 * j + 1] += one[j] * y;
        through[j] = bent(1, j) * (first.weight[2 * j] * x + first.weight[2 * j + 1] * y);
      }
      for (let i = 0; i < width; i++) {
        let sum = 0;
        for (let j = 0; j < width; j++) {
          D.gradient[2][i * width + j] += two[i] * through[j];
          sum += second.weight[i * width + j] * through[j];
        }
        D.gradient[4][i] += bent(2, i) * sum;
      }
    }
    return total;
  };

  // Adam (β₁ = ½), as PyTorch computes it; the gradients are zero afterwards.
  const update = (network, rate) => {
    network.steps++;
    const [a, b] = [1 - 0.5 ** network.steps, Math.sqrt(1 - 0.999 ** network.steps)];
    network.parameters.forEach((parameter, k) => {
      const gradient = network.gradient[k], [m, v] = network.moments[k];
      for (let i = 0; i < parameter.length; i++) {
        const g = gradient[i];
        m[i] = 0.5 * m[i] + 0.5 * g;
        v[i] = 0.999 * v[i] + 0.001 * g * g;
        parameter[i] -= rate / a * m[i] / (Math.sqrt(v[i]) / b + 1e-8);
        gradient[i] = 0;
      }
    });
  };

  // A loss of one logit and its slope: of D on real and on made points, and of G.
  const softplus = (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));
  const sigmoid = (a) => 1 / (1 + Math.exp(-a));
  const toward = (goal) => [(a) => (a - goal) ** 2, (a) => 2 * (a - goal)];
  const sure = [(a) => softplus(-a), (a) => sigmoid(a) - 1];  // −log D
  const doubtful = [softplus, sigmoid];  // −log(1 − D)
  const LOSSES = {
    "non-saturating": {real: sure, fake: doubtful, G: sure},
    "minimax": {real: sure, fake: doubtful, G: [(a) => -softplus(a), (a) => -sigmoid(a)]},
    "least-squares": {real: toward(1), fake: toward(0), G: toward(1)},
  };
  const mean = ([loss], logits) => logits.reduce((sum, a) => sum + loss(a), 0) / logits.length;
  const slopes = ([, slope], logits) => logits.map((a) => slope(a) / logits.length);

  // One step of D, one of G (Goodfellow et al. 2014, Algorithm 1).
  const stepD = ({D, G, rules}, real, z) => {
    const fake = output(G, z);
    const losses = LOSSES[rules.objective], found = {};
    for (const [name, rows] of [["real", real], ["fake", fake]]) {
      const all = forward(D, rows);
      found[name] = mean(losses[name], all[3]);
      backward(D, all, slopes(losses[name], all[3]), true);
      if (name === "real" && rules.penalty > 0) found.penalty = steepness(D, all, rules.penalty);
    }
    update(D, rules.rateD);
    return found;
  };
  const pull = ({D, rules}, points) => {  // G's loss and its gradient in the points
    const all = forward(D, points);
    const loss = LOSSES[rules.objective].G;
    return [mean(loss, all[3]), backward(D, all, slopes(loss, all[3]), false)];
  };
  const stepG = (game, z) => {
    const all = forward(game.G, z);
    const [loss, gradient] = pull(game, all[3]);
    backward(game.G, all, gradient, true);
    update(game.G, game.rules.rateG);
    return loss;
  };

  // A target: normal distributions of one σ around centers, or the squares that were drawn, in hexadecimal digits.
  const cells = (drawn) => [...drawn].flatMap((digit) => [8, 4, 2, 1].map((bit) => +!!(parseInt(digit, 16) & bit)));
  const sampler = (name) => {
    const {centers, sigma} = targets[name] ?? {};
    const full = centers ? [] : cells(name).flatMap((on, k) => (on ? [k] : []));
    return (random, count) => {
      const points = new Float64Array(2 * count);
      for (let n = 0; n < count; n++) {
        if (centers) {
          const [x, y] = centers[Math.floor(random.uniform() * centers.length)];
          points[2 * n] = x + sigma * random.normal();
          points[2 * n + 1] = y + sigma * random.normal();
        } else {
          const k = full[Math.floor(random.uniform() * full.length)];
          points[2 * n] = (k % SIDE + random.uniform()) * CELL - reach;
          points[2 * n + 1] = reach - (Math.floor(k / SIDE) + random.uniform()) * CELL;
        }
      }
      return points;
    };
  };

  // A new game: networks, target and noise from the seed.
  const begin = (rules) => {
    const random = numbers(rules.seed);
    const game = {rules: {...rules}, random, G: perceptron(2, 0, random), D: perceptron(1, 0.2, random), curves: []};
    game.z = noise(numbers(rules.seed + 1000), 256);
    game.aim = () => {
      game.sample = sampler(game.rules.target);
      game.real = game.sample(numbers(rules.seed + 2000), 256);
    };
    game.aim();
    const note = (found) => {
      game.last = {...game.last, ...found};
      game.curves.push(game.last);
      if (game.curves.length > LAST) game.curves.shift();
    };
    game.playD = () => {
      const found = stepD(game, game.sample(random, batch), noise(random, batch));
      note({D: found.real + found.fake});
    };
    game.playG = () => note({G: stepG(game, noise(random, batch))});
    game.play = () => {
      for (let k = 0; k < game.rules.stepsD; k++) game.playD();
      game.playG();
    };
    game.turn = 0;  // steps of D since the last one of G
    game.move = () => {  // the step whose turn it is
      if (game.turn < game.rules.stepsD) { game.playD(); game.turn++; } else { game.playG(); game.turn = 0; }
    };
    return game;
  };

  // Mean distance of a real point to the nearest made one, and of a made point to the nearest real one.
  const gaps = ({G, real, z}) => {
    const made = output(G, z);
    const gap = (from, to) => {
      let sum = 0;
      for (let n = 0; n < from.length; n += 2) {
        let least = Infinity;
        for (let m = 0; m < to.length; m += 2) {
          least = Math.min(least, (from[n] - to[m]) ** 2 + (from[n + 1] - to[m + 1]) ** 2);
        }
        sum += Math.sqrt(least);
      }
      return 2 * sum / from.length;
    };
    return {missed: gap(real, made), strayed: gap(made, real)};
  };

  // ---- what is seen: blue is real, orange is made, the background is what D says
  const board = make("canvas", {width: PIXELS, height: PIXELS});
  const plane = make("div", {className: "plane"}, board);
  plane.dataset.lmSuppressShortcuts = "true";
  const chart = make("canvas", {className: "chart", width: PIXELS, height: 170});
  for (const canvas of [board, chart]) canvas.setAttribute("role", "img");
  const said = make("div", {className: "said"});
  const PAPER = [252, 251, 247], BLUE = [15, 107, 168], ORANGE = [224, 102, 46];
  const spot = (x, y) => [(x + reach) / (2 * reach) * PIXELS, (reach - y) / (2 * reach) * PIXELS];
  const heat = make("canvas", {width: GRID, height: GRID});
  const places = new Float64Array(2 * GRID * GRID);
  for (let k = 0; k < GRID * GRID; k++) {
    places[2 * k] = ((k % GRID + 0.5) / GRID * 2 - 1) * reach;
    places[2 * k + 1] = (1 - (Math.floor(k / GRID) + 0.5) / GRID * 2) * reach;
  }
  const pixels = new ImageData(GRID, GRID);
  pixels.data.fill(255);

  const drawHeat = (row = 0, rows = GRID) => {
    const square = game.rules.objective === "least-squares", first = row * GRID;
    output(game.D, places.subarray(2 * first, 2 * (first + rows * GRID))).forEach((logit, at) => {
      const k = first + at;
      const lean = 2 * (square ? Math.min(1, Math.max(0, logit)) : sigmoid(logit)) - 1;
      const color = lean > 0 ? BLUE : ORANGE, share = 0.65 * Math.abs(lean);
      for (let c = 0; c < 3; c++) pixels.data[4 * k + c] = PAPER[c] + share * (color[c] - PAPER[c]);
    });
    heat.getContext("2d").putImageData(pixels, 0, 0);
  };
  const dots = (paper, points, color) => {
    paper.fillStyle = color;
    paper.beginPath();
    for (let n = 0; n < 2 * SHOWN; n += 2) {
      const [x, y] = spot(points[n], points[n + 1]);
      paper.moveTo(x, y);
      paper.arc(x, y, 3.4, 0, 7);
    }
    paper.fill();
  };
  const arrows = (paper, points) => {  // down G's loss, times the number of points: what each is told by itself
    const gradient = pull(game, points)[1];
    const count = points.length / 2;
    let mean = 0;
    paper.strokeStyle = "#222";
    paper.lineWidth = 1.5;
    paper.beginPath();
    for (let n = 0; n < count; n++) {
      const [u, v] = [-gradient[2 * n] * count, -gradient[2 * n + 1] * count];
      const length = Math.hypot(u, v);
      mean += length / count;
      const long = 0.35 * Math.tanh(length);
      if (long < 0.02) continue;
      const [x, y] = spot(points[2 * n], points[2 * n + 1]);
      const [dx, dy] = [u / length, -v / length].map((one) => one * long / (2 * reach) * PIXELS);
      paper.moveTo(x, y);
      paper.lineTo(x + dx, y + dy);
      paper.moveTo(x + 0.75 * dx - 0.2 * dy, y + 0.75 * dy + 0.2 * dx);
      paper.lineTo(x + dx, y + dy);
      paper.lineTo(x + 0.75 * dx + 0.2 * dy, y + 0.75 * dy - 0.2 * dx);
    }
    paper.stroke();
    return mean;
  };
  const drawBoard = () => {
    const paper = board.getContext("2d");
    paper.imageSmoothingEnabled = true;
    paper.drawImage(heat, 0, 0, PIXELS, PIXELS);
    const made = output(game.G, game.z.subarray(0, 2 * SHOWN));
    dots(paper, game.real, "rgb(8 59 92 / .8)");
    game.pulled = arrows(paper, made.subarray(0, 2 * ARROWS));
    dots(paper, made, "rgb(178 70 20 / .85)");
  };
  const rest = () => ({"minimax": [Math.log(4), -Math.log(2)], "least-squares": [0.5, 0.25]})[game.rules.objective]
    ?? [Math.log(4), Math.log(2)];
  const drawChart = () => {
    const paper = chart.getContext("2d"), ink = getComputedStyle(root).color;
    const values = game.curves.flatMap(({D, G}) => [D, G]).filter((one) => one !== undefined);
    const low = Math.min(0, ...values, ...rest()), high = Math.min(5, Math.max(1.6, ...values)) + 0.1;
    const height = (value) => 160 - 150 * (Math.min(value, high) - low) / (high - low);
    paper.clearRect(0, 0, PIXELS, 170);
    paper.font = "17px sans-serif";
    [["D", "#2b8cc4"], ["G", "#d9743c"]].forEach(([name, color], k) => {
      paper.strokeStyle = paper.fillStyle = color;
      paper.globalAlpha = 0.7;
      paper.setLineDash([5, 6]);
      paper.lineWidth = 1;
      paper.beginPath();
      paper.moveTo(0, height(rest()[k]));
      paper.lineTo(PIXELS - 34, height(rest()[k]));
      paper.stroke();
      paper.setLineDash([]);
      paper.globalAlpha = 1;
      paper.lineWidth = 2;
      paper.beginPath();
      game.curves.forEach((one, n) => {
        const x = n * (PIXELS - 34) / Math.max(100, game.curves.length);
        if (one[name] !== undefined) paper.lineTo(x, height(one[name]));
      });
      paper.stroke();
      if (game.last?.[name] === undefined) return;
      paper.fillStyle = ink;
      paper.fillText(name, PIXELS - 28 + 13 * k, height(game.last[name]) + 6);
    });
  };
  const shown = (value) => value?.toFixed(Math.abs(value) < 0.0995 ? 3 : 2).replace("-", "−") ?? "–";
  const tell = () => {
    const {missed, strayed} = gaps(game);
    const {D, G} = game.last ?? {};
    said.textContent = `Steps: D ${game.D.steps}, G ${game.G.steps}. Losses: D ${shown(D)}, G ${shown(G)}. `
      + `Missed ${shown(missed)}, strayed ${shown(strayed)}. Pull on a made point: ${shown(game.pulled)}.`;
    board.setAttribute("aria-label", `Real and made points on what the discriminator says. ${said.textContent}`);
    chart.setAttribute("aria-label", `Losses: discriminator ${shown(D)}, generator ${shown(G)}; `
      + `at rest ${shown(rest()[0])} and ${shown(rest()[1])}`);
  };
  const show = () => { drawHeat(); drawBoard(); drawChart(); tell(); };

  // ---- the rules, as sliders, and as a text that can be handed on
  const text = ({target, objective, rateG, rateD, stepsD, penalty, head, seed}) =>
    `target=${target} objective=${objective} G=${rateG} D=${rateD} k=${stepsD} penalty=${penalty} `
      + `head=${head} seed=${seed}`;
  const read = (words) => {
    const found = Object.fromEntries(words.trim().split(/[\s&]+/).map((word) => word.split("=")));
    const number = (name, list, otherwise) => {
      const value = Number(found[name] ?? otherwise);
      const known = list.includes?.(value) ?? (Number.isInteger(value) && value >= 0 && value <= list);
      if (!known) {
        throw new Error(`${name}=${found[name]}: use ${list.join?.(", ") ?? `a whole number up to ${list}`}`);
      }
      return value;
    };
    const {target = "ring", objective = OBJECTIVES[0]} = found;
    if (!Object.hasOwn(targets, target) && !/^(?=.*[1-9a-f])[0-9a-f]{64}$/.test(target)) {
      throw new Error(`target=${target}: use ${Object.keys(targets).join(", ")}, or the 64 digits of a drawn one`);
    }
    if (!OBJECTIVES.includes(objective)) throw new Error(`objective=${objective}: use ${OBJECTIVES.join(", ")}`);
    return {
      target, objective, rateG: number("G", RATES, 1e-3), rateD: number("D", RATES, 1e-3),
      stepsD: number("k", STEPS, 1), penalty: number("penalty", PENALTIES, 0), head: number("head", 1000, 0),
      seed: number("seed", 99, 0),
    };
  };
  let shared = null;
  try { shared = read(decodeURIComponent(/^#game=(.+)/.exec(location.hash)[1])); } catch { /* none, or a damaged one */ }
  let game = begin(shared ?? read(games[0].rules));
  const code = make("code");
  const changed = (name, value) => {
    if (squares) leave();
    game.rules[name] = value;
    if (name === "target") game.aim();
    code.textContent = text(game.rules);
    if (name === "seed") restart(game.rules);
    else show();
  };
  const controls = make("div", {className: "controls"});
  const choice = (name, list, told) => {
    const id = `play-${name.replace(/ /g, "-")}-${Math.floor(Math.random() * 1e9)}`;
    const select = make("select", {id}, ...list.map((one) => new Option(one, one)));
    select.addEventListener("change", () => told(select.value));
    controls.append(make("label", {htmlFor: id, textContent: name}), select, make("span"));
    return select;
  };
  const DRAWN = "drawn by hand";
  const target = choice("target", [...Object.keys(targets), DRAWN], (name) => {
    if (name === DRAWN) draw();
    else changed("target", name);
  });
  const objective = choice("objective of G", OBJECTIVES, (name) => changed("objective", name));
  let quiet = true;  // while the sliders are set to a game's rules
  const knob = (name, rule, list) => slider(controls, name, {
    max: list.length - 1, value: Math.max(0, list.indexOf(game.rules[rule])), words: (k) => String(list[k]),
    moved: (k) => { if (!quiet) changed(rule, list[k]); },
  });
  const knobs = [
    ["learning rate of G", "rateG", RATES], ["learning rate of D", "rateD", RATES],
    ["steps of D for one of G", "stepsD", STEPS], ["penalty γ on steepness", "penalty", PENALTIES],
    ["seed", "seed", [...Array(100).keys()]],
  ].map(([name, rule, list]) => [rule, list, knob(name, rule, list)]);
  const settle = () => {
    quiet = true;
    for (const [rule, list, one] of knobs) one.value = list.indexOf(game.rules[rule]);
    quiet = false;
    target.value = Object.hasOwn(targets, game.rules.target) ? game.rules.target : DRAWN;
    objective.value = game.rules.objective;
    code.textContent = text(game.rules);
  };

  // ---- time: nothing moves before Play; where less motion is wished, the picture changes twice a second
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let playing = "", frames = 0, drawn = 0, slice = 0, half = 0;
  const button = (words, pressed) => {
    const one = make("button", {type: "button", textContent: words});
    one.addEventListener("click", pressed);
    return one;
  };
  const run = (how) => {
    if (squares) leave();
    const before = playing;
    playing = how;
    [[play, "slow", "Play"], [fast, "fast", "Fast"]].forEach(([one, name, words]) => {
      one.textContent = playing === name ? "Pause" : words;
    });
    if (playing && !before) requestAnimationFrame(frame);
    if (!playing) show();
  };
  const frame = (now) => {
    if (!playing || !root.isConnected) return;
    const began = performance.now();
    if (playing === "slow") game.move();  // one player's step a frame, which a phone can take
    else do game.play(); while (performance.now() - began < BUDGET);
    frames++;
    if (calm.matches) {
      if (now - drawn > 500) { drawn = now; show(); }
    } else if (playing === "slow" ? game.turn : frames % 2 === 0) drawBoard();
    else if (frames % 24 < 2) tell();
    else if (frames % 8 < 2) drawChart();
    else drawHeat(half = GRID / 2 - half, GRID / 2);  // half of it, beside the shorter step, G's
    requestAnimationFrame(frame);
  };
  const single = (act) => () => { run(""); game[act](); show(); };
  const play = button("Play", () => run(playing === "slow" ? "" : "slow"));
  const fast = button("Fast", () => run(playing === "fast" ? "" : "fast"));
  // Steps that nobody watches, in slices, so that the page stays awake.
  const ahead = (act, count, then) => {
    clearTimeout(slice);
    const began = performance.now();
    while (count > 0 && performance.now() - began < 12) { game[act](); count--; }
    if (count > 0) slice = setTimeout(() => ahead(act, count, then), 0);
    else then();
  };
  const restart = (rules, more = 0) => {
    run("");
    game = begin(rules);
    settle();
    show();
    if (rules.head) said.textContent = `D takes ${rules.head} steps alone …`;
    ahead("playD", rules.head, () => ahead("play", more, show));
  };

  // ---- a target drawn on squares, by pointer or by keys
  let brush = null, cell = 119, squares = null;
  const grid = () => {
    const paper = board.getContext("2d"), side = PIXELS / SIDE;
    paper.fillStyle = `rgb(${PAPER})`;
    paper.fillRect(0, 0, PIXELS, PIXELS);
    squares.forEach((on, k) => {
      const [x, y] = [k % SIDE * side, Math.floor(k / SIDE) * side];
      paper.fillStyle = on ? `rgb(${BLUE})` : "#e4e1d8";
      paper.fillRect(x + 1, y + 1, side - 2, side - 2);
      if (k !== cell) return;
      paper.strokeStyle = "#b0431a";
      paper.lineWidth = 3;
      paper.strokeRect(x + 1, y + 1, side - 2, side - 2);
    });
    const count = squares.filter(Boolean).length;
    said.textContent = `Draw the target: press and move, or arrow keys and space. ${count} squares; `
      + `column ${cell % SIDE + 1}, row ${Math.floor(cell / SIDE) + 1} is ${squares[cell] ? "full" : "empty"}.`;
    plane.setAttribute("aria-label", said.textContent);
    done.disabled = count === 0;
  };
  const leave = () => {
    squares = null;
    plane.classList.remove("drawing");
    for (const name of ["tabindex", "role", "aria-label"]) plane.removeAttribute(name);
    [done.hidden, pen.hidden] = [true, false];
  };
  const draw = () => {
    run("");
    squares = Object.hasOwn(targets, game.rules.target) ? Array(SIDE * SIDE).fill(0) : cells(game.rules.target);
    plane.classList.add("drawing");
    Object.assign(plane, {tabIndex: 0, role: "application"});
    [done.hidden, pen.hidden] = [false, true];
    grid();
    plane.focus();
  };
  const drawnTarget = () => Array.from({length: SIDE * SIDE / 4}, (_, k) =>
    parseInt(squares.slice(4 * k, 4 * k + 4).join(""), 2).toString(16)).join("");
  board.addEventListener("pointerdown", () => { brush = null; });
  follow(board, (x, y) => {
    if (!squares) return;
    const at = (value) => Math.min(SIDE - 1, Math.floor(value * SIDE));
    cell = at(y) * SIDE + at(x);
    brush ??= 1 - squares[cell];
    squares[cell] = brush;
    grid();
  });
  plane.addEventListener("keydown", (event) => {
    if (!squares) return;
    const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], " ": [0, 0]};
    if (!moves[event.key]) return;
    const [x, y] = moves[event.key];
    event.preventDefault();
    event.stopPropagation();
    const move = (value, by) => Math.min(SIDE - 1, Math.max(0, value + by));
    cell = move(Math.floor(cell / SIDE), y) * SIDE + move(cell % SIDE, x);
    if (event.key === " ") squares[cell] = 1 - squares[cell];
    grid();
  });
  const pen = button("Draw a target", draw);
  const done = button("Use this target", () => restart({...game.rules, target: drawnTarget()}));
  done.hidden = true;

  // ---- everything together
  const choose = ({name, rules}) => button(name, () => restart(read(rules)));
  const menu = make("div", {className: "games"},
    ...games.flatMap((one) => [choose(one), one.cure ? choose(one.cure) : make("span")]));
  menu.setAttribute("role", "group");
  menu.setAttribute("aria-label", "games, and the cure beside each");
  const wanted = make("input", {type: "text", placeholder: "a game as text"});
  wanted.setAttribute("aria-label", "a game as text");
  const problem = make("span");
  problem.setAttribute("role", "status");
  const use = button("Use it", () => {
    try {
      restart(read(wanted.value));
      problem.textContent = "";
    } catch (error) { problem.textContent = error.message; }
  });
  const stage = make("div", {className: "stage"},
    plane,
    make("div", {className: "side"},
      menu,
      make("div", {className: "buttons"}, play, fast, button("D: one step", single("playD")),
        button("G: one step", single("playG")), button("Restart", () => restart(game.rules)), pen, done),
      chart, said));
  const handed = make("p", {className: "note"}, "This game: ", code, make("br"), wanted, " ", use, " ", problem);
  const sheet = root.querySelector(".sheet");
  sheet.hidden = true;
  sheet.after(stage, controls, handed);
  root.laboratory = {begin, stepD, stepG, gaps, get game() { return game; }};  // for tests and the console
  settle();
  show();
  new IntersectionObserver((seen, watch) => {
    if (!seen.some((one) => one.isIntersecting)) return;
    watch.disconnect();
    if (!game.D.steps) restart(game.rules, shared ? 0 : warm);
  }, {rootMargin: "300px"}).observe(stage);
  document.addEventListener("visibilitychange", () => { if (document.hidden) run(""); });
});
