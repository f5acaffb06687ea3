// The second part of the page: which networks train, and how they fare.

import { key } from "./charts.js";
import { button, listOf, make, noSeed, seedIn } from "./common.js";
import { seconds, several, sum } from "./numbers.js";
import { partsOf, Session } from "./session.js";
import { curves, shares } from "./session_figures.js";
import { sizesOf } from "./trunk.js";
import { joined } from "./zip.js";

/** @import { Look, Looks } from "./charts.js" */
/** @import { Drawings } from "./drawings.js" */
/** @import { Question } from "./engine.js" */
/** @import { Arm } from "./session.js" */
/** @import { Point, Recipe } from "./training.js" */
/** @import { Architecture } from "./trunk.js" */
/** @typedef {Recipe & { name: string }} Offer a network that Python offers */
/**
 * @typedef {object} Field what is chosen for a network
 * @property {Offer} offer
 * @property {Look} look
 * @property {HTMLInputElement} wanted
 * @property {HTMLSelectElement} rate
 * @property {HTMLSelectElement | null} frozen
 * @property {HTMLElement} facts
 * @property {HTMLElement} node
 */

const BATCH = 32;
const POINTS = 20;
const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03];
const HELD = {
  third: "a third of each class",
  turns: "each drawing once, in three parts",
  each: "each drawing once, one at a time",
};

export class Training {
  /**
   * @param {{ network: Architecture, arms: Offer[], looks: Looks }} content
   * @param {Drawings} drawings
   * @param {() => string[]} waiting what stands on pads and was not added
   * @param {(question: Question) => void} send
   */
  constructor({ network, arms, looks }, drawings, waiting, send) {
    this.drawings = drawings;
    this.waiting = waiting;
    this.send = send;
    this.sizes = sizesOf(network);
    const names = network.layers.map(({ name }) => name);
    this.frozen = ["nothing", ...names.map((_, k) => names.slice(0, k + 1).join(" and "))];
    this.frozen[names.length] = "all but the head";
    this.session = /** @type {Session | null} */ (null);
    this.begun = 0;
    this.fields = arms.map((offer) => this.field(offer, looks[offer.name]));
    this.held = listOf(Object.entries(HELD), "third");
    this.steps = listOf([30, 60, 120, 240].map((each) => [each, each]), 60);
    this.seed = make("input", { type: "number", min: 0, max: 999, step: 1, value: 0 });
    this.go = button("Train", () => this.train());
    this.go.className = "tlx-train";
    this.halt = button("Stop", () => send({ do: "stop" }));
    this.halt.disabled = true;
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "Training" });
    const first = "Press Train: all that follows happens in this browser.";
    this.status = make("p", { class: "tlx-status", role: "status", "aria-live": "polite" }, first);
    this.figures = make("div", { class: "tlx-figures" });
    this.verdict = make("ul", { class: "tlx-verdict" });
    const labels = [["Hold back ", this.held], ["steps ", this.steps], ["seed ", this.seed]];
    const chosen = labels.map((parts) => make("label", {}, ...parts));
    this.nodes = [
      make("p", { class: "tlx-sentence" }, "2. Train four networks side by side"),
      make("div", { class: "tlx-arms" }, ...this.fields.map(({ node }) => node)),
      make("div", { class: "tlx-controls" }, ...chosen, this.go, this.halt, this.bar),
      this.status,
      this.figures,
      this.verdict,
    ];
  }

  /**
   * @param {Offer} offer
   * @param {Look} look
   * @returns {Field}
   */
  field(offer, look) {
    const wanted = make("input", { type: "checkbox", checked: true, "aria-label": `Train ${offer.name}` });
    const rate = listOf(RATES.map((each) => [each, each]), offer.rate);
    const choices = this.frozen.map((words, k) => /** @type {[number, string]} */ ([k, words]));
    const frozen = offer.name === "fine-tuned" ? listOf(choices, offer.frozen) : null;
    const facts = make("p", { class: "tlx-facts" });
    const depth = frozen
      ? make("label", {}, "frozen: ", frozen)
      : make("span", {}, `frozen: ${this.frozen[offer.frozen]}`);
    const title = make("label", { class: "tlx-title" }, wanted, key(look), offer.name);
    const parts = [title, make("label", {}, "learning rate ", rate), depth, facts];
    const node = make("div", { class: "tlx-arm", role: "group", "aria-label": offer.name }, ...parts);
    return { offer, look, wanted, rate, frozen, facts, node };
  }

  /** @returns {Arm[]} */
  chosen() {
    return this.fields.filter(({ wanted }) => wanted.checked).map(({ offer, look, rate, frozen }) => {
      const depth = Number(frozen?.value ?? offer.frozen);
      const still = frozen && depth === this.sizes.layers.length; // nothing is tuned then
      const name = still ? "copied, frozen" : offer.name;
      return { ...offer, name, look, rate: Number(rate.value), frozen: depth };
    });
  }

  /** @param {string} words */
  tell(words, status = "") {
    this.status.textContent = words;
    this.status.dataset.status = status;
  }

  train() {
    const arms = this.chosen();
    const problem = this.drawings.problem() ||
      (arms.length ? "" : "No network is chosen. Tick at least one.");
    if (problem) return this.tell(problem, "error");
    const seed = seedIn(this.seed);
    if (seed === null) return this.tell(noSeed(this.seed), "error");
    const { images, labels } = this.drawings.rows();
    const names = this.drawings.classes.map(({ name }) => name);
    const parts = partsOf(labels, this.held.value, seed);
    const budget = { steps: Number(this.steps.value), batch: BATCH, points: POINTS };
    const order = { arms, labels, parts, seed, classes: names.length, ...budget };
    this.session = new Session(order, arms, names);
    this.verdict.replaceChildren();
    this.busy(true);
    const left = this.waiting();
    const rest = left.length
      ? ` What is on the pad of ${left.join(", ")} was not added and is left out.`
      : "";
    const many = `${several(arms.length, "network")}, ${several(parts.length, "time")} each`;
    this.tell(`Training ${many}, on ${several(images.length, "drawing")} …${rest}`);
    this.begun = performance.now();
    this.send({ do: "train", order, images: joined(images) });
  }

  /** @param {boolean} training */
  busy(training) {
    this.go.disabled = training;
    this.halt.disabled = !training;
  }

  /** @param {string} words */
  failed(words) {
    this.busy(false);
    const next = "Your drawings are as they were; press Train to begin again.";
    this.tell(`Training ended: ${words}. ${next}`, "error");
  }

  /**
   * @param {Session} session
   * @param {Point} point
   */
  point(session, point) {
    session.take(point);
    this.bar.value = session.share();
    if (point.arm === session.arms.length - 1) this.show(session);
  }

  /** @param {Session} session */
  show(session) {
    const loss = curves(session, "loss", "Training loss");
    const share = curves(session, "share", "Held back: share right", 1);
    this.figures.replaceChildren(loss, share, shares(session));
    for (const { look, facts } of this.fields) {
      const i = session.arms.findIndex((arm) => arm.look === look);
      facts.textContent = i < 0 ? "" : this.facts(session, i);
    }
  }

  /**
   * @param {Session} session
   * @param {number} i
   */
  facts(session, i) {
    const { layers, features } = this.sizes;
    const free = layers.slice(session.arms[i].frozen).map(({ width, to }) => (width + 1) * to);
    const trained = (features + 1) * session.names.length + sum(free);
    const time = session.seconds(i);
    return `${several(trained, "trained number")}${time === null ? "" : `, ${seconds(time)}`}`;
  }

  /**
   * @param {Session} session
   * @param {boolean} stopped
   */
  done(session, stopped) {
    this.busy(false);
    this.bar.value = stopped ? session.share() : 1;
    this.show(session);
    this.verdict.replaceChildren(...session.words().map((words) => make("li", {}, words)));
    const took = seconds((performance.now() - this.begun) / 1000);
    if (stopped) return this.tell(`Stopped after ${took}. What was reached is kept and shown.`);
    const all = session.order.parts.length > 1 ? "all drawings" : "the drawings that were not held back";
    this.tell(`Done in ${took}. The networks below were trained on ${all}.`);
  }
}
