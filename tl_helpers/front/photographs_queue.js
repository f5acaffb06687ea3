// Files that wait to be read, one after the other, so that the page stays free; what is read goes to its class.

import { button, make } from "./common.js";
import { several, sum } from "./numbers.js";
import { LEAST_CLASSES, MOST_CLASSES, MOST_PICTURES, tidy } from "./photographs_album.js";
import { readPicture } from "./photographs_read.js";

/** @import { Album, Taken } from "./photographs_album.js" */
/** @import { Found, Lot } from "./photographs_files.js" */
/** @typedef {Lot & { id: number | null }} Order files, and the class that they go to where one was meant */
/**
 * How an order went.
 * @typedef {{ added: Map<string, number>, wrong: string[], full: number, homeless: number, left: Set<string> }} Report
 */

const PATIENCE = 300; // milliseconds after which what was read is shown
const MANY = 12; // files, from which on progress is shown
const FIRST = ["first", "second"]; // what classes are called that nobody has named

const pause = () => new Promise((resolve) => setTimeout(resolve));

export class Queue {
  /**
   * @param {Album} album
   * @param {(words: string, status?: string) => void} say
   */
  constructor(album, say) {
    this.album = album;
    this.say = say;
    this.running = /** @type {Promise<void>} */ (Promise.resolve());
    this.round = 0; // what was ordered in an earlier one is not read any more
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "Pictures read" });
    this.words = make("span");
    this.node = make(
      "div",
      { class: "tlx-actions", hidden: true },
      this.bar,
      this.words,
      button("Stop reading", () => {
        this.stop();
      }),
    );
  }

  /**
   * Read files behind those that wait.
   * @param {Order[]} orders
   */
  add(orders) {
    const { round } = this;
    this.running = this.running.then(() => this.read(orders, round)).catch((error) => {
      this.say(`Reading failed: ${error instanceof Error ? error.message : error}.`, "error");
    });
    return this.running;
  }

  stop() {
    this.round += 1;
  }

  /**
   * @param {Order[]} orders
   * @param {number} round
   */
  async read(orders, round) {
    /** @type {Report} */
    const report = { added: new Map(), wrong: [], full: 0, homeless: 0, left: new Set() };
    const step = {};
    const count = sum(orders.map(({ files }) => files.length));
    let done = 0;
    for (const order of orders) {
      let taken = /** @type {Taken[]} */ ([]);
      let shown = performance.now();
      for (const found of order.files) {
        if (round !== this.round) break;
        this.show(done, count);
        if (this.fits(order, taken.length, report)) await this.one(found, taken, report);
        done += 1;
        await pause();
        if (performance.now() - shown < PATIENCE) continue;
        this.put(taken, order, step, report);
        taken = [];
        shown = performance.now();
      }
      this.put(taken, order, step, report);
    }
    this.node.hidden = true;
    this.tell(report, count - done);
  }

  /**
   * Whether there is a class for a file, and room.
   * @param {Order} order
   * @param {number} waiting pictures that are read and not yet put there
   * @param {Report} report
   */
  fits({ name, id }, waiting, report) {
    if (name === null && id === null) report.homeless += 1;
    else if (this.album.pictures.length + waiting >= MOST_PICTURES) report.full += 1;
    else if (id === null && this.refused(name ?? "")) report.left.add(name ?? "");
    else return true;
    return false;
  }

  /**
   * @param {Found} found
   * @param {Taken[]} taken
   * @param {Report} report
   */
  async one({ name, read }, taken, report) {
    const file = await read().catch((error) => {
      report.wrong.push(`${name} cannot be read: ${error instanceof Error ? error.message : error}.`);
    });
    if (!file) return;
    try {
      taken.push({ pixels: await readPicture(file), name });
    } catch (error) {
      report.wrong.push(error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * @param {number} done
   * @param {number} count
   */
  show(done, count) {
    if (count < MANY) return;
    if (this.node.hidden) this.say(`Reading ${several(count, "file")} …`);
    this.node.hidden = false;
    this.bar.value = done / count;
    this.words.textContent = `${done} of ${count} files read`;
  }

  /**
   * Whether there is no class of this name, nor room for one.
   * @param {string} name
   */
  refused(name) {
    const { classes } = this.album;
    return this.labelOf(name) < 0 && this.free() < 0 && classes.length >= MOST_CLASSES;
  }

  /** @param {string} name */
  labelOf(name) {
    return this.album.classes.findIndex((each) => each.name === tidy(name));
  }

  // An empty class that nobody has named: the next new class takes its place.
  free() {
    const { classes } = this.album;
    return classes.findIndex(({ name }, k) => FIRST.includes(name) && !this.album.inClass(k).length);
  }

  /**
   * @param {Taken[]} taken
   * @param {Order} order
   * @param {object} step
   * @param {Report} report
   */
  put(taken, { name, id }, step, report) {
    if (!taken.length) return;
    let label = id === null
      ? this.labelOf(name ?? "")
      : this.album.classes.findIndex((each) => each.id === id);
    if (label < 0 && id !== null) return this.stop(); // the class was removed meanwhile
    if (label < 0) {
      label = this.free();
      if (label >= 0) this.album.rename(label, name ?? "", step);
      else label = this.album.addClass(name ?? "", step);
    }
    const added = this.album.add(label, taken, step);
    const shown = this.album.names[label];
    report.added.set(shown, (report.added.get(shown) ?? 0) + added.length);
    report.full += taken.length - added.length;
  }

  /**
   * @param {Report} report
   * @param {number} unread
   */
  tell({ added, wrong, full, homeless, left }, unread) {
    const counts = [...added].map(([name, count]) => `${several(count, "picture")} added to “${name}”`);
    const words = [counts.length ? `${counts.join(", ")}.` : "No picture was added."];
    if (unread) words.push(`Stopped: ${several(unread, "file")} were not read.`);
    if (full) words.push(`The page holds ${MOST_PICTURES} pictures: ${several(full, "file")} found no room.`);
    if (left.size) {
      const names = [...left].map((name) => `“${name}”`).join(", ");
      words.push(
        `The page has ${LEAST_CLASSES} to ${MOST_CLASSES} classes: there was no place for ${names}.`,
      );
    }
    if (homeless) {
      words.push(
        `${several(homeless, "file")} lay in no folder: drop them on a class, or press “Files …” in one.`,
      );
    }
    words.push(...wrong.slice(0, 3));
    if (wrong.length > 3) words.push(`So it is with ${several(wrong.length - 3, "more file")}.`);
    this.say(words.join(" "), wrong.length || left.size || full || homeless ? "error" : "");
  }
}
