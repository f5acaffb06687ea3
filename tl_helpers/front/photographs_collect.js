// The first part of the page: classes with their pictures, and the ways in which pictures come and go.

import { button, make } from "./common.js";
import { several, sum } from "./numbers.js";
import { LEAST_CLASSES, MOST_CLASSES } from "./photographs_album.js";
import { Alike } from "./photographs_alike.js";
import { Card } from "./photographs_card.js";
import { receives } from "./photographs_files.js";
import { archived } from "./photographs_folder.js";
import { Queue } from "./photographs_queue.js";
import { thumb } from "./photographs_read.js";
import { Store } from "./photographs_store.js";
import { Ways } from "./photographs_ways.js";

/** @import { Camera } from "./photographs_camera.js" */
/** @import { Picture } from "./photographs_album.js" */
/** @import { Shared } from "./photographs.js" */
/** @import { Kept } from "./photographs_store.js" */

const KEPT = /** @type {Record<Kept, string>} */ ({
  saving: "Keeping your pictures in this browser …",
  kept:
    "Your pictures are kept in this browser, for your next visit to this page. “Clear all” takes them away.",
  elsewhere:
    "These pictures are also open elsewhere in this browser, which keeps one album for the next visit: " +
    "that of the place changed last. Export what you want to see again.",
  no: "This browser keeps nothing for this page. Export your pictures if you want to see them again.",
});
const WAYS =
  "Add files to a class, drop or paste pictures, or take them with the camera. A folder brings a class, or, " +
  "if it holds folders, a class for each of them. Click pictures to choose them; then delete or move them. " +
  "Of each picture the page keeps the middle square, 128 × 128 pixels.";
const PRIVATE =
  "Your pictures stay in this browser. The page sends nothing: reading, training and naming are done here. " +
  "To see it for yourself, open the developer tools (F12), choose Network, and add a picture: no request appears. " +
  "Or load the networks in part 2, then switch off your connection: all goes on as before.";

export class Collect {
  /**
   * @param {Shared} shared
   * @param {string} place by which the browser keeps the pictures
   */
  constructor({ album, content, root }, place) {
    this.album = album;
    this.root = root;
    this.cards = /** @type {Map<number, Card>} */ (new Map());
    this.thumbs = /** @type {Map<number, HTMLElement>} */ (new Map());
    this.last = /** @type {Card | null} */ (null); // the class that was used last
    const say = (/** @type {string} */ words, status = "") => this.say(words, status);
    this.store = new Store(place, (kept) => this.tellKept(kept));
    this.queue = new Queue(album, say);
    this.ways = new Ways(album, content.examples, this.queue, say);
    this.alike = new Alike(album, (ids) => this.thin(ids));
    this.status = make("p", { class: "tlx-status", role: "status", "aria-live": "polite" });
    this.memory = make("p", { class: "tlx-why" });
    this.grid = make("div", { class: "tlx-classes" });
    this.another = button("Another class", () => this.addClass());
    this.back = button("Undo", () => this.undo());
    this.nodes = [this.built()];
    this.paste = (/** @type {ClipboardEvent} */ event) => this.pasted(event);
    document.addEventListener("paste", this.paste);
    receives(root, (transfer) => this.ways.addTransfer(transfer, null));
    album.listen(() => this.update());
  }

  built() {
    const title = make("p", { class: "tlx-sentence" }, "1. Collect pictures");
    const from = make("div", { class: "tlx-actions" }, ...this.ways.nodes);
    const ends = [button("Export zip", () => this.give()), button("Clear all", () => this.clear())];
    const row = make("div", { class: "tlx-actions" }, this.another, this.back, ...ends);
    const summary = make("summary", {}, "Nothing leaves this page. How can you see that?");
    const seen = make("details", {}, summary, make("p", {}, PRIVATE));
    const notes = [this.queue.node, this.status, this.alike.node, this.memory, seen];
    const parts = [title, make("p", {}, WAYS), from, this.grid, row, ...notes];
    const node = make("div", { class: "tlx-photos-collect" }, ...parts);
    node.addEventListener("focusin", ({ target }) => {
      const used = [...this.cards.values()].find((card) => card.node.contains(/** @type {Node} */ (target)));
      this.last = used ?? this.last;
    });
    return node;
  }

  // Show what was kept; until it is known, nothing can be changed.
  async begin() {
    this.update();
    this.nodes[0].inert = true;
    const kept = await this.store.read();
    this.nodes[0].inert = false;
    if (!kept) return;
    this.album.restore(kept.names, kept.rows);
    if (kept.rows.length) {
      this.say(`${several(kept.rows.length, "picture")} of your last visit are here again.`);
    }
  }

  /** @param {string} words */
  say(words, status = "") {
    this.status.textContent = words;
    this.status.dataset.status = status;
  }

  /** @param {Kept} kept */
  tellKept(kept) {
    this.memory.textContent = KEPT[kept];
    this.memory.dataset.kept = kept;
  }

  update() {
    const { classes, past, pictures } = this.album;
    const gone = new Set(this.cards.keys());
    const wanted = classes.map(({ id }) => {
      const card = this.cards.get(id) ?? new Card(this, id);
      this.cards.set(id, card);
      gone.delete(id);
      return card.node;
    });
    for (const id of gone) {
      this.cards.get(id)?.end();
      this.cards.delete(id);
    }
    const { children } = this.grid;
    if (children.length !== wanted.length || wanted.some((node, i) => children[i] !== node)) {
      this.grid.replaceChildren(...wanted);
    }
    this.alike.update();
    for (const { id } of classes) this.cards.get(id)?.update(classes.length <= LEAST_CLASSES);
    this.another.disabled = classes.length >= MOST_CLASSES;
    this.back.disabled = !past.length;
    const there = new Set(pictures.map(({ id }) => id));
    for (const id of this.thumbs.keys()) if (!there.has(id)) this.thumbs.delete(id);
    if (past.length || pictures.length) this.store.save(this.album.state);
  }

  /**
   * A picture to choose; it stays the same while the picture is there.
   * @param {Picture} picture
   * @param {string} place among those of its class
   */
  thumbOf({ id, pixels, name }, place) {
    const node = this.thumbs.get(id) ??
      make(
        "div",
        { role: "option", class: "tlx-photos-thumb", draggable: "true", "data-id": id },
        thumb(pixels),
      );
    this.thumbs.set(id, node);
    const like = this.alike.others.get(id);
    const words = like ? `, like ${several(like, "other")}` : "";
    node.setAttribute("aria-label", `${place}, ${name}${words}`);
    node.title = name + words;
    node.dataset.alike = String(Boolean(like));
    return node;
  }

  // --- Adding

  /** @param {ClipboardEvent} event */
  pasted(event) {
    const { activeElement } = document;
    const here = activeElement === document.body || this.root.contains(activeElement);
    if (!here || !event.clipboardData?.files.length) return;
    event.preventDefault();
    const [first] = this.album.classes;
    this.ways.addTransfer(
      event.clipboardData,
      this.last && this.cards.has(this.last.id) ? this.last.id : first.id,
    );
  }

  /** @param {Camera} but */
  closeCameras(but) {
    for (const { camera } of this.cards.values()) if (camera !== but && camera.on) camera.close();
  }

  // --- Changing

  addClass() {
    const taken = this.album.classes.map(({ name }) => name);
    const names = ["third", "fourth", "fifth", "sixth", "seventh", "eighth", "first", "second"];
    const label = this.album.addClass(names.find((each) => !taken.includes(each)) ?? "another");
    const card = this.cards.get(this.album.classes[label].id);
    card?.name.focus();
    card?.name.select();
  }

  /** @param {number} id */
  removeClass(id) {
    const label = this.album.classes.findIndex((each) => each.id === id);
    const count = several(this.album.inClass(label).length, "picture");
    this.say(`“${this.album.names[label]}” and its ${count} are gone. Undo brings them back.`);
    this.album.removeClass(label);
    this.back.focus();
  }

  /**
   * Of pictures that are alike, keep one.
   * @param {number[]} ids of the others
   */
  thin(ids) {
    this.delete(ids);
    this.back.focus();
  }

  /** @param {number[]} ids */
  delete(ids) {
    this.album.remove(ids);
    this.say(
      `${several(ids.length, "picture")} deleted. Undo brings ${ids.length === 1 ? "it" : "them"} back.`,
    );
  }

  /**
   * @param {number[]} ids
   * @param {number} to the class
   */
  move(ids, to) {
    const label = this.album.classes.findIndex(({ id }) => id === to);
    if (label < 0) return;
    this.album.move(ids, label);
    this.say(`${several(ids.length, "picture")} moved to “${this.album.names[label]}”.`);
  }

  undo() {
    const before = this.album.pictures.length;
    if (!this.album.undo()) return;
    const now = this.album.pictures.length;
    const change = now === before ? "" : ` ${several(now, "picture")} now, ${before} before.`;
    this.say(`The last change is undone.${change}`);
    if (this.back.disabled) this.another.focus();
  }

  clear() {
    this.queue.stop();
    this.album.to(this.album.none());
    this.say(
      "All pictures are gone, here and in this browser's memory. Until you leave the page, Undo brings them back.",
    );
  }

  // --- Taking along

  async give() {
    const { album } = this;
    const count = album.pictures.length;
    if (!count) return this.say("There is nothing to export yet. Add pictures, or press “Use the examples”.");
    const bytes = await archived(album, (done) => {
      if (done % 50 === 0) this.say(`Packing: ${done} of ${count} pictures …`);
    });
    const address = URL.createObjectURL(new Blob([bytes], { type: "application/zip" }));
    make("a", { href: address, download: "photographs.zip" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    const counts = album.classes.map((_, k) => album.inClass(k).length);
    const few = counts.findIndex((each) => each < 3);
    const next = few < 0
      ? "Unpack it into a folder “photographs”; data.from_folder reads that."
      : `data.from_folder will ask for 3 pictures of each class; “${album.names[few]}” has ${counts[few]}.`;
    this.say(`photographs.zip with ${several(sum(counts), "picture")} is yours. ${next}`);
  }

  end() {
    document.removeEventListener("paste", this.paste);
    this.queue.stop();
    for (const card of this.cards.values()) card.end();
    this.store.end();
  }
}
