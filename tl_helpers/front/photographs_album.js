// The reader's photographs: classes with names, the pictures in them, undoing, and which pictures are alike.

import { several } from "./numbers.js";
import { groupsOf, Twins } from "./photographs_twins.js";

/** @typedef {{ id: number, name: string }} Class `id` stays when it is renamed or moves */
/**
 * A picture, 128 × 128 pixels of red, green and blue. It is never changed: with another label there is another object
 * of the same `id`. Pixels of one `id` stay the same, so what is computed of them can be kept by `id`.
 * @typedef {object} Picture
 * @property {number} id
 * @property {Uint8Array<ArrayBuffer>} pixels
 * @property {number} label place of its class in `Album.classes`
 * @property {string} name of its file, or where it came from
 */
/** @typedef {{ pixels: Uint8Array<ArrayBuffer>, name: string }} Taken a picture that is not yet in the album */
/** @typedef {{ classes: Class[], pictures: Picture[] }} State */

export const LEAST_CLASSES = 2;
export const MOST_CLASSES = 8;
export const MOST_PICTURES = 1000;
export const LONGEST_NAME = 60;
const MOST_STEPS = 50; // that can be undone

/** @type {(name: string) => string} */
export const tidy = (name) => name.normalize("NFC").replace(/\s+/g, " ").trim().slice(0, LONGEST_NAME);

// No state is changed in place, so undoing is going back to an earlier one.
export class Album {
  constructor() {
    this.count = 0; // of ids given
    this.past = /** @type {State[]} */ ([]);
    this.step = /** @type {object | null} */ (null);
    this.listeners = /** @type {(() => void)[]} */ ([]);
    this.twins = new Twins();
    /** @type {State} */
    this.state = { classes: [], pictures: [] };
    this.state = this.none();
    this.groups = /** @type {number[]} */ ([]);
  }

  get classes() {
    return this.state.classes;
  }

  // In the order in which they came; `groups` has a number for each, equal where pictures are the same or nearly.
  get pictures() {
    return this.state.pictures;
  }

  // Names to show: a class without one is called by its place.
  get names() {
    return this.classes.map(({ name }, k) => name || `class ${k + 1}`);
  }

  /**
   * Call a function after every change.
   * @param {() => void} changed
   */
  listen(changed) {
    this.listeners.push(changed);
  }

  /** @returns {State} */
  none() {
    return { classes: [this.fresh("first"), this.fresh("second")], pictures: [] };
  }

  /** @param {string} name @returns {Class} */
  fresh(name) {
    return { id: this.count += 1, name };
  }

  /** @param {number} label */
  inClass(label) {
    return this.pictures.filter((each) => each.label === label);
  }

  /** @param {number} id */
  find(id) {
    return this.pictures.find((each) => each.id === id);
  }

  /**
   * Go to another state. Changes in a row with the same `step` are undone together.
   * @param {Partial<State>} state
   * @param {object | null} step
   */
  to(state, step = null) {
    if (!step || step !== this.step) this.past = [...this.past.slice(1 - MOST_STEPS), this.state];
    this.step = step;
    this.set({ ...this.state, ...state });
  }

  /** @param {State} state */
  set(state) {
    this.state = state;
    const pixels = state.pictures.map((each) => each.pixels);
    this.forget();
    this.groups = groupsOf(this.twins.links(pixels), state.pictures.length);
    for (const changed of this.listeners) changed();
  }

  // Compare no more with pictures that undoing cannot bring back.
  forget() {
    if (this.twins.known.size < 2 * MOST_PICTURES) return;
    const states = [...this.past, this.state];
    this.twins.keep(new Set(states.flatMap(({ pictures }) => pictures.map(({ pixels }) => pixels))));
  }

  /** @returns {boolean} whether there was something to undo */
  undo() {
    const before = this.past.pop();
    this.step = null;
    if (before) this.set(before);
    return Boolean(before);
  }

  /**
   * Add pictures to a class, as many as find room; return them.
   * @param {number} label
   * @param {Taken[]} taken
   * @param {object | null} step
   */
  add(label, taken, step = null) {
    const room = MOST_PICTURES - this.pictures.length;
    const added = taken.slice(0, room).map(({ pixels, name }) => ({
      id: this.count += 1,
      pixels,
      label,
      name,
    }));
    if (added.length) this.to({ pictures: [...this.pictures, ...added] }, step);
    return added;
  }

  /**
   * Begin anew, with classes and pictures; can be undone.
   * @param {string[]} names
   * @param {(Taken & { label: number })[]} taken
   */
  begin(names, taken) {
    const pictures = taken.map(({ pixels, name, label }) => ({ id: this.count += 1, pixels, label, name }));
    this.to({ classes: names.map((name) => this.fresh(tidy(name))), pictures });
  }

  /**
   * Show what was kept, before anything else was done.
   * @param {string[]} names
   * @param {Picture[]} pictures
   */
  restore(names, pictures) {
    this.count = Math.max(this.count, ...pictures.map(({ id }) => id));
    const known = names.slice(0, MOST_CLASSES).map((name) => this.fresh(tidy(name)));
    while (known.length < LEAST_CLASSES) known.push(this.fresh(""));
    this.set({ classes: known, pictures: pictures.filter(({ label }) => known[label]) });
  }

  /** @param {number[]} ids */
  remove(ids) {
    const gone = new Set(ids);
    this.to({ pictures: this.pictures.filter(({ id }) => !gone.has(id)) });
  }

  /**
   * Give pictures another label.
   * @param {number[]} ids
   * @param {number} label
   */
  move(ids, label) {
    const moved = new Set(ids);
    this.to({ pictures: this.pictures.map((each) => moved.has(each.id) ? { ...each, label } : each) });
  }

  /**
   * Add a class; return its label.
   * @param {string} name
   * @param {object | null} step
   */
  addClass(name, step = null) {
    this.to({ classes: [...this.classes, this.fresh(tidy(name))] }, step);
    return this.classes.length - 1;
  }

  /** @param {number} label */
  removeClass(label) {
    const pictures = this.pictures.filter((each) => each.label !== label);
    const lower = pictures.map((each) => each.label > label ? { ...each, label: each.label - 1 } : each);
    this.to({ classes: this.classes.filter((_, k) => k !== label), pictures: lower });
  }

  /**
   * @param {number} label
   * @param {string} name
   * @param {object | null} step
   */
  rename(label, name, step = null) {
    const given = tidy(name);
    if (given === this.classes[label].name) return;
    this.to({ classes: this.classes.map((each, k) => k === label ? { ...each, name: given } : each) }, step);
  }

  // Say what stands in the way of training, or nothing.
  problem() {
    const names = this.classes.map(({ name }) => name);
    const unnamed = names.indexOf("");
    if (unnamed >= 0) return `Class ${unnamed + 1} has no name. Give it one.`;
    const twice = names.find((name, k) => names.indexOf(name) < k);
    if (twice) return `Two classes have the name “${twice}”. Give each its own.`;
    const counts = names.map((_, k) => this.inClass(k).length);
    const few = counts.findIndex((count) => count < 2);
    if (few < 0) return "";
    const least = "each class needs at least 2, one to train on and one to hold back";
    return `“${names[few]}” has ${
      several(counts[few], "picture")
    }; ${least}. Add pictures, or use the examples.`;
  }
}
