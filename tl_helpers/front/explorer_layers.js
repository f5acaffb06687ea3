// The network in the explorer: a box and a list for each layer, which set what is copied, frozen and trained.

import { make, offer } from "./common.js";
import { WORDS } from "./explorer_records.js";

/** @import { Choice, Records } from "./explorer_records.js" */

const HEAD =
  "The head is always new: its outputs are the classes of the target, which the source does not know. " +
  "It starts at zero and is trained.";

/**
 * @param {HTMLElement} box
 * @param {string} state
 * @param {{ name: string, output: string, parameters: number }} layer
 * @param {string} words
 */
function fill(box, state, { name, output, parameters }, words) {
  box.dataset.state = state;
  const weights = `${parameters.toLocaleString("en")} weights`;
  const lines = [make("span", {}, output), make("span", {}, weights), make("em", {}, words)];
  box.replaceChildren(make("strong", {}, name), ...lines);
}

export class Layers {
  /**
   * @param {Records} records
   * @param {() => Choice} choice what is chosen now
   * @param {(choice: Choice, note: string) => void} go
   * @param {(words: string) => void} say
   */
  constructor(records, choice, go, say) {
    this.records = records;
    this.choice = choice;
    this.go = go;
    this.say = say;
    this.layers = records.layers.map(({ name }, index) => this.build(name, index));
    this.head = make("button", { type: "button", class: "tlx-box", onclick: () => say(HEAD) });
    const fixed = make("span", { class: "tlx-fixed" }, "always new");
    const columns = [...this.layers.map(({ box, select }) => [box, select]), [this.head, fixed]];
    const nodes = columns.map((column) => make("div", { class: "tlx-layer" }, ...column));
    const role = { role: "group", "aria-label": "Layers, from the image to the classes" };
    this.node = make("div", { class: "tlx-network", ...role }, ...nodes);
    this.why = make("div", { class: "tlx-why" });
  }

  /**
   * @param {string} name
   * @param {number} index
   */
  build(name, index) {
    const box = make("button", { type: "button", class: "tlx-box", onclick: () => this.next(index) });
    const select = make("select", { "aria-label": `State of ${name}` });
    select.addEventListener("change", () => this.take(index, select.value));
    return { box, select };
  }

  // A click leads to the next state that the method goes with.
  next(/** @type {number} */ index) {
    const at = "FTRZ".indexOf(this.choice().states[index]);
    const others = [1, 2, 3].map((step) => "FTRZ"[(at + step) % 4]);
    const state = others.find((each) => this.records.reached(this.choice(), index, each));
    if (state) this.take(index, state);
    else this.say(this.whyFixed());
  }

  /**
   * @param {number} index
   * @param {string} state
   */
  take(index, state) {
    const choice = this.choice();
    const states = this.records.reached(choice, index, state);
    if (states === null) return this.say(this.whyFixed());
    const others = this.records.layers.filter((_, i) => i !== index && states[i] !== choice.states[i]);
    const moved = others.map(({ name }) => name).join(" and ");
    const what = state === "F" || state === "Z" ? "Frozen" : "Copied";
    const beginning =
      `${what} layers are always the first ones: what a layer has learned fits the input that it ` +
      "learned it on.";
    const plain = choice.method === "plain";
    const rule = plain ? beginning : this.whyFixed();
    const follow = plain && others.length === 1 ? "follows" : "follow";
    this.go({ ...choice, states }, moved ? `${moved} ${follow}. ${rule}` : "");
  }

  // Why layers cannot take every state; nothing where they can.
  whyFixed() {
    const { method } = this.choice();
    if (method === "plain") return "";
    const forms = this.records.statesOf(method).map((states) => this.records.told(states));
    return `${method} goes with ${forms.join(", or with ")}. Choose the method “plain” to set single layers.`;
  }

  update() {
    const { records } = this;
    const choice = this.choice();
    this.layers.forEach(({ box, select }, i) => {
      const state = choice.states[i];
      fill(box, state, records.layers[i], WORDS[state]);
      const options = Object.entries(WORDS).map(([value, words]) => {
        const off = !records.reached(choice, i, value);
        return { value, words: off ? `${words} (not with ${choice.method})` : words, off };
      });
      offer(select, options, state);
      select.disabled = options.filter(({ off }) => !off).length === 1;
      select.title = this.whyFixed();
    });
    this.why.textContent = this.whyFixed();
    const { head, classes } = records.pair[choice.pair];
    fill(this.head, "R", { name: "head", output: String(classes), parameters: head }, "new, trained");
  }
}
