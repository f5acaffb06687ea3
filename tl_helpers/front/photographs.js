// Photograph it, transfer it: pictures, networks that learn them in a worker, and what they say. Nothing leaves it.

import { keepKeys, make } from "./common.js";
import { Album } from "./photographs_album.js";
import { Collect } from "./photographs_collect.js";
import { Link } from "./photographs_link.js";
import { Look } from "./photographs_look.js";
import { Take } from "./photographs_take.js";
import { Train } from "./photographs_train.js";
import { Try } from "./photographs_try.js";

/** @import { Looks } from "./charts.js" */
/** @import { Place } from "./common.js" */
/** @import { Network } from "./photographs_engine.js" */
/**
 * Pictures that the page offers: each a file in base64.
 * @typedef {{ names: string[], type: string, told: string, pictures: { label: number, name: string, data: string }[] }}
 *   Examples
 */
/**
 * What Python gives to the page.
 * @typedef {object} Content
 * @property {Network} network
 * @property {{ name: string }[]} arms
 * @property {Looks} looks
 * @property {number} most_classes
 * @property {Examples} examples
 */
/** @typedef {{ nodes: HTMLElement[], end?: () => void }} Part of the page, one below the other */
/** @typedef {{ album: Album, engine: Link, content: Content, root: HTMLElement }} Shared what all parts work with */

class Photograph {
  /** @param {Place} place */
  constructor({ model, el }) {
    const content = /** @type {Content} */ (model.get("content"));
    const root = make("section", { class: "tlx tlx-photos", "aria-label": "Photograph it, transfer it" });
    this.engine = new Link(model);
    const shared = { album: new Album(), engine: this.engine, content, root };
    this.collect = new Collect(shared, `${location.pathname} ${model.get("name") ?? ""}`.trim());
    const train = new Train(shared);
    /** @type {Part[]} */
    this.parts = [
      this.collect,
      train,
      new Look(shared, train),
      new Try(shared, train),
      new Take(shared, train),
    ];
    root.append(...this.parts.flatMap(({ nodes }) => nodes));
    keepKeys(root);
    el.replaceChildren(root);
    this.collect.begin();
  }

  end() {
    for (const part of this.parts) part.end?.();
    this.engine.end();
  }
}

/** @param {Place} place */
function render(place) {
  const page = new Photograph(place);
  return () => page.end();
}

export default { render };
