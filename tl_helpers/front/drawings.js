// The reader's drawings: classes of them, what the browser keeps, and the archive that Python reads.

import { fromGrey, PIXELS, SIDE, toBytes, toText } from "./images.js";
import { npy, npyOfStrings, unpackedNpy } from "./npz.js";
import { several, sum } from "./numbers.js";
import { joined, packed, unzipped, zipped } from "./zip.js";

/** @import { Picture } from "./images.js" */
/** @typedef {{ id: number, name: string, images: Picture[] }} Group a class with its drawings */

const STORE = "tlx-drawings";
export const LEAST_CLASSES = 2;
export const MOST_CLASSES = 6;
export const MOST_DRAWINGS = 60; // of one class
export const LONGEST_NAME = 40;

const texts = /** @type {WeakMap<Picture, string>} */ (new WeakMap()); // of images, which never change

/** @param {Picture} image */
function textOf(image) {
  const text = texts.get(image) ?? toText(image);
  texts.set(image, text);
  return text;
}

// No state is changed in place, so undoing is going back to an earlier one.
export class Drawings {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    this.past = /** @type {Group[][]} */ ([]);
    this.count = 0;
    this.kept = true;
    this.alone = true;
    this.told = /** @type {string | null} */ (null);
    this.classes = this.restored() ?? this.none();
  }

  /**
   * @param {string} name
   * @param {Picture[]} images
   * @returns {Group}
   */
  fresh(name, images = []) {
    return { id: this.count += 1, name, images };
  }

  none() {
    return ["first", "second"].map((name) => this.fresh(name));
  }

  /** @param {number} id */
  find(id) {
    return this.classes.find((each) => each.id === id);
  }

  // All drawings, and the class of each.
  rows() {
    const images = this.classes.flatMap((each) => each.images);
    return { images, labels: this.classes.flatMap((each, k) => each.images.map(() => k)) };
  }

  /** @param {Group[]} classes */
  to(classes) {
    this.past = [...this.past.slice(-49), this.classes];
    this.set(classes);
  }

  /** @param {Group[]} classes */
  set(classes) {
    this.classes = classes;
    this.save();
    this.changed();
  }

  /**
   * @param {number} id
   * @param {(group: Group) => Partial<Group>} edited
   */
  edit(id, edited) {
    this.to(this.classes.map((each) => (each.id === id ? { ...each, ...edited(each) } : each)));
  }

  undo() {
    const before = this.past.pop();
    if (before) this.set(before);
  }

  /**
   * Add images to a class; return how many found no room.
   * @param {Group} group
   * @param {Picture[]} images
   */
  add({ id, images: there }, images) {
    const room = MOST_DRAWINGS - there.length;
    if (room > 0 && images.length) this.edit(id, () => ({ images: [...there, ...images.slice(0, room)] }));
    return Math.max(0, images.length - room);
  }

  save() {
    const told = JSON.stringify(
      this.classes.map(({ name, images }) => ({ name, images: images.map(textOf) })),
    );
    try {
      this.alone = this.alone && localStorage.getItem(STORE) === this.told; // or another view has kept its own
      localStorage.setItem(STORE, told);
      this.kept = true;
      this.told = told;
    } catch {
      this.kept = false; // private window, or full
    }
  }

  forget() {
    try {
      localStorage.removeItem(STORE);
      this.told = null;
    } catch {
      // nothing is kept there
    }
  }

  restored() {
    try {
      this.told = localStorage.getItem(STORE);
      const stored = /** @type {{ name: string, images: string[] }[]} */ (JSON.parse(this.told ?? "null"));
      const classes = stored.slice(0, MOST_CLASSES).map(({ name, images }) => {
        return this.fresh(String(name), images.map(toBytes));
      });
      const whole = classes.every(({ images }) => images.every((image) => image.length === PIXELS));
      return whole && classes.length >= LEAST_CLASSES ? classes : null;
    } catch {
      return null; // nothing was kept, or something else
    }
  }

  // Say what stands in the way of training, or nothing.
  problem() {
    const names = this.classes.map(({ name }) => name.trim());
    const unnamed = names.indexOf("");
    if (unnamed >= 0) return `Class ${unnamed + 1} has no name. Give it one.`;
    const twice = names.find((name, i) => names.indexOf(name) < i);
    if (twice) return `Two classes have the name “${twice}”. Give each its own.`;
    const few = this.classes.find(({ images }) => images.length < 2);
    if (!few) return "";
    const least = "each class needs at least 2, one to train on and one to hold back";
    return `“${few.name}” has ${
      several(few.images.length, "drawing")
    }; ${least}. Draw, or press “Use the examples”.`;
  }

  archive() {
    const { images, labels } = this.rows();
    return zipped({
      "images.npy": npy("|u1", [images.length, SIDE, SIDE, 3], joined(images)),
      "labels.npy": npy("<i4", [labels.length], packed("4".repeat(labels.length), labels)),
      "class_names.npy": npyOfStrings(this.classes.map(({ name }) => name)),
    });
  }

  /**
   * Read an archive into classes; return them with the number of drawings that found no room.
   * @param {Picture} bytes
   */
  async read(bytes) {
    const files = await unzipped(bytes);
    for (const name of ["images", "labels"]) {
      if (!files[`${name}.npy`]) throw new Error(`it holds no array “${name}”`);
    }
    const images = imagesIn(files["images.npy"]);
    const labels = unpackedNpy(files["labels.npy"]).values;
    if (labels.length !== images.length) {
      throw new Error(`it holds ${several(images.length, "image")} and ${several(labels.length, "label")}`);
    }
    const all = [...labels].map(String);
    const named = files["class_names.npy"] && [...unpackedNpy(files["class_names.npy"]).values];
    const names = (named ?? [...new Set(all)].sort()).map(String);
    const numbers = named ? names.map((_, k) => String(k)) : names;
    if (names.length < LEAST_CLASSES || names.length > MOST_CLASSES) {
      const range = `${LEAST_CLASSES} to ${MOST_CLASSES}`;
      throw new Error(`it has ${several(names.length, "class")}; here ${range} are drawn`);
    }
    if (!all.every((label) => numbers.includes(label))) throw new Error("a label in it names no class");
    const groups = numbers.map((number) => images.filter((_, i) => all[i] === number));
    const classes = groups.map((its, k) => {
      return this.fresh(names[k].slice(0, LONGEST_NAME), its.slice(0, MOST_DRAWINGS));
    });
    return { classes, left: sum(groups.map((its) => Math.max(0, its.length - MOST_DRAWINGS))) };
  }
}

/**
 * The images in an .npy file, grey ones made coloured.
 * @param {Picture} bytes
 */
function imagesIn(bytes) {
  const { dtype, shape, values } = unpackedNpy(bytes);
  const grey = shape.length === 3;
  const fits = shape[1] === SIDE && shape[2] === SIDE && (grey || (shape.length === 4 && shape[3] === 3));
  if (!(values instanceof Uint8Array) || !fits) {
    const expected = `expected uint8 of shape (N, ${SIDE}, ${SIDE}, 3)`;
    throw new Error(`its images are ${dtype} of shape (${shape.join(", ")}); ${expected}`);
  }
  const size = grey ? SIDE * SIDE : PIXELS;
  return Array.from({ length: shape[0] }, (_, i) => {
    const image = values.slice(i * size, (i + 1) * size);
    return grey ? fromGrey(image) : image;
  });
}
