// Loss weights from one paper's scale to another's: losses.convert_weights.
start("converter", (root, {conventions, presets, channels, convolutions, layer}) => {
  const form = root.querySelector("form");
  const field = form.elements;
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const select of [field.from, field.to]) {
    conventions.forEach(({name}, k) => select.add(new Option(name === "size-independent" ? "this book" : name, k)));
  }
  convolutions.forEach((count, block) => {
    for (let n = 1; n <= count; n++) {
      const name = `relu${block + 1}_${n}`;
      field.layer.add(new Option(name, block, name === layer, name === layer));
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
    if (power) output.append(make("sup", {textContent: power}));
  };

  const convert = () => {
    const block = Number(field.layer.value);
    const [width, height, layers] = [field.width, field.height, field.layers].map((f) => Math.floor(number(f.value)));
    const [content, style] = [number(field.content.value), number(field.style.value)];
    const note = root.querySelector("[data-note]");
    const positions = Math.floor(width / 2 ** block) * Math.floor(height / 2 ** block);
    if (!(positions > 0 && layers > 0 && content >= 0 && style >= 0 && Number.isFinite(content + style))) {
      for (const output of [field.content_out, field.style_out, field.ratio_out]) output.textContent = "–";
      note.textContent = "Sizes must be positive whole numbers and weights numbers of at least 0, such as 0.001 or 1e-3.";
      return;
    }
    const [source, target] = [conventions[field.from.value], conventions[field.to.value]];
    const contentFactor = (c) => c.content / (c.content_per_entry ? channels[block] * positions : 1);
    const styleFactor = (c) => c.style * (c.layers === "mean" ? 1 / layers : 1);
    const converted = content * contentFactor(source) / contentFactor(target);
    const painted = style * styleFactor(source) / styleFactor(target);
    write(field.content_out, converted);
    write(field.style_out, painted);
    if (converted > 0) write(field.ratio_out, painted / converted);
    else field.ratio_out.textContent = "no content term";
    note.textContent = `N = ${channels[block]} channels, M = ${positions.toLocaleString("en-US")} positions.`;
  };
  form.addEventListener("input", convert);
  for (const [name, values] of Object.entries(presets)) {
    const button = make("button", {type: "button", textContent: name});
    button.addEventListener("click", () => {
      for (const [key, value] of Object.entries(values)) field[key].value = value;
      convert();
    });
    root.querySelector("[data-presets]").append(" ", button);
  }
  [field.from.value, field.to.value] = ["1", "0"];
  form.hidden = false;
  convert();
});
