// What a training says: figures, tables and sentences that stand below its buttons.

import { make } from "./common.js";
import { curveFigure, curveTable, shareFigure, shareTable } from "./photographs_figures.js";
import { heldBack, verdicts, worth } from "./photographs_words.js";

/** @import { Looks } from "./charts.js" */
/** @import { Outcome } from "./photographs_outcome.js" */

const CURVED = [0, 1]; // networks with a learning curve

export class Report {
  /**
   * @param {string[]} arms
   * @param {Looks} looks
   */
  constructor(arms, looks) {
    this.arms = arms;
    this.looks = looks;
    this.results = make("div");
    this.verdict = make("ul", { class: "tlx-verdict" });
    this.held = make("p", { class: "tlx-note" });
    this.labels = make("div");
    this.nodes = /** @type {HTMLElement[]} */ ([this.results, this.verdict, this.held, this.labels]);
  }

  /** @param {Outcome} outcome */
  show(outcome) {
    const { looks } = this;
    this.held.textContent = heldBack(outcome);
    const shares = outcome.tested
      ? [make("div", { class: "tlx-figures" }, shareFigure(outcome, looks), shareTable(outcome))]
      : [];
    this.results.replaceChildren(...shares);
    this.verdict.replaceChildren(...verdicts(outcome).map((words) => make("li", {}, words)));
    const { curve } = outcome;
    if (!curve.length && !outcome.ended) return; // the curve before stays until there is a new one
    this.labels.replaceChildren(...(curve.length ? this.curve(outcome) : []));
  }

  /** @param {Outcome} outcome */
  curve({ curve }) {
    const arms = CURVED.map((arm) => this.arms[arm]);
    const title = make("p", { class: "tlx-sentence" }, "How many labels is it worth?");
    const figure = curveFigure(curve, arms, this.looks);
    const note =
      "Each point is a mean over draws: so many pictures of each class to train on, others to test. The " +
      "line grows to the right as you add pictures to the class that has fewest.";
    const words = [make("p", {}, worth(curve, arms)), make("p", { class: "tlx-facts" }, note)];
    const body = make("div", { class: "tlx-photos-beside" }, ...words, curveTable(curve, arms));
    return [title, make("div", { class: "tlx-figures" }, figure, body)];
  }
}
