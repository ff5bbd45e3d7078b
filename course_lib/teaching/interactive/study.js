// Two pictures of one scene at a time, without names; the votes give scores as evaluation.votes computes them.
start("study", (root, {name, question, methods, scenes, seed, digest}) => {
  const sheet = root.querySelector(".sheet");
  const rows = [...sheet.querySelectorAll(".strip")].map((row) => [...row.querySelectorAll("img")]);
  const given = Number(rows[0].length > methods.length);
  const picture = (scene, method, alt) =>
    Object.assign(rows[scene][method + given].cloneNode(), {alt, loading: "eager"});
  const values = {left: 1, tie: 0.5, right: 0};  // votes for the left side

  const numbers = (state) => () => {  // Mulberry32, in [0, 1)
    state = state + 0x6D2B79F5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
  const pair = ({scene, left, right}) => [scene, Math.min(left, right), Math.max(left, right)].join();

  // Every pair of methods on every scene. A round has each pair once, and the next round swaps all its sides.
  const draw = (random) => {
    const mixed = (list) => {
      for (let k = list.length; k > 1;) {
        const other = Math.floor(random() * k--);
        [list[k], list[other]] = [list[other], list[k]];
      }
      return list;
    };
    const count = methods.length;
    const deck = mixed([...Array(scenes).keys()]);
    const shifts = mixed([...Array(count * (count - 1) / 2).keys()]);
    const order = [];
    let seats = [];
    for (let round = 0; round < scenes; round++) {
      if (round % 2 === 0) seats = mixed([...Array(count).keys()]);
      const next = [];
      for (let i = 0; i < count; i++) {
        for (let j = i + 1; j < count; j++) {
          const [low, high] = [seats[i], seats[j]].sort((a, b) => a - b);
          const scene = deck[(round + shifts[high * (high - 1) / 2 + low]) % scenes];
          const first = (j - i <= count / 2) !== (round % 2 === 1);  // each is left as often as right
          next.push({scene, left: seats[first ? i : j], right: seats[first ? j : i]});
        }
      }
      order.push(...mixed(next));
    }
    return order;
  };

  const write = () => [
    `# votes: ${name}, version 1`,
    ...votes.map(({scene, left, right, choice}) => [scene, methods[left], methods[right], choice].join("\t")),
  ].join("\n") + "\n";
  const read = (text) => {
    const lines = text.split(/\r?\n/).map((line, k) => [line, k + 1]).filter(([line]) => line.trim());
    if ((lines.shift() ?? [""])[0].trim() !== `# votes: ${name}, version 1`) {
      throw new Error(`The first line must be “# votes: ${name}, version 1”.`);
    }
    return lines.map(([line, number]) => {
      const [scene, first, second, choice, more] = line.split("\t").map((field) => field.trim());
      const [left, right] = [methods.indexOf(first), methods.indexOf(second)];
      const known = /^\d+$/.test(scene) && Number(scene) < scenes && left >= 0 && right >= 0 && left !== right;
      if (!known || !Object.hasOwn(values, choice) || more !== undefined) {
        throw new Error(`Line ${number} is not a vote of this study: scene, left, right, and left, right or tie.`);
      }
      return {scene: Number(scene), left, right, choice};
    });
  };

  // Scores of mean 0, and the side bias as the last number, by Newton's method.
  const maximize = (cast, count, prior) => {
    const theta = Array(count + 1).fill(0);
    for (let round = 0; round < 100; round++) {
      const table = theta.map((t, i) => [
        ...theta.map((_, j) => (i < count && j < count ? 1 : 0) + (i === j ? prior + 1e-9 : 0)), -prior * t,
      ]);
      for (const {left, right, choice} of cast) {
        const p = 1 / (1 + Math.exp(theta[right] - theta[left] - theta[count]));
        const signs = [[left, 1], [right, -1], [count, 1]];
        for (const [i, u] of signs) {
          table[i][count + 1] += u * (values[choice] - p);
          for (const [j, v] of signs) table[i][j] += u * v * p * (1 - p);
        }
      }
      table.forEach((row, i) => {  // the matrix is positive definite: no pivoting
        table.forEach((other, k) => {
          const factor = k === i ? 0 : other[i] / row[i];
          if (factor) row.forEach((value, j) => { other[j] -= factor * value; });
        });
      });
      const step = table.map((row, i) => row[count + 1] / row[i]);
      const most = Math.max(...step.map(Math.abs));
      step.forEach((value, i) => { theta[i] += value / Math.max(1, most); });
      if (most < 1e-9 || Math.max(...theta.map(Math.abs)) > 30) break;
    }
    const mean = theta.slice(0, count).reduce((sum, t) => sum + t, 0) / count;
    return theta.map((t, i) => (i < count ? t - mean : t));
  };

  // Is every method reached from every other one, along comparisons or along wins? A tie is half a win for both.
  const reached = (cast, count, wins) => [...Array(count).keys()].every((from) => {
    const seen = new Set([from]);
    for (const one of seen) {
      for (const {left, right, choice} of cast) {
        if (left === one && !(wins && choice === "right")) seen.add(right);
        if (right === one && !(wins && choice === "left")) seen.add(left);
      }
    }
    return seen.size === count;
  });

  const rank = () => {
    const names = [...methods.keys()].filter((m) => votes.some(({left, right}) => left === m || right === m));
    const cast = votes.map((vote) => ({...vote, left: names.indexOf(vote.left), right: names.indexOf(vote.right)}));
    const count = names.length;
    let [prior, warning] = [0, ""];
    if (!reached(cast, count, false)) warning = "Some methods have not been compared yet, not even through others";
    else if (!reached(cast, count, true)) warning = "Some methods have only won, or only lost, against the others";
    let best = maximize(cast, count, prior);
    if (!warning && Math.max(...best.map(Math.abs)) > 15) warning = "The side decides all votes between equal methods";
    if (warning) best = maximize(cast, count, prior = 0.1);
    const random = numbers(0);
    const drawn = [...Array(200)].map(() =>
      maximize(cast.map(() => cast[Math.floor(random() * cast.length)]), count, Math.max(prior, 0.01)));
    const quantile = (k, q) => {
      const sorted = drawn.map((theta) => theta[k]).sort((a, b) => a - b);
      const at = q * (sorted.length - 1), low = Math.floor(at);
      return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
    };
    const scores = names.map((method, k) =>
      ({method, score: best[k], low: quantile(k, 0.025), high: quantile(k, 0.975)}));
    return {scores: scores.sort((a, b) => b.score - a.score), warning};
  };

  const key = `study ${name} ${digest}`;
  let [votes, begun, order, paused, told, kept] = [[], 0, [], false, false, true];
  const begin = (number) => { begun = number; order = draw(numbers(number)); };
  const fresh = () => seed ?? Math.floor(Math.random() * 2 ** 31);
  const save = () => {
    try { localStorage.setItem(key, JSON.stringify([begun, write()])); } catch { kept = false; }
  };
  begin(fresh());
  try {
    const [number, text] = JSON.parse(localStorage.getItem(key)) ?? [begun, write()];
    votes = read(text);
    begin(number);
  } catch { votes = []; }

  const button = (textContent, click) => {
    const node = make("button", {type: "button", textContent});
    node.addEventListener("click", click);
    return node;
  };
  const said = make("div", {className: "said"});
  said.setAttribute("role", "status");
  const bar = make("progress", {max: order.length});
  bar.setAttribute("aria-label", "progress");
  const above = make("div", {className: "given"});
  const strip = make("div", {className: "strip"});
  const choices = make("div", {className: "controls choose"},
    button("← Left", () => vote("left")), button("Same ↓", () => vote("tie")), button("Right →", () => vote("right")));
  const panel = make("div", {className: "panel", tabIndex: -1},
    make("p", {className: "ask", textContent: question}), above, strip, choices);
  panel.setAttribute("role", "group");
  panel.setAttribute("aria-label", question);
  panel.dataset.lmSuppressShortcuts = "true";
  const results = make("div", {className: "results", tabIndex: -1});
  const undo = button("Undo", () => { votes.pop(); save(); show(`Vote ${votes.length + 1} is open again. `); });
  const pause = button("Pause", () => { paused = !paused; show(); if (!paused) panel.focus(); });
  const reveal = button("Results", () => { told = !told; paused = false; show(); (told ? results : panel).focus(); });
  const again = button("Start over", () => {
    if (again.textContent === "Start over") { again.textContent = `Delete ${votes.length} votes?`; return; }
    votes = [];
    told = paused = false;
    begin(fresh());
    save();
    show("All votes are deleted. ");
    panel.focus();
  });
  again.addEventListener("blur", () => { again.textContent = "Start over"; });

  let open;
  const vote = (choice) => {
    if (!open || paused || told) return;
    votes.push({...open, choice});
    told = !order.some(waiting());
    save();
    show();
    if (told) results.focus();
  };
  const waiting = () => {
    const done = new Set(votes.map(pair));
    return (one) => !done.has(pair(one));
  };
  panel.addEventListener("keydown", (event) => {
    const choice = {ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie"}[event.key];
    if (!choice || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (!event.repeat) vote(choice);
  });

  const tile = (image, words) =>
    make("div", {className: "tile"}, image, ...(words ? [make("div", {className: "name", textContent: words})] : []));
  const report = () => {
    const {scores, warning} = rank();
    const [least, most] = [Math.min(...scores.map((s) => s.low)), Math.max(...scores.map((s) => s.high))];
    const at = (value) => `${100 * (value - least) / (most - least || 1)}%`;
    const digits = (value) => (Math.abs(value) < 0.005 ? 0 : value).toFixed(2).replace("-", "−");
    const cells = (tag, ...all) => make("tr", {}, ...all.map((one) => make(tag, {}, one)));
    const table = make("table", {}, make("caption", {textContent: "Bradley–Terry scores with 95 % intervals"}),
      cells("th", "method", "score", "from", "to", "interval"),
      ...scores.map(({method, score, low, high}) => {
        const scale = make("span", {className: "scale"}, make("i"), make("b"));
        scale.setAttribute("aria-hidden", "true");
        Object.assign(scale.firstChild.style, {left: at(low), width: `calc(${at(high)} - ${at(low)})`});
        scale.lastChild.style.left = at(score);
        return cells("td", methods[method], digits(score), digits(low), digits(high), scale);
      }));
    const share = votes.reduce((sum, {choice}) => sum + values[choice], 0) / votes.length;
    const side = `You chose the left picture in ${Math.round(100 * share)} % of ${votes.length} votes; a tie counts half.`;
    const row = make("div", {className: "strip"});
    const controls = make("div", {className: "controls"});
    const put = (scene) => row.replaceChildren(...scores.map(({method, score}) =>
      tile(picture(scene, method, `${methods[method]}, scene ${scene + 1}`), `${methods[method]}, ${digits(score)}`)));
    put(0);
    if (scenes > 1) slider(controls, "scene", {max: scenes - 1, value: 0, words: (k) => `${k + 1} of ${scenes}`, moved: put});
    const text = warning && `${warning}: the scores are pulled toward 0, and more votes will change them.`;
    return [make("p", {className: "warning", textContent: text, hidden: !text}), table, make("p", {textContent: side}),
      make("p", {textContent: "Your order, best first:"}), row, controls];
  };
  const show = (words = "") => {
    open = order.find(waiting());
    if (!open) told = true;
    panel.hidden = paused || told;
    results.hidden = !told;
    undo.disabled = again.disabled = !votes.length;
    pause.hidden = told;
    pause.textContent = paused ? "Continue" : "Pause";
    reveal.disabled = told && !open;
    reveal.textContent = told ? "Continue voting" : "Results";
    bar.value = order.length - order.filter(waiting()).length;  // pasted votes may repeat a comparison
    const where = kept ? "The votes stay in this browser." : "This browser keeps nothing: copy your votes before you leave.";
    said.textContent = `${words}${paused ? "Paused. " : ""}${bar.value} of ${order.length} comparisons made. `
      + (paused || told || !kept ? where : `Scene ${open.scene + 1} of ${scenes}.`);
    area.value = write();
    results.replaceChildren(...(told && votes.length ? report() : []), exchange);
    const {scene, left, right} = open ?? order[0];
    strip.replaceChildren(
      tile(picture(scene, left, `scene ${scene + 1}, left picture`)),
      tile(picture(scene, right, `scene ${scene + 1}, right picture`)));
    if (given) above.replaceChildren(tile(picture(scene, -1, `scene ${scene + 1}, reference`), "reference"));
    for (const one of root.querySelectorAll("input, button, textarea")) one.dataset.lmSuppressShortcuts = "true";
  };
  const area = make("textarea", {rows: 6, spellcheck: false});
  const exchange = make("div", {className: "exchange"}, make("label", {}, "Votes as text, to copy, or to paste others", area),
    button("Copy", async () => {
      area.select();
      try { await navigator.clipboard.writeText(area.value); said.textContent = "Copied."; }
      catch { said.textContent = "Selected; press Ctrl+C or ⌘C to copy."; }
    }),
    button("Use this text", () => {
      try { votes = read(area.value); save(); show("The votes were read. "); }
      catch (error) { said.textContent = error.message; }
    }));
  sheet.hidden = true;
  root.prepend(make("div", {className: "study"}, panel, results, make("p", {className: "note"}, undo, pause, reveal, again), bar, said));
  show();
  // Question, buttons and progress stand on the same screen as the pair, and so does the reference above it.
  const [width, height] = ["width", "height"].map((side) => Number(rows[0][given].getAttribute(side)));
  const screenful = window === window.top ? "100vh" : `${Math.max(400, screen.availHeight - 220)}px`;
  const wide = (given ? 1.1 : 2) * width / height;
  panel.style.maxWidth = `min(var(--most), max(15em, (${screenful} - 25em) * ${wide.toFixed(4)}))`;
  wake(root);
});
