// One training on photographs: the pictures as they were, what the worker told of it, and what is counted from that.

import { coin, sum, wilson } from "./numbers.js";

/** @import { Picture } from "./photographs_album.js" */
/** @import { Answer, CurvePoint, Plan, Result } from "./photographs_engine.js" */
/**
 * Two networks on the same pictures.
 * @typedef {object} Contrast
 * @property {number} only pictures that only the first has right
 * @property {number} other pictures that only the second has right
 * @property {number} chance that a fair coin divides the groups of pictures as unevenly
 * @property {number | null} needed pictures, at which such a difference would be found in 4 of 5 cases
 */

export const SURE = 0.05; // a chance below it tells two networks apart
const TWO_SIDED = 1.959964;
const FOUR_OF_FIVE = 0.841621; // the normal distribution's quantile at 0.8

/**
 * How many independent pictures are worth as much as pictures some of which are alike, as tl_base.shares.effective.
 * @param {number[]} groups
 */
function effective(groups) {
  const sizes = /** @type {Map<number, number>} */ (new Map());
  for (const group of groups) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  return groups.length ** 2 / sum([...sizes.values()].map((size) => size ** 2));
}

/**
 * Pictures at which a share is told from another that is fixed, in 4 of 5 cases; null where it is not larger.
 * @param {number} share
 * @param {number} fixed
 */
export function neededAgainst(share, fixed) {
  if (share <= fixed) return null;
  const [own, its] = [share, fixed].map((each) => Math.sqrt(each * (1 - each)));
  return Math.ceil(((TWO_SIDED * its + FOUR_OF_FIVE * own) / (share - fixed)) ** 2);
}

/**
 * Pictures at which two networks are told apart in 4 of 5 cases, by McNemar's test; null where they are equally good.
 * Connett, Smith and McHugh (1987), Statistics in Medicine 6.
 * @param {number} only share of pictures that only the first has right
 * @param {number} other share that only the second has right
 */
function neededBetween(only, other) {
  const gap = Math.abs(only - other);
  if (!gap) return null;
  const differ = only + other;
  return Math.ceil(
    ((TWO_SIDED * Math.sqrt(differ) + FOUR_OF_FIVE * Math.sqrt(Math.max(0, differ - gap ** 2))) / gap) ** 2,
  );
}

export class Outcome {
  /**
   * @param {number} run
   * @param {{ pictures: Picture[], groups: number[], names: string[] }} album as it is now
   * @param {string[]} arms
   */
  constructor(run, { pictures, groups, names }, arms) {
    this.run = run;
    this.pictures = pictures;
    this.groups = groups;
    this.names = names;
    this.arms = arms;
    this.plan = /** @type {Plan | null} */ (null);
    this.results = /** @type {(Result | null)[]} */ (arms.map(() => null));
    this.curve = /** @type {CurvePoint[]} */ ([]);
    this.distances = /** @type {number[]} */ ([]);
    this.seconds = 0;
    this.ended = false;
    this.stopped = false;
  }

  /**
   * Take what the worker tells of this training; say whether it was of this one.
   * @param {Answer} answer
   */
  take(answer) {
    if (!("run" in answer) || answer.run !== this.run) return false;
    if (answer.do === "plan") this.plan = answer.plan;
    if (answer.do === "result") this.results[answer.result.arm] = answer.result;
    if (answer.do === "curve") this.curve = answer.points;
    if (answer.do === "trained") {
      this.distances = answer.distances;
      this.seconds = answer.seconds;
      this.stopped = answer.stopped;
      this.ended = true;
    }
    return true;
  }

  /** @param {number} id */
  rowOf(id) {
    return this.pictures.findIndex((each) => each.id === id);
  }

  // Whether something was held back, so that something can be said of how good the networks are.
  get tested() {
    return Boolean(this.plan?.folds);
  }

  /**
   * What a network said of a picture when it was held back, by class; nothing if it has not said anything.
   * @param {number} arm
   * @param {number} row
   */
  shares(arm, row) {
    const result = this.results[arm];
    const count = this.names.length;
    if (!result || row < 0 || !this.held(arm, row)) return null;
    return [...result.shares.subarray(row * count, (row + 1) * count)];
  }

  /**
   * Whether a network was asked for a picture that had been held back from it.
   * @param {number} arm
   * @param {number} row
   */
  held(arm, row) {
    return (this.results[arm]?.answers[row] ?? -1) >= 0;
  }

  /**
   * For each picture whether a network was right, or null where it was never held back; nothing if no picture was.
   * @param {number} arm
   */
  rights(arm) {
    const result = this.results[arm];
    if (!result?.of) return null;
    return this.pictures.map(({ label }, row) => this.held(arm, row) ? result.answers[row] === label : null);
  }

  /** @param {number} arm */
  counted(arm) {
    const rights = this.rights(arm);
    if (!rights) return null;
    const right = rights.filter(Boolean).length;
    const groups = this.groups.filter((_, row) => rights[row] !== null);
    const [of, count] = [groups.length, effective(groups)];
    const [low, high] = wilson((count * right) / of, count);
    return { right, of, share: right / of, low, high };
  }

  /**
   * The limit on a picture's distance at which so many of 100 training pictures still count as known.
   * @param {number} known
   */
  limit(known) {
    const { distances } = this;
    if (!distances.length) return Infinity;
    return distances[Math.min(distances.length - 1, Math.floor((known / 100) * distances.length))];
  }

  // The share of pictures in the largest class: what one gets who always names it.
  largest() {
    const counts = this.names.map((_, k) => this.pictures.filter(({ label }) => label === k).length);
    return Math.max(...counts) / this.pictures.length;
  }

  /**
   * @param {number} first
   * @param {number} second
   * @returns {Contrast | null}
   */
  contrast(first, second) {
    const [ours, theirs] = [this.rights(first), this.rights(second)];
    if (!ours || !theirs) return null;
    const ahead = /** @type {Map<number, number>} */ (new Map());
    let [only, other] = [0, 0];
    let of = 0;
    ours.forEach((right, row) => {
      if (right === null || theirs[row] === null) return;
      const step = Number(right) - Number(theirs[row]);
      of += 1;
      only += Number(step > 0);
      other += Number(step < 0);
      ahead.set(this.groups[row], (ahead.get(this.groups[row]) ?? 0) + step);
    });
    const steps = [...ahead.values()];
    const sides = [steps.filter((step) => step > 0).length, steps.filter((step) => step < 0).length];
    const chance = coin(sides[0], sides[1]);
    const needed = chance < SURE ? null : neededBetween(only / of, other / of);
    return { only, other, chance, needed };
  }

  // Groups of pictures that are alike and lie in different classes: one of the labels may be wrong.
  get torn() {
    const labels = /** @type {Map<number, Set<number>>} */ (new Map());
    this.pictures.forEach(({ label }, row) => {
      const group = this.groups[row];
      labels.set(group, (labels.get(group) ?? new Set()).add(label));
    });
    return [...labels.values()].filter((its) => its.size > 1).map((its) =>
      [...its].map((k) => this.names[k])
    );
  }
}
