// One training: what it holds back, what was told while it ran, and what that says.

import { coin, mean, several, sum, times, wilson } from "./numbers.js";

/** @import { Look } from "./charts.js" */
/** @import { Order, Part, Point, Recipe } from "./training.js" */
/** @typedef {Recipe & { name: string, look: Look }} Arm */

/**
 * @param {number[]} values
 * @param {number} seed
 */
function mixed(values, seed) {
  let state = seed + 1;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  for (let i = 0; i < 10; i++) random(); // small seeds begin alike
  const keyed = values.map((value) => ({ key: random(), value }));
  return keyed.sort((a, b) => a.key - b.key).map(({ value }) => value);
}

/**
 * Divide drawings into what is trained on and what is held back; a last part that holds nothing back trains on all.
 * @param {number[]} labels
 * @param {string} held "third", "turns" or "each"
 * @param {number} seed
 * @returns {Part[]}
 */
export function partsOf(labels, held, seed) {
  const rows = [...labels.keys()];
  const without = (/** @type {number[]} */ test) => ({
    train: rows.filter((row) => !test.includes(row)),
    test,
  });
  const byClass = [...new Set(labels)].map((label) =>
    mixed(rows.filter((row) => labels[row] === label), seed)
  );
  if (held === "third") {
    return [without(byClass.flatMap((its) => its.slice(0, Math.max(1, Math.floor(its.length / 3)))))];
  }
  const inTurn = (/** @type {number} */ turn) =>
    byClass.flatMap((its) => its.filter((_, i) => i % 3 === turn));
  const tests = held === "each" ? rows.map((row) => [row]) : [0, 1, 2].map(inTurn);
  return [...tests.filter((test) => test.length).map(without), without([])];
}

export class Session {
  /**
   * @param {Order} order
   * @param {Arm[]} arms
   * @param {string[]} names of the classes
   */
  constructor(order, arms, names) {
    this.order = order;
    this.arms = arms;
    this.names = names;
    // By network, by part: the points of its curve.
    this.points = arms.map(() => order.parts.map(() => /** @type {Point[]} */ ([])));
    this.told = 0;
  }

  /** @param {Point} point */
  take(point) {
    this.points[point.arm][point.part].push(point);
    this.told += 1;
  }

  share() {
    const { parts, points, steps } = this.order;
    return this.told / (this.arms.length * parts.length * Math.min(points, steps));
  }

  /**
   * The curves of a network: the mean over the parts that have come so far, but for the one that holds nothing back.
   * @param {number} arm
   */
  curve(arm) {
    const tested = this.points[arm].filter((_, part) => this.order.parts[part].test.length);
    const longest = Math.max(...tested.map((points) => points.length));
    return Array.from({ length: longest }, (_, i) => {
      const there = tested.flatMap((points) => points.slice(i, i + 1));
      const right = there.flatMap((point) => this.rights(point));
      return { step: there[0].step, loss: mean(there.map(({ loss }) => loss)), share: mean(right) };
    });
  }

  /** @param {Point} point */
  rights({ answers, part }) {
    return answers.map((answer, i) => Number(answer === this.order.labels[this.order.parts[part].test[i]]));
  }

  /**
   * For each drawing that was held back, whether a network had it right in the end: 0, 1, or nothing yet. Of several
   * parts, one that was stopped on its way does not count.
   * @param {number} arm
   */
  right(arm) {
    const { parts, steps } = this.order;
    return this.points[arm].flatMap((points, part) => {
      const last = points.at(-1);
      const ended = last && (parts.length === 1 || last.step === steps);
      return ended ? this.rights(last) : parts[part].test.map(() => null);
    });
  }

  /**
   * Those of them that are known.
   * @param {number} arm
   */
  known(arm) {
    return this.right(arm).filter((each) => each !== null);
  }

  /** @param {number} arm */
  seconds(arm) {
    const times = this.points[arm].flatMap((points) => points.slice(-1)).map(({ seconds }) => seconds);
    return times.length ? mean(times) : null;
  }

  // Each network in words: what it got right, what that may be worth, and whether it is told apart from scratch.
  words() {
    const lines = this.arms.map(({ name }, arm) => {
      const right = this.known(arm);
      if (!right.length) return `${name}: nothing yet.`;
      const [low, high] = wilson(sum(right), right.length).map((value) => Math.round(100 * value));
      const now = `${sum(right)} of ${several(right.length, "held-back drawing")} right.`;
      const later = `So in the long run it may get between ${low} and ${high} of 100 right (95 % interval).`;
      return `${name}: ${now} ${later}${this.against(arm)}`;
    });
    return [...lines, `Guessing gets 1 of ${this.names.length} right.`];
  }

  /** @param {number} arm */
  against(arm) {
    const base = this.arms.findIndex(({ name }) => name === "from scratch");
    if (base < 0 || base === arm) return "";
    const scratch = this.right(base);
    let [alone, other] = [0, 0];
    this.right(arm).forEach((ours, i) => {
      const theirs = scratch[i];
      if (ours === null || theirs === null) return;
      alone += Number(ours > theirs);
      other += Number(ours < theirs);
    });
    if (alone + other === 0) return " Right and wrong on the same drawings as from scratch.";
    const chance = coin(alone, other);
    const ahead = alone > other ? "ahead on these drawings" : "behind on these drawings";
    const verdict = chance >= 0.05 ? "not told apart" : ahead;
    const odds = `${Math.max(1, Math.round(100 * chance))} of 100 tries`;
    const counts = `Only it is right ${times(alone)}, only from scratch ${times(other)}`;
    return ` ${counts}: ${verdict}, since a fair coin divides as unevenly in ${odds}.`;
  }
}
