// The last panel: a street translated without pairs, beside the same street as it is drawn, or after both passes.
import {Chooser, receive} from "./chooser.js";
import {blank, fetched, fitted, pixels, save, toNumbers, toPixels} from "./pictures.js";
import {calm, seconds} from "./studio.js";

const WEATHERS = {AB: ["clear", "dusk"], BA: ["dusk", "clear"]};  // of what is given, and of what is wanted
const BACK = {AB: "BA", BA: "AB"};
const WORDS = {clear: "by day", dusk: "at dusk"};

// The mean absolute difference of the colors, from 0 to 1.
const difference = (one, other) => {
  const [a, b] = [toNumbers(one).data, toNumbers(other).data];
  return a.reduce((sum, value, k) => sum + Math.abs(value - b[k]), 0) / a.length;
};

export function attachDusk(panel) {
  const {root, form} = panel;
  const field = form.elements;
  const places = {given: panel.get("given"), made: panel.get("made"), beside: panel.get("beside")};
  let given = null;  // ImageData of the picture at the chosen size

  const way = () => field.direction.value;
  const model = (direction) => `${root.dataset.translator}_${direction}`;
  const both = () => field.third.value === "back";
  panel.models = () => (both() ? [model(way()), model(BACK[way()])] : [model(way())]);

  const street = new Chooser(panel, "street", (name) => `${name}_${WEATHERS[way()][0]}`, ({source, own}) => {
    showGiven();
    if (own && !panel.started) panel.say(`${source.width} × ${source.height} pixels, and here they stay. Translate it.`);
    return refresh();
  });
  const refresh = () => (panel.started || panel.busy ? translate() : undefined);
  const called = () => street.picture.name;

  function show(which, image, label) {
    let canvas = places[which].querySelector("canvas");
    if (!canvas) {
      canvas = blank(image.width, image.height);
      canvas.setAttribute("role", "img");
      places[which].querySelector("img").replaceWith(canvas);
    }
    Object.assign(canvas, {width: image.width, height: image.height});
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.setAttribute("aria-label", label);
    places[which].classList.remove("old");
  }

  // What was computed for another picture, or under other settings, stays until there is something new.
  function outdated() {
    for (const which of ["made", "beside"]) places[which].classList.add("old");
    panel.get("save").disabled = true;
  }

  function showGiven() {
    given = pixels(fitted(street.picture.source, Number(field.size.value)));
    show("given", given, `The given picture: ${called()}`);
    outdated();
  }

  // The same street as the package draws it in the other weather; null for a picture of the visitor's own.
  async function truth() {
    if (street.picture.own) return null;
    const address = `${panel.engine.root}pictures/${street.value}_${WEATHERS[way()][1]}.webp`;
    return pixels(fitted(await fetched(address), Number(field.size.value)));
  }

  const compute = async () => {
    const [direction, image, back] = [way(), given, both()];
    const wanted = WORDS[WEATHERS[direction][1]];
    await panel.ready(...panel.models());
    const there = await panel.run(model(direction), toNumbers(image));
    const made = toPixels(there);
    const drawn = back ? null : await truth();
    // what goes back is the picture as it is shown, in whole levels
    const again = back ? await panel.run(model(BACK[direction]), toNumbers(made)) : null;
    if (image !== given || direction !== way() || back !== both()) return;  // something else has been chosen meanwhile
    show("made", made, `${called()}, translated: ${wanted}`);
    let words = `${image.width} × ${image.height} pixels in ${seconds(there.ms + (again?.ms ?? 0))}.`;
    places.beside.hidden = !back && !drawn;
    panel.get("beside-words").textContent = back ? "there and back" : `drawn ${wanted}`;
    if (back) {
      const returned = toPixels(again);
      show("beside", returned, `${called()} after both passes`);
      words += ` After both passes, colors are off by ${difference(returned, image).toFixed(3)} on average.`;
    } else if (drawn) {
      show("beside", drawn, `${called()}, drawn ${wanted}`);
      words += ` The colors are ${difference(made, drawn).toFixed(3)} from the truth on average;`;
      words += ` those of the given picture, ${difference(image, drawn).toFixed(3)}.`;
    } else words += " For a picture of your own, there is no truth to compare with.";
    root.dataset.runMs = there.ms.toFixed(1);
    panel.get("save").disabled = false;
    panel.say(words, "done");
  };
  const translate = panel.guarded(async () => {
    if (!street.picture) await street.take();
    await panel.work(compute);
  });

  form.addEventListener("change", panel.guarded(async ({target}) => {
    if (!["direction", "third", "size"].includes(target.name)) return undefined;
    panel.price();
    outdated();
    if (target.name === "direction" && !street.picture?.own) return street.take();  // the other weather is given now
    if (target.name === "size" && street.picture) showGiven();
    return refresh();
  }));
  panel.go.addEventListener("click", translate);
  panel.get("save").addEventListener("click", () => {
    const name = `${called()} ${WEATHERS[way()][1]}`.replace(/\W+/g, "_").toLowerCase();
    save(places.made.querySelector("canvas"), name);
  });
  receive(panel, panel.guarded((file) => street.open(file)), () => root.matches(":hover, :focus-within"));
  // A street that the visitor has drawn, from the panel above.
  document.addEventListener("street", panel.guarded(({detail}) => {
    root.scrollIntoView({behavior: calm() ? "instant" : "smooth", block: "start"});
    panel.go.focus({preventScroll: true});
    field.direction.value = "AB";
    panel.price();
    return street.keep(detail, "Your street");
  }));
}
