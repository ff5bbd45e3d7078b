// The converter on the conventions page: course_lib.losses.convert_weights, without a kernel.
(() => {
  const form = document.getElementById("weights-converter");
  if (!form) return;

  // content factor, divided by N·M or not, style factor, and how the style layers are joined: losses.CONVENTIONS.
  // tests/house/test_project.py holds that both tables agree.
  const CONVENTIONS = [
    {"name": "size-independent", "content": 0.5, "content_per_entry": true, "style": 0.25, "layers": "mean"},
    {"name": "Gatys et al. 2016", "content": 0.5, "content_per_entry": false, "style": 0.25, "layers": "mean"},
    {"name": "Johnson et al. 2016", "content": 1.0, "content_per_entry": true, "style": 1.0, "layers": "sum"},
    {"name": "Premamayudu et al. 2019", "content": 0.25, "content_per_entry": true, "style": 0.25, "layers": "mean"}
  ];
  const CHANNELS = [64, 128, 256, 512, 512];  // of the five blocks of VGG-16 and VGG-19
  const CONVOLUTIONS = [2, 2, 4, 4, 4];  // VGG-19's; VGG-16 has the first three of the last blocks
  const PRESETS = {
    gatys: {from: 1, to: 0, content: "1", style: "1000"},
    premamayudu: {from: 3, to: 1, content: "10", style: "40"},
    ours: {from: 0, to: 1, content: "1", style: "100"}
  };

  const field = form.elements;
  for (const select of [field.from, field.to]) {
    CONVENTIONS.forEach((c, i) => select.add(new Option(c.name === "size-independent" ? "this book" : c.name, i)));
  }
  CONVOLUTIONS.forEach((count, block) => {
    for (let n = 1; n <= count; n++) {
      const name = `relu${block + 1}_${n}`;
      field.layer.add(new Option(name, block, name === "relu4_2", name === "relu4_2"));
    }
  });

  const number = (text) => Number(String(text).trim().replace(",", "."));
  const show = (value) => {
    if (value === 0) return "0";
    const size = Math.abs(value);
    const text = size >= 1e6 || size < 1e-3 ? value.toExponential(3) : String(Number(value.toPrecision(6)));
    return text.replace(/\.?0+e/, "e").replace(/e\+?(-?)(\d+)/, " × 10^$1$2").replace("^-", "^−");
  };
  const write = (output, value) => {
    const [mantissa, power] = show(value).split("^");
    output.textContent = mantissa;
    if (power) output.append(Object.assign(document.createElement("sup"), {textContent: power}));
  };

  function convert() {
    const block = Number(field.layer.value);
    const [width, height, layers] = [field.width, field.height, field.layers].map((f) => Math.floor(number(f.value)));
    const [content, style] = [number(field.content.value), number(field.style.value)];
    const note = form.querySelector("[data-note]");
    const positions = Math.floor(width / 2 ** block) * Math.floor(height / 2 ** block);
    const outputs = [field.content_out, field.style_out, field.ratio_out];
    if (!(positions > 0 && layers > 0 && content >= 0 && style >= 0 && Number.isFinite(content + style))) {
      outputs.forEach((output) => { output.textContent = "–"; });
      note.textContent = "Sizes must be positive whole numbers and weights numbers of at least 0, such as 0.001 or 1e-3.";
      return;
    }
    const channels = CHANNELS[block];
    const [source, target] = [CONVENTIONS[field.from.value], CONVENTIONS[field.to.value]];
    const contentFactor = (c) => c.content / (c.content_per_entry ? channels * positions : 1);
    const styleFactor = (c) => c.style * (c.layers === "mean" ? 1 / layers : 1);
    const converted = [content * contentFactor(source) / contentFactor(target), style * styleFactor(source) / styleFactor(target)];
    write(field.content_out, converted[0]);
    write(field.style_out, converted[1]);
    if (converted[0] > 0) write(field.ratio_out, converted[1] / converted[0]); else field.ratio_out.textContent = "no content term";
    note.textContent = `N = ${channels} channels, M = ${positions.toLocaleString("en-US")} positions.`;
  }

  form.addEventListener("input", convert);
  form.addEventListener("click", (event) => {
    const preset = PRESETS[event.target.dataset.preset];
    if (!preset) return;
    for (const [name, value] of Object.entries(preset)) field[name].value = value;
    convert();
  });
  [field.from.value, field.to.value] = ["1", "0"];
  convert();
})();
