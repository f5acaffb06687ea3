// The first part of the page: classes, each with a pad, and what is done with all drawings together.

import { button, make } from "./common.js";
import { LARGEST_FILE, megabytes, readImages, shown } from "./images.js";
import { Drawings, LEAST_CLASSES, LONGEST_NAME, MOST_CLASSES, MOST_DRAWINGS } from "./drawings.js";
import { several, sum } from "./numbers.js";
import { dropped, Pad, picker } from "./pad.js";

/** @import { Group } from "./drawings.js" */
/** @import { Picture } from "./images.js" */
/** @typedef {{ names: string[], start: Picture[][], test: Picture[] }} Examples by class, and those to try */

const PAD = "Draw with mouse, finger or pen; without one, add image files or use the examples.";
const ELSEWHERE =
  "These drawings are also open elsewhere in this browser, which keeps one set for the next visit: " +
  "that of the place changed last. Export what you want to see again.";
const FORGETS =
  "This browser keeps nothing for this page. Export your drawings if you want to see them again.";

// One class: its name, its pad, its drawings. It stays while its drawings change, so nothing on its pad is lost.
class Card {
  /**
   * @param {Collection} page
   * @param {number} id
   */
  constructor(page, id) {
    this.page = page;
    this.id = id;
    this.pad = new Pad("", () => {});
    const rename = () => page.drawings.edit(id, () => ({ name: this.name.value.trim() }));
    this.name = make("input", { type: "text", maxlength: LONGEST_NAME, onchange: rename });
    this.remove = button("×", () => page.removeClass(id));
    this.remove.className = "tlx-small";
    this.thumbs = make("div", { class: "tlx-thumbs" });
    this.count = make("span");
    this.addition = button("Add", () => page.addDrawing(this));
    this.cleaning = button("Clear", () => this.pad.clear());
    const add = (/** @type {File[]} */ files) => page.addFiles(this, files);
    this.files = picker("Files …", { accept: "image/*", multiple: true }, add);
    const { opener, input } = this.files;
    const title = make("div", { class: "tlx-name" }, this.name, this.remove);
    const buttons = make("div", { class: "tlx-actions" }, this.addition, this.cleaning, opener, input);
    const parts = [title, this.pad.canvas, buttons, this.count, this.thumbs];
    this.node = make("div", { class: "tlx-class", role: "group" }, ...parts);
    dropped(this.node, add);
  }

  /**
   * @param {Group} group
   * @param {number} number
   * @param {boolean} few
   */
  update({ name, images }, number, few) {
    const title = name || `class ${number}`;
    const label = (/** @type {HTMLElement} */ node, /** @type {string} */ text) =>
      node.setAttribute("aria-label", text);
    label(this.node, title);
    this.name.value = name;
    label(this.name, `Name of class ${number}`);
    this.pad.label(`Drawing pad of ${title}. ${PAD}`);
    label(this.addition, `Add the drawing to ${title}`);
    label(this.cleaning, `Clear the pad of ${title}`);
    label(this.files.opener, `Add image files to ${title}`);
    label(this.remove, `Remove class ${title}`);
    this.remove.disabled = few;
    this.count.textContent = several(images.length, "drawing");
    const at = [...this.thumbs.children].findIndex((node) => node === document.activeElement);
    const thumbs = images.map((image, i) => this.thumb(image, i, title));
    this.thumbs.replaceChildren(...thumbs);
    if (at >= 0) (thumbs[Math.min(at, images.length - 1)] ?? this.addition).focus();
  }

  /**
   * @param {Picture} image
   * @param {number} i
   * @param {string} title
   */
  thumb(image, i, title) {
    const onclick = () => {
      this.page.drawings.edit(this.id, ({ images }) => ({ images: images.filter((_, j) => j !== i) }));
    };
    const words = { title: "Delete", "aria-label": `Delete drawing ${i + 1} of ${title}` };
    return make("button", { type: "button", class: "tlx-thumb", ...words, onclick }, shown(image));
  }
}

export class Collection {
  /**
   * @param {Examples} examples
   * @param {() => void} changed
   */
  constructor(examples, changed) {
    this.examples = examples;
    this.changed = changed;
    this.cards = /** @type {Map<number, Card>} */ (new Map());
    this.grid = make("div", { class: "tlx-classes" });
    this.another = button("Another class", () => this.addClass());
    this.back = button("Undo", () => this.drawings.undo());
    this.status = make("p", { class: "tlx-status", role: "status", "aria-live": "polite" });
    this.memory = make("p", { class: "tlx-note", "aria-live": "polite" });
    const { opener, input } = picker("Import …", { accept: ".npz" }, ([file]) => this.take(file));
    const examplesButton = button("Use the examples", () => this.useExamples());
    const ends = [
      button("Export", () => this.give()),
      opener,
      input,
      button("Clear all", () => this.clear()),
    ];
    const row = make("div", { class: "tlx-actions" }, this.another, examplesButton, this.back, ...ends);
    const title = make("p", { class: "tlx-sentence" }, "1. Draw a few of each");
    this.nodes = [title, this.grid, row, this.status, this.memory];
    this.drawings = new Drawings(() => this.update());
  }

  /** @param {string} words */
  say(words, status = "") {
    this.status.textContent = words;
    this.status.dataset.status = status;
  }

  greet() {
    const count = this.drawings.rows().images.length;
    if (count) this.say(`${several(count, "drawing")} of your last visit are here again.`);
  }

  update() {
    const { classes, past, kept, alone } = this.drawings;
    const wanted = classes.map((group, i) => {
      const card = this.cards.get(group.id) ?? new Card(this, group.id);
      this.cards.set(group.id, card);
      card.update(group, i + 1, classes.length <= LEAST_CLASSES);
      return card.node;
    });
    const { children } = this.grid;
    if (children.length !== wanted.length || wanted.some((node, i) => children[i] !== node)) {
      this.grid.replaceChildren(...wanted);
    }
    this.another.disabled = classes.length >= MOST_CLASSES;
    this.back.disabled = !past.length;
    this.memory.textContent = kept ? (alone ? "" : ELSEWHERE) : FORGETS;
    this.changed();
  }

  // The names of classes with something on their pad that was not added.
  waiting() {
    const drawn = this.drawings.classes.filter(({ id }) => !this.cards.get(id)?.pad.empty);
    return drawn.map(({ name }) => `“${name}”`);
  }

  addClass() {
    const { drawings } = this;
    const taken = drawings.classes.map(({ name }) => name);
    const names = ["third", "fourth", "fifth", "sixth", "first", "second"];
    const name = names.find((each) => !taken.includes(each)) ?? "another";
    drawings.to([...drawings.classes, drawings.fresh(name)]);
  }

  /** @param {number} id */
  removeClass(id) {
    this.drawings.to(this.drawings.classes.filter((each) => each.id !== id));
    this.say("The class is gone. Undo brings it back.");
    this.back.focus();
  }

  useExamples() {
    const { drawings, examples: { names, start } } = this;
    drawings.to(names.map((name, k) => drawings.fresh(name, start[k])));
    const count = sum(start.map((its) => its.length));
    this.say(`${several(count, "example")} are here. Undo brings back what was here before.`);
  }

  clear() {
    this.drawings.to(this.drawings.none());
    this.drawings.forget();
    this.say("All drawings are gone, here and in this browser's memory. Undo brings them back.");
  }

  /** @param {Card} card */
  addDrawing(card) {
    const group = this.drawings.find(card.id);
    const image = card.pad.image();
    if (!group) return;
    if (!image) return this.say(`The pad of “${group.name}” is empty. Draw on it first.`);
    if (this.drawings.add(group, [image])) return this.say(this.full(group.name, 1));
    card.pad.clear();
    this.say(`A drawing of “${group.name}” was added.`);
  }

  /**
   * @param {string} name
   * @param {number} left
   */
  full(name, left) {
    return `“${name}” is full: a class holds ${MOST_DRAWINGS} drawings, and ${
      several(left, "image")
    } found no room.`;
  }

  /**
   * @param {Card} card
   * @param {File[]} files
   */
  async addFiles(card, files) {
    const { images, wrong } = await readImages(files);
    const group = this.drawings.find(card.id);
    if (!group) return;
    const left = this.drawings.add(group, images);
    const words = [`${several(images.length - left, "image")} added to “${group.name}”.`];
    if (left) words.push(this.full(group.name, left));
    words.push(...wrong.slice(0, 3));
    if (wrong.length > 3) words.push(`So it is with ${wrong.length - 3} more.`);
    this.say(words.join(" "), wrong.length ? "error" : "");
  }

  give() {
    const { drawings } = this;
    if (!drawings.rows().images.length) {
      return this.say("There is nothing to export yet. Draw, or press “Use the examples”.");
    }
    const address = URL.createObjectURL(new Blob([drawings.archive()]));
    make("a", { href: address, download: "drawings.npz" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    const few = drawings.classes.find(({ images }) => images.length < 3);
    const there = few && `“${few.name}” has ${few.images.length}`;
    const next = few
      ? `data.from_arrays will ask for 3 drawings of each class; ${there}.`
      : "The Python lines at the end read it.";
    this.say(`drawings.npz is yours. ${next}`);
  }

  /** @param {File | undefined} file */
  async take(file) {
    if (!file) return;
    try {
      if (file.size > LARGEST_FILE) {
        throw new Error(`it has ${megabytes(file.size)}; at most ${LARGEST_FILE / 1e6} are read`);
      }
      const { classes, left } = await this.drawings.read(new Uint8Array(await file.arrayBuffer()));
      this.drawings.to(classes);
      const count = several(this.drawings.rows().images.length, "drawing");
      const rest = left ? ` ${left} more found no room: a class holds ${MOST_DRAWINGS}.` : "";
      const back = "Undo brings back what was here before.";
      this.say(`${count} of ${classes.length} classes imported. ${back}${rest}`);
    } catch (error) {
      const cut = error instanceof RangeError || !(error instanceof Error);
      const words = cut ? "it is cut short or damaged" : error.message;
      this.say(`${file.name} was not imported: ${words}. Your drawings are as they were.`, "error");
    }
  }
}
