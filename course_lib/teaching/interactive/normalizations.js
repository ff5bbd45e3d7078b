// Four normalizations of one feature map with three channels: networks/adalin.py and networks/modulated.py, in sums.
start("normalizations", (root, {maps, side, spot, choices, at, weight}) => {
  const COUNT = side * side, GAP = 2, EPS = 1e-5, EPS_DEMODULATION = 1e-8;
  const bytes = Uint8Array.from(atob(maps), (one) => one.charCodeAt(0));
  const given = [0, 1, 2].map((c) => Float64Array.from(bytes.subarray(c * COUNT, (c + 1) * COUNT), (b) => (b - 128) / 32));
  const place = {...at};

  const moments = (map, left = -1) => {  // mean and variance, without one position if it is named
    const count = COUNT - (left >= 0);
    let [sum, squares] = [0, 0];
    map.forEach((value, k) => { if (k !== left) sum += value; });
    map.forEach((value, k) => { if (k !== left) squares += (value - sum / count) ** 2; });
    return [sum / count, squares / count];
  };
  const changed = ({channel, mean, deviation, spike}) => given.map((map, c) => {
    if (c !== channel) return map;
    const own = map.map((value) => deviation * value + mean);
    if (spike > 0) own[spot] = spike;
    return own;
  });
  // ρ · (a − μ_I)/√(σ_I² + ε) + (1 − ρ) · (a − μ_L)/√(σ_L² + ε), Kim et al. 2020, Eq. 1
  const adalin = (x, rho) => {
    const own = x.map((map) => moments(map));
    const mean = own.reduce((sum, [m]) => sum + m, 0) / x.length;
    const variance = own.reduce((sum, [m, v]) => sum + v + (m - mean) ** 2, 0) / x.length;
    return x.map((map, c) => map.map((value) =>
      rho * (value - own[c][0]) / Math.sqrt(own[c][1] + EPS) + (1 - rho) * (value - mean) / Math.sqrt(variance + EPS)));
  };
  // Each output reads its own channel, with weight · s, divided by its length: Karras et al. 2020, Eqs. 1 and 3.
  const demodulated = (x, style) => {
    const scale = weight * style / Math.sqrt((weight * style) ** 2 + EPS_DEMODULATION);
    return x.map((map) => map.map((value) => scale * value));
  };
  const compute = (wanted) => {
    const x = changed(wanted);
    return [x, adalin(x, 1), adalin(x, 0), adalin(x, wanted.rho), demodulated(x, wanted.style)];
  };

  const tiles = [...root.querySelectorAll(".tile")].map((tile) => {
    const image = tile.querySelector("img"), name = tile.querySelector(".name");
    const canvas = make("canvas", {width: 3 * side + 2 * GAP, height: side});
    canvas.setAttribute("role", "img");
    image.hidden = true;
    image.after(canvas);
    const said = make("div", {className: "said"});
    tile.append(said);
    return {canvas, name: name.textContent, said};
  });
  const number = (value) => value.toFixed(2).replace("-", "−").replace("−0.00", "0.00");
  const show = () => {
    const results = compute(place);
    tiles.forEach(({canvas, name, said}, k) => {
      const paper = canvas.getContext("2d"), pixels = new ImageData(side, side);
      results[k].forEach((map, c) => {
        map.forEach((value, n) => {
          const gray = 255 * (0.5 + value / 6);  // black at −3, white at 3; the array clamps
          pixels.data.set([gray, gray, gray, 255], 4 * n);
        });
        paper.putImageData(pixels, c * (side + GAP), 0);
      });
      const rest = results[k].map((map, c) => moments(map, place.spike > 0 && c === place.channel ? spot : -1));
      said.textContent = `mean ${rest.map(([m]) => number(m)).join(", ")};\n`
        + `deviation ${rest.map(([, v]) => number(Math.sqrt(v))).join(", ")}`
        + (k === 4 ? `;\nweight ${number(weight * place.style)}, divided by its length: 1` : "");
      canvas.setAttribute("aria-label", `${name}, three channels: ${said.textContent}`);
    });
  };
  const controls = make("div", {className: "controls"});
  const NAMES = {
    channel: "channel that is changed", mean: "its mean", deviation: "its deviation", spike: "spike in it",
    rho: "ρ of the mixture", style: "scale s of the weights",
  };
  for (const [key, values] of Object.entries(choices)) {
    slider(controls, NAMES[key], {
      max: values.length - 1, value: values.indexOf(at[key]),
      words: (k) => (key === "channel" ? String(values[k] + 1) : String(values[k]).replace("-", "−")),
      moved: (k) => { place[key] = values[k]; show(); },
    });
  }
  root.querySelector(".strip").after(controls);
  root.normalizations = {compute};  // for tests and the console
  show();
});
