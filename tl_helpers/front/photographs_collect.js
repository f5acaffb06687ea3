// The first part of the page: classes with their pictures, and the ways in which pictures come and go.

import { button, make } from "./common.js";
import { several } from "./numbers.js";
import { readPicture } from "./photographs_read.js";

/** @import { Shared } from "./photographs.js" */

export class Collect {
  /**
   * @param {Shared} shared
   * @param {string} place by which the browser keeps the pictures
   */
  constructor({ album, content }, place) {
    this.album = album;
    this.content = content;
    this.place = place;
    this.status = make("p", { class: "tlx-status", role: "status", "aria-live": "polite" });
    this.count = make("p");
    const examples = button("Use the examples", () => this.useExamples());
    this.nodes = [
      make("p", { class: "tlx-sentence" }, "1. Collect pictures"),
      examples,
      this.count,
      this.status,
    ];
    album.listen(() => {
      this.count.textContent = album.names.map((name, k) =>
        `${name}: ${several(album.inClass(k).length, "picture")}`
      )
        .join("; ");
    });
  }

  begin() {
    this.album.set(this.album.state);
  }

  async useExamples() {
    const { names, type, pictures } = this.content.examples;
    const taken = await Promise.all(pictures.map(async ({ label, name, data }) => {
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      return { label, name, pixels: await readPicture(new File([bytes], name, { type })) };
    }));
    this.album.begin(names, taken);
    this.status.textContent = `${
      several(taken.length, "example")
    } are here. Undo brings back what was here before.`;
  }

  end() {}
}
