// The four networks of the photograph page: training their heads, what was held back, the learning curve.

import { fitted, groupsOf, logitsOf, planOf, softmax } from "./heads.js";
import { randomness } from "./random.js";
import { Tuning } from "./tuning.js";

/** @import { Head, Numbers } from "./heads.js" */
/** @import { Kernels } from "./kernels.js" */
/** @import { Answer, CurvePoint, Features, Plan, Row } from "./photographs_engine.js" */
/** @import { Last, LastStage } from "./tuning.js" */
/** @typedef {{ head: Head, last: Last | null }} Trained `last` of the fine-tuned network alone */
/**
 * What is trained on: a picture's features beside its row.
 * @typedef {{ run: number, rows: Row[], classes: number, seed: number, features: Features[] }} Order
 */

export const TUNED = 3;
const KINDS = /** @type {const} */ (["trained", "random", "pixels"]);
const NAMES = ["ImageNet features", "random features", "pixels", "last stage fine-tuned"];
const TUNED_FOLDS = 5; // two folds of the others are one: its training takes longest
const CURVE = [1, 2, 3, 5, 10, 20, 50, 100];
const CURVE_ARMS = [0, 1];
const DRAWS = 10;
const TESTED = 1 / 3; // of each class's groups, in a draw for the curve
const PAUSE = 25; // milliseconds of work between two looks at what the page wants

/** One training, from the first head to the last; a page's later order ends it. */
export class Training {
  /**
   * @param {Kernels} kernels
   * @param {LastStage} stage
   * @param {Order} order
   * @param {(answer: Answer) => void} tell
   */
  constructor(kernels, stage, order, tell) {
    this.kernels = kernels;
    this.stage = stage;
    this.order = order;
    this.tell = tell;
    this.stopped = false;
    this.plan = planOf(order.rows, order.classes, order.seed);
    this.labels = order.rows.map(({ label }) => label);
    this.trained = /** @type {(Trained | null)[]} */ ([null, null, null, null]);
    this.held = /** @type {Trained[][]} */ ([[], [], [], []]); // by arm and fold: trained on all the others
    this.done = 0; // heads, of all that are trained; a head that is tuned counts ten times
    this.all = 3 * (this.plan.folds + 1) + 10 * (Math.min(TUNED_FOLDS, this.plan.folds) + 1) + 10;
    this.rested = performance.now();
    this.apart = /** @type {number[] | null} */ (null);
  }

  async go() {
    const begin = performance.now();
    const { run } = this.order;
    this.tell({ do: "plan", run, plan: this.plan });
    for (const arm of [0, 1, 2]) await this.arm(arm);
    await this.curve();
    await this.arm(TUNED);
    const distances = this.distances();
    const seconds = (performance.now() - begin) / 1000;
    this.tell({ do: "trained", run, stopped: this.stopped, seconds, distances });
  }

  /**
   * Let the page's other questions be answered if some time has passed.
   * @param {number} work that was done
   * @param {string} doing
   */
  async rest(work, doing) {
    this.done += work;
    if (performance.now() - this.rested < PAUSE) return;
    this.tell({ do: "progress", ask: this.order.run, share: Math.min(1, this.done / this.all), doing });
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.rested = performance.now();
  }

  /** How far each picture is from the nearest of another group. */
  distances() {
    const { features, rows } = this.order;
    this.apart ??= nearestDistances(features.map(({ trained }) => trained), rows);
    return this.apart;
  }

  /** @param {number} arm */
  folds(arm) {
    return arm === TUNED ? Math.min(TUNED_FOLDS, this.plan.folds) : this.plan.folds;
  }

  /**
   * The fold in which a picture is held back; -1: never.
   * @param {number} arm
   * @param {number} row
   */
  foldOf(arm, row) {
    const part = this.plan.parts[row] ?? -1;
    return part < 0 ? -1 : part % this.folds(arm);
  }

  /**
   * The network that has not learned from a picture; null where each one has, or this one was not trained on.
   * @param {number} arm
   * @param {number} id
   */
  without(arm, id) {
    const row = this.order.rows.findIndex((each) => each.id === id);
    return this.held[arm][this.foldOf(arm, row)] ?? null;
  }

  /**
   * The network trained on all pictures, and before that on all but each fold.
   * @param {number} arm
   */
  async arm(arm) {
    const begin = performance.now();
    const { rows, classes, run } = this.order;
    const folds = this.folds(arm);
    const part = (/** @type {number} */ row) => this.foldOf(arm, row);
    const every = rows.map((_, i) => i);
    const shares = new Float32Array(rows.length * classes);
    const answers = rows.map(() => -1);
    for (let fold = 0; fold < folds; fold++) {
      const made = await this.fit(arm, every.filter((row) => part(row) !== fold));
      if (!made) return;
      this.held[arm][fold] = made;
      for (const row of every.filter((each) => part(each) === fold)) {
        const said = this.says(made, arm, this.order.features[row]);
        shares.set(said, row * classes);
        answers[row] = said.indexOf(Math.max(...said));
      }
    }
    const made = await this.fit(arm, every);
    if (!made) return;
    this.trained[arm] = made;
    const right = answers.filter((answer, row) => answer === this.labels[row]).length;
    const of = answers.filter((answer) => answer >= 0).length;
    const seconds = (performance.now() - begin) / 1000;
    const result = { arm, shares, answers, right, of, folds, seconds, steps: made.head.steps };
    this.tell({ do: "result", run, result });
  }

  /**
   * @param {number} arm
   * @param {number[]} rows
   * @returns {Promise<Trained | null>} null if it was stopped
   */
  async fit(arm, rows) {
    const { features, classes, seed } = this.order;
    if (this.stopped) return null;
    const labels = rows.map((row) => this.labels[row]);
    const kind = KINDS[arm === TUNED ? 0 : arm];
    const head = fitted(this.kernels, rows.map((row) => features[row][kind]), labels, classes);
    if (arm !== TUNED) {
      await this.rest(1, `heads: ${NAMES[arm]}`);
      return { head, last: null };
    }
    const tuning = new Tuning(this.stage, head, rows.map((row) => features[row].last), labels, seed);
    while (!tuning.ended && !this.stopped) {
      tuning.step();
      await this.rest(10 / tuning.batches.length, NAMES[arm]);
    }
    const made = tuning.end();
    return this.stopped ? null : made;
  }

  /**
   * The shares of the classes.
   * @param {Trained} trained
   * @param {number} arm
   * @param {Features} features
   */
  says({ head, last }, arm, features) {
    const given = last ? this.stage.see(last, features.last) : features[KINDS[arm]];
    return softmax(logitsOf(head, given));
  }

  /** The same pictures for both networks in a draw, and more of the same ones from point to point. */
  async curve() {
    const { rows, classes, run, seed, features } = this.order;
    const byClass = groupsOf(rows, classes, () => 0.5);
    const fewest = Math.min(...byClass.map(({ length }) => length));
    const most = fewest - Math.max(1, Math.round(TESTED * fewest));
    const found = /** @type {CurvePoint[]} */ ([]);
    const counts = CURVE.filter((count) => count <= most);
    if (most > 0 && counts[counts.length - 1] !== most) counts.push(most);
    for (const perClass of counts) {
      const shares = CURVE_ARMS.map(() => /** @type {number[]} */ ([]));
      for (let draw = 0; draw < DRAWS; draw++) {
        const { train, test } = drawn(rows, classes, perClass, seed * DRAWS + draw);
        const labels = train.map((row) => this.labels[row]);
        for (const arm of CURVE_ARMS) {
          if (this.stopped) return;
          const kind = KINDS[arm];
          const head = fitted(this.kernels, train.map((row) => features[row][kind]), labels, classes);
          const right = test.filter((row) => best(logitsOf(head, features[row][kind])) === this.labels[row]);
          shares[arm].push(right.length / test.length);
          await this.rest(10 / counts.length / DRAWS / CURVE_ARMS.length, "learning curve");
        }
      }
      for (const arm of CURVE_ARMS) found.push({ arm, perClass, draws: DRAWS, ...spreadOf(shares[arm]) });
      this.tell({ do: "curve", run, points: found });
    }
  }
}

/** @param {Float64Array} values */
const best = (values) => values.indexOf(Math.max(...values));

/**
 * Pictures to test on, a third of each class's groups, and of the others one picture of each of `perClass` groups.
 * @param {Row[]} rows
 * @param {number} classes
 * @param {number} perClass
 * @param {number} seed
 */
function drawn(rows, classes, perClass, seed) {
  const train = /** @type {number[]} */ ([]);
  const test = /** @type {number[]} */ ([]);
  for (const groups of groupsOf(rows, classes, randomness(seed))) {
    const held = Math.max(1, Math.round(TESTED * groups.length));
    test.push(...groups.slice(0, held).flat());
    train.push(...groups.slice(held, held + perClass).map(([first]) => first));
  }
  return { train, test };
}

/** @param {number[]} shares */
function spreadOf(shares) {
  const share = shares.reduce((sum, each) => sum + each, 0) / shares.length;
  const squares = shares.reduce((sum, each) => sum + (each - share) ** 2, 0);
  return { share, spread: Math.sqrt(squares / (shares.length - 1)) };
}

/**
 * @param {Numbers} features
 * @returns {Numbers} of length 1
 */
export function unit(features) {
  const length = Math.hypot(...features) || 1;
  return features.map((value) => value / length);
}

/**
 * @param {Numbers} first of length 1
 * @param {Numbers} second of length 1
 */
export function cosine(first, second) {
  let total = 0;
  for (let d = 0; d < first.length; d++) total += first[d] * second[d];
  return total;
}

/**
 * Of each picture the distance to the nearest of another group, the smallest first; without one it is left out.
 * @param {Numbers[]} features
 * @param {Row[]} rows
 */
function nearestDistances(features, rows) {
  const units = features.map(unit);
  const most = rows.map(() => -1);
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < i; j++) {
      if (rows[i].group === rows[j].group) continue;
      const alike = cosine(units[i], units[j]);
      if (alike > most[i]) most[i] = alike;
      if (alike > most[j]) most[j] = alike;
    }
  }
  return most.filter((alike) => alike >= 0).map((alike) => 1 - alike).sort((a, b) => a - b);
}

/**
 * The share of distances that are smaller.
 * @param {number[]} distances
 * @param {number} distance
 */
export function farther(distances, distance) {
  return distances.filter((each) => each < distance).length / Math.max(1, distances.length);
}
