// Draw it, transfer it: pads, examples, four networks that train side by side in a worker, and what they say. The
// worker runs engine.js. Nothing leaves the page.

import { keepKeys, make, seedIn } from "./common.js";
import { Collection } from "./drawing_collect.js";
import { Training } from "./drawing_train.js";
import { Trying } from "./drawing_try.js";
import { fromGrey, SIDE, toBytes } from "./images.js";
import { dropped } from "./pad.js";

/** @import { Looks } from "./charts.js" */
/** @import { Place } from "./common.js" */
/** @import { Offer } from "./drawing_train.js" */
/** @import { Question } from "./engine.js" */
/** @import { Message } from "./training.js" */
/** @import { Architecture } from "./trunk.js" */
/** @typedef {{ names: string[], labels: number[], start: number, images: string }} Packed examples */
/**
 * What Python gives to the page.
 * @typedef {object} Content
 * @property {Architecture} network
 * @property {string} weights
 * @property {Offer[]} arms
 * @property {Looks} looks
 * @property {Packed} examples
 */

/** @param {Packed} packed */
function unpackedExamples({ names, labels, start, images }) {
  const all = toBytes(images);
  const size = SIDE * SIDE;
  const image = (/** @type {number} */ i) => fromGrey(all.subarray(i * size, (i + 1) * size));
  const byClass = names.map((_, k) => [...labels.keys()].filter((i) => labels[i] === k).map(image));
  const first = byClass.map((its) => its.slice(0, start));
  const rest = byClass.flatMap((its) => its.slice(start));
  return { names, start: first, test: rest.length ? rest : first.flat() };
}

class Draw {
  /** @param {Place} place */
  constructor({ model, el }) {
    const content = /** @type {Content} */ (model.get("content"));
    this.content = content;
    this.engine = /** @type {string} */ (model.get("engine"));
    this.worker = /** @type {Worker | null} */ (null);
    const send = (/** @type {Question} */ question) => this.send(question);
    const examples = unpackedExamples(content.examples);
    this.code = make("pre", { tabindex: 0, "aria-label": "Python" });
    this.collection = new Collection(examples, () => (this.code.textContent = this.python()));
    const { drawings } = this.collection;
    this.training = new Training(content, drawings, () => this.collection.waiting(), send);
    this.trying = new Trying(examples.test, () => this.worker && this.training.session, send);
    const summary = make("summary", {}, "4. Go on in Python");
    const how = make("p", {}, "Export, put drawings.npz beside the notebook, and run:");
    const parts = [...this.collection.nodes, ...this.training.nodes, ...this.trying.nodes];
    const last = make("details", {}, summary, how, this.code);
    const root = make(
      "section",
      { class: "tlx tlx-draw", "aria-label": "Draw it, transfer it" },
      ...parts,
      last,
    );
    keepKeys(root);
    root.addEventListener("change", () => (this.code.textContent = this.python()));
    dropped(root, () => this.collection.say("Drop images on one of the classes, or on the pad to try."));
    el.replaceChildren(root);
    this.collection.update();
    this.collection.greet();
  }

  /**
   * Send to the worker. It is made when it is first needed: only then are the weights decoded.
   * @param {Question} question
   */
  send(question) {
    if (!this.worker) {
      const address = URL.createObjectURL(new Blob([this.engine], { type: "text/javascript" }));
      this.worker = new Worker(address);
      URL.revokeObjectURL(address);
      this.worker.onmessage = ({ data }) => this.hear(data);
      this.worker.onerror = (event) => this.failed(event.message);
      const { network, weights } = this.content;
      this.worker.postMessage({ do: "load", network, weights });
    }
    if (question.do === "train") this.trying.begin();
    this.worker.postMessage(question);
  }

  /** @param {Message} message */
  hear(message) {
    const { session } = this.training;
    if (message.do === "failed") return this.failed(message.message);
    if (message.do === "named") return this.trying.named(message.chances, message.maps);
    if (!session) return;
    if (message.do === "point") this.training.point(session, message);
    if (message.do === "done") this.training.done(session, message.stopped);
    this.trying.ask();
  }

  /** @param {string} words */
  failed(words) {
    this.end();
    this.trying.naming = false;
    this.training.failed(words);
  }

  end() {
    this.worker?.terminate();
    this.worker = null;
  }

  python() {
    const { drawings } = this.collection;
    const { seed: field, fields, steps } = this.training;
    const seed = seedIn(field);
    if (seed === null) return "# The seed is no whole number from 0 to 999.";
    const least = Math.min(...drawings.classes.map(({ images }) => images.length));
    if (least < 3) {
      return "# data.from_arrays asks for 3 drawings of each class: one to train, one to validate, one to test.";
    }
    const each = Math.floor((least - Math.floor(least / 3)) / 2);
    const budgets = fields.map(({ rate }) => `learning_rate=${rate.value}, steps=${steps.value}`);
    const [frozen, tuned, scratch, random] = budgets;
    const names = 'class_names=file["class_names"], name="my drawings"';
    return `import numpy as np

from tl_helpers import data, models, transfer

file = np.load("drawings.npz")
drawings = data.from_arrays(file["images"], file["labels"], ${names})
split = data.few_shot(drawings, per_class=${each}, seed=${seed})
source = models.pretrained()
arms = {
    "source features": transfer.feature_extraction(source, split, ${frozen}),
    "fine-tuned": transfer.parameter_transfer(source, split, freeze=${fields[1].frozen?.value}, ${tuned}),
    "from scratch": transfer.from_scratch(split, ${scratch}),
    "random features": transfer.feature_extraction(source, split, initialisation="random", ${random}),
}
for name, arm in arms.items():
    print(f"{name}: {arm.evaluate(split.test).accuracy:.2f} of the {len(split.test)} test drawings right")`;
  }
}

/** @param {Place} place */
function render(place) {
  const page = new Draw(place);
  return () => page.end();
}

export default { render };
