// The third part of the page: the networks name what is drawn, while it is drawn.

import { key } from "./charts.js";
import { button, make } from "./common.js";
import { readImages } from "./images.js";
import { dropped, Pad, picker } from "./pad.js";
import { maps } from "./session_figures.js";

/** @import { Question } from "./engine.js" */
/** @import { Picture } from "./images.js" */
/** @import { Session } from "./session.js" */
/** @import { Maps } from "./training.js" */

const PAD = "Pad for a symbol to be named. Draw with mouse, finger or pen; " +
  "without one, take an example or an image file.";

export class Trying {
  /**
   * @param {Picture[]} examples
   * @param {() => Session | null} session that of a worker that runs
   * @param {(question: Question) => void} send
   */
  constructor(examples, session, send) {
    this.examples = examples;
    this.session = session;
    this.send = send;
    this.tried = 0;
    this.naming = false;
    this.waiting = false;
    this.pad = new Pad(PAD, () => this.ask());
    this.chances = make("div", { class: "tlx-arms" });
    this.top = make(
      "p",
      { "aria-live": "polite" },
      "Train first: then the networks name what you draw here.",
    );
    this.which = make("select", { onchange: () => this.ask() });
    this.layers = make("div", { class: "tlx-maps" });
    const { opener, input } = picker("Image …", { accept: "image/*" }, (files) => this.tryFile(files));
    const example = button("Another example", () => this.tryExample());
    const clear = button("Clear", () => this.pad.clear());
    const actions = make("div", { class: "tlx-actions" }, example, opener, input, clear);
    const place = make("div", { class: "tlx-class" }, this.pad.canvas, actions);
    dropped(place, (files) => this.tryFile(files));
    const summary = make("summary", {}, "What it sets off in the layers");
    const label = make("label", {}, "in the network ", this.which);
    this.looked = make("details", { ontoggle: () => this.ask() }, summary, label, this.layers);
    const side = make("div", {}, this.top, this.chances);
    const title = make("p", { class: "tlx-sentence" }, "3. Draw one more, and watch");
    this.nodes = [title, make("div", { class: "tlx-try" }, place, side), this.looked];
  }

  // The networks of a new training, or none.
  begin() {
    const arms = this.session()?.arms ?? [];
    this.which.replaceChildren(...arms.map(({ name }, i) => make("option", { value: i }, name)));
  }

  tryExample() {
    this.pad.show(this.examples[this.tried % this.examples.length]);
    this.tried += 1;
  }

  /** @param {File[]} files */
  async tryFile(files) {
    if (!files.length) return;
    const { images, wrong } = await readImages(files.slice(0, 1));
    if (images.length) this.pad.show(images[0]);
    else this.top.textContent = wrong[0];
  }

  // Ask for names, one question at a time; of those that wait, only the newest counts.
  ask() {
    if (!this.session()) return;
    this.waiting = this.naming;
    if (this.naming) return;
    const image = this.pad.image();
    if (!image) {
      this.chances.replaceChildren();
      this.layers.replaceChildren();
      this.top.textContent = "The pad is empty. Draw, and the networks say what they see.";
      return;
    }
    this.naming = true;
    this.send({ do: "name", image, which: Number(this.which.value) });
  }

  /**
   * @param {number[][]} chances by network, by class
   * @param {Maps[]} layers
   */
  named(chances, layers) {
    const session = this.session();
    this.naming = false;
    if (session && chances.length === session.arms.length && chances[0].length === session.names.length) {
      this.show(session, chances);
      if (this.looked.open) this.layers.replaceChildren(...layers.map(maps));
    }
    if (this.waiting) this.ask();
  }

  /**
   * @param {Session} session
   * @param {number[][]} chances
   */
  show({ arms, names }, chances) {
    const bar = (/** @type {string} */ name, /** @type {number} */ chance) => {
      const meter = make("meter", { min: 0, max: 1, value: chance, "aria-label": name });
      const share = make("span", {}, `${Math.round(100 * chance)} %`);
      return make("div", { class: "tlx-chance" }, make("span", {}, name), meter, share);
    };
    const cards = arms.map(({ name, look }, i) => {
      const title = make("span", { class: "tlx-title" }, key(look), name);
      return make("div", { class: "tlx-arm" }, title, ...names.map((each, k) => bar(each, chances[i][k])));
    });
    this.chances.replaceChildren(...cards);
    const tops = chances.map((its) => names[its.indexOf(Math.max(...its))]);
    const words = arms.map(({ name }, i) => `${name}: ${tops[i]}`).join("; ");
    if (this.top.textContent !== words) this.top.textContent = words;
  }
}
