// Says which pictures are the same or nearly, and why that matters.

import { button, make } from "./common.js";
import { several } from "./numbers.js";

/** @import { Album } from "./photographs_album.js" */

export class Alike {
  /**
   * @param {Album} album
   * @param {(ids: number[]) => void} remove
   */
  constructor(album, remove) {
    this.album = album;
    this.others = /** @type {Map<number, number>} */ (new Map()); // for each picture that is like others: how many
    this.note = make("p", { class: "tlx-note" });
    this.thin = button("Keep one of each", () => remove(this.more()));
    this.node = make("div", {}, this.note, this.thin);
  }

  update() {
    const { groups, pictures } = this.album;
    const sizes = /** @type {Map<number, number>} */ (new Map());
    for (const group of groups) sizes.set(group, (sizes.get(group) ?? 0) + 1);
    this.others = new Map();
    pictures.forEach(({ id }, i) => {
      const others = (sizes.get(groups[i]) ?? 1) - 1;
      if (others) this.others.set(id, others);
    });
    const labels = new Map(pictures.map(({ label }, i) => [groups[i], label]));
    const torn = pictures.some(({ label }, i) => labels.get(groups[i]) !== label);
    const words = this.others.size
      ? `${
        several(this.others.size, "picture")
      }, marked ≈, are the same as others, or nearly: a copy, or a burst of ` +
        "one scene. They stay together when pictures are held back, since a network that has seen one knows the other."
      : "";
    const both = torn ? " Some of them are in two classes: one of the labels must be wrong." : "";
    if (this.note.textContent !== words + both) this.note.textContent = words + both;
    this.node.hidden = !words;
    this.thin.disabled = !this.more().length;
  }

  // Of those that are alike in one class, all but the first.
  more() {
    const first = new Set();
    const { groups, pictures } = this.album;
    return pictures.filter(({ label }, i) => {
      const key = `${groups[i]} ${label}`;
      return first.has(key) || !first.add(key);
    }).map(({ id }) => id);
  }
}
