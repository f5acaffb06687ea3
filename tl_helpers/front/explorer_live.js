// Training in the kernel: a seed, a learning rate, Train and Stop, and what the kernel says.

import { button, make, noSeed, offer, seedIn } from "./common.js";
import { write } from "./explorer_records.js";

/** @import { Model } from "./common.js" */
/** @import { Choice, Records, Run } from "./explorer_records.js" */
/**
 * The state of the training, as Python tells it.
 * @typedef {object} State
 * @property {string} status
 * @property {string} message
 * @property {Choice | null} choice
 * @property {number} seed
 * @property {number} rate
 * @property {string} code
 * @property {number[]} steps
 * @property {number} total
 * @property {number[]} accuracy
 * @property {number | null} test
 */

const RATES = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2];
const PATIENCE = 5; // seconds that the kernel has to answer
const SILENT =
  `The kernel has not answered for ${PATIENCE} seconds. If it was restarted, run this cell again. ` +
  "If another cell is running, wait until it ends.";
const GONE =
  "The kernel that this explorer trained in is gone: it was restarted or stopped. To train, run this " +
  "cell again. What is drawn here was computed before.";

export class Live {
  /**
   * @param {Model} model
   * @param {Records} records
   * @param {() => Choice} choice what is chosen now
   * @param {() => void} changed
   */
  constructor(model, records, choice, changed) {
    this.model = model;
    this.records = records;
    this.choice = choice;
    this.changed = changed;
    this.asked = /** @type {number | null} */ (null);
    this.lost = "";
    this.refusal = "";
    this.wanted = "";
    const whole = { min: 0, max: 2 ** 31 - 1, step: 1, value: 0 };
    this.seed = make("input", { type: "number", ...whole, oninput: () => this.refuse("") });
    this.rate = make("select", { onchange: () => (this.wanted = this.rate.value) });
    this.train = button("Train", () => this.begin());
    this.train.className = "tlx-train";
    this.stop = button("Stop", () => this.ask({ do: "stop" }));
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "Training progress" });
    this.status = make("p", { class: "tlx-status", "aria-live": "polite" });
    const fields = [make("label", {}, "Seed ", this.seed), make("label", {}, "Learning rate ", this.rate)];
    const row = make("div", { class: "tlx-actions" }, ...fields, this.train, this.stop, this.bar);
    this.node = make("div", { class: "tlx-live" }, row, this.status);
    model.on?.("change:live", () => this.settle());
    model.on?.("msg:custom", ({ heard }) => heard && this.settle());
    model.on?.("comm_live_update", () => this.ask({ do: "answer" })); // the kernel restarts, or comes back
  }

  /** @returns {State} */
  state() {
    return this.model.get("live");
  }

  // The run in the kernel, if it is one of what is chosen and has points to draw.
  drawn() {
    const state = this.state();
    return state.choice && state.steps.length && write(state.choice) === write(this.choice()) ? state : null;
  }

  /** @param {string} words */
  refuse(words) {
    this.refusal = words;
    this.changed();
  }

  begin() {
    const seed = seedIn(this.seed);
    if (seed === null) return this.refuse(noSeed(this.seed));
    this.refusal = "";
    const rate = this.wanted === "" ? null : Number(this.wanted);
    this.ask({ do: "train", ...this.choice(), seed, rate });
  }

  /**
   * Send a message; a kernel that was restarted knows nothing of this widget, and says nothing.
   * @param {object} message
   */
  ask(message) {
    if (this.asked !== null) clearTimeout(this.asked);
    this.asked = setTimeout(() => this.settle(SILENT), 1000 * PATIENCE);
    this.reach(() => this.model.send?.(message));
    this.changed();
  }

  /**
   * JupyterLab refuses to send once it knows that the kernel was restarted or stopped.
   * @param {() => void} send
   */
  reach(send) {
    try {
      send();
    } catch {
      this.settle(GONE);
    }
  }

  settle(lost = "") {
    if (this.asked !== null) clearTimeout(this.asked);
    this.asked = null;
    this.lost = lost;
    this.changed();
  }

  /** @param {Run | null} run what was recorded of the choice */
  show(run) {
    const { status, steps, total } = this.state();
    const waiting = this.asked !== null;
    const busy = (status === "loading" || status === "training") && !this.lost;
    this.train.disabled = busy || waiting || !run;
    this.stop.disabled = !busy || waiting;
    this.bar.value = steps.length ? steps[steps.length - 1] / total : 0;
    const rates = [...new Set([...RATES, ...(run ? [run.rate] : [])])].sort((a, b) => a - b);
    const options = rates.map((value) => ({ value, words: String(value) }));
    const recorded = (/** @type {number} */ value) => ({ value: "", words: `${value} (recorded)` });
    const listed = options.map((each) => (each.value === run?.rate ? recorded(each.value) : each));
    offer(this.rate, listed, Number(this.wanted) === run?.rate ? "" : this.wanted);
    const { words, kind } = this.said(waiting);
    this.status.textContent = words;
    this.status.dataset.status = kind;
  }

  /** @param {boolean} waiting */
  said(waiting) {
    const { choice, message, status } = this.state();
    const trouble = this.refusal || this.lost;
    if (trouble) return { words: trouble, kind: "error" };
    if (waiting) return { words: "Waiting for the kernel …", kind: "loading" };
    const elsewhere = choice && write(choice) !== write(this.choice());
    const words = elsewhere ? `${message} This was: ${this.records.whole(choice)}.` : message;
    return { words, kind: status };
  }
}
