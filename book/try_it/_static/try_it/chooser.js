// One picture out of several, or one of the visitor's own: a fieldset of tiles with a file field among them.
import {decode, fetched, fitted} from "./pictures.js";

const SMALL = 240;  // pixels of the tile
const WRITES = "input:not([type=radio], [type=range], [type=checkbox]), textarea, [contenteditable]";

export class Chooser {
  // `file` says where a choice's picture lies; `chosen(picture)` is called when there is another one.
  constructor(panel, group, file, chosen) {
    Object.assign(this, {panel, group, file, chosen});
    this.field = panel.form.elements[group];
    this.place = panel.form.querySelector(`fieldset[data-group=${group}]`);
    this.picture = null;  // {source, name, own}: what is chosen, once it has been read
    this.mine = null;  // the visitor's own, to come back to
    this.place.addEventListener("change", panel.guarded(async ({target}) => {
      if (target.name === group) await this.take();
      if (target.type === "file") {
        const [first] = target.files;
        target.value = "";
        await this.open(first);
      }
    }));
  }

  get value() { return this.field.value; }

  // The radio button that is chosen.
  get tile() { return this.place.querySelector(`input[name=${this.group}]:checked`); }

  async take() {
    const name = this.value;
    if (name === "own") return this.use(this.mine);
    if (name === "none") return this.use(null);
    const file = this.file(name);
    const source = await fetched(`${this.panel.engine.root}pictures/${file}.webp`);
    if (this.value !== name || this.file(name) !== file) return undefined;  // another one has been chosen meanwhile
    return this.use({source, name: this.tile.dataset.title, own: false});
  }

  async open(file) {
    if (!file) return undefined;
    const source = await decode(file);
    return this.keep(source, file.name ? file.name.replace(/\.[^.]*$/, "") : "your picture");
  }

  keep(source, name) {
    const small = fitted(source, SMALL);
    const tile = this.place.querySelector(".own-choice");
    tile.hidden = false;
    tile.querySelector("canvas").replaceWith(small);
    this.mine = {source, name, own: true};
    this.field.value = "own";
    return this.use(this.mine);
  }

  use(picture) {
    this.picture = picture;
    return this.chosen(picture);
  }
}

// Calls `open` with a picture that is dropped on the panel, or pasted while nobody is writing and the panel is meant.
export function receive(panel, open, meant) {
  const {root} = panel;
  root.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    root.classList.add("over");
  });
  root.addEventListener("dragleave", (event) => {
    if (!root.contains(event.relatedTarget)) root.classList.remove("over");
  });
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    root.classList.remove("over");
    open(event.dataTransfer.files[0], event.target);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files?.[0];
    if (file && meant() && !event.target.closest?.(WRITES)) {
      open(file, event.target);
    }
  });
}
