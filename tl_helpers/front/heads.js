// A linear head on frozen features: logistic regression with an L2 penalty, solved to the end; and what is held back.

import { PANEL } from "./kernels.js";
import { randomness, shuffled } from "./random.js";

/** @import { Kernels } from "./kernels.js" */
/** @import { Plan, Row } from "./photographs_engine.js" */
/** @typedef {Float32Array<ArrayBuffer>} Numbers */
/**
 * logits = ((features - mean) / scale) kernel + bias.
 * @typedef {object} Head
 * @property {Numbers} mean
 * @property {Numbers} scale
 * @property {Numbers} kernel feature, class
 * @property {Numbers} bias
 * @property {number} steps that the solver took
 */
/** @typedef {{ a: Float64Array, f: Float64Array, b: Float64Array }} Direction weights of rows, what they do, biases */

// Chosen on photographs of rubbish (TrashNet), 1 to 10 of a class: the strength hardly matters, a scale that few
// pictures decide alone does. So each feature's variance counts as if PRIOR more pictures had the mean variance.
export const STRENGTH = 0.01; // of the data against the penalty: C in scikit-learn
const PRIOR = 10;
const MOST_STEPS = 300;
const CLOSE = 1e-5; // of the first slope
const MEMORY = 8; // steps that the solver remembers
const MOST_FOLDS = 10;

/**
 * Mean and scale of each feature.
 * @param {Numbers[]} rows
 */
function statistics(rows) {
  const width = rows[0].length;
  const mean = new Float32Array(width);
  const scale = new Float32Array(width);
  for (let d = 0; d < width; d++) {
    let [sum, squares] = [0, 0];
    for (const row of rows) sum += row[d];
    const centre = sum / rows.length;
    for (const row of rows) squares += (row[d] - centre) ** 2;
    mean[d] = centre;
    scale[d] = squares; // for now
  }
  const typical = scale.reduce((sum, squares) => sum + squares, 0) / width / rows.length;
  const total = rows.length + PRIOR;
  for (let d = 0; d < width; d++) scale[d] = Math.sqrt((scale[d] + PRIOR * typical) / total) || 1;
  return { mean, scale };
}

/**
 * The products of all standardised rows with each other, by the kernels.
 * @param {Kernels} kernels
 * @param {Numbers[]} rows
 * @param {Numbers} mean
 * @param {Numbers} scale
 */
function products({ memory, loops }, rows, mean, scale) {
  const mark = memory.end;
  const width = mean.length;
  const count = Math.ceil(rows.length / PANEL) * PANEL;
  const [left, right, out] = [count * width, count * width, count * count].map((size) => memory.take(size));
  const { numbers } = memory;
  numbers.fill(0, left, left + count * width);
  numbers.fill(0, right, right + count * width);
  rows.forEach((row, i) => {
    const panel = right + Math.floor(i / PANEL) * width * PANEL + i % PANEL;
    for (let d = 0; d < width; d++) {
      const value = (row[d] - mean[d]) / scale[d];
      numbers[left + i * width + d] = value;
      numbers[panel + d * PANEL] = value;
    }
  });
  loops.product(left, count, width, width, 1, right, count / PANEL, 0, 0, 0, out, count, PANEL);
  const table = rows.map((_, i) => Float64Array.from(memory.at(out + i * count, rows.length)));
  memory.end = mark;
  return table;
}

/**
 * The head that makes  STRENGTH * cross-entropy + half the squared weights  smallest; the bias is not penalised. Its
 * weights are a mixture of the rows, so it is sought among those: as many numbers as rows, whatever the features.
 * @param {Kernels} kernels
 * @param {Numbers[]} rows
 * @param {number[]} labels
 * @param {number} classes
 * @returns {Head}
 */
export function fitted(kernels, rows, labels, classes) {
  const { mean, scale } = statistics(rows);
  const table = products(kernels, rows, mean, scale);
  const { at, steps } = solved(table, labels, classes);
  const kernel = new Float32Array(mean.length * classes);
  rows.forEach((row, i) => {
    for (let d = 0; d < mean.length; d++) {
      const value = (row[d] - mean[d]) / scale[d];
      for (let c = 0; c < classes; c++) kernel[d * classes + c] += value * at.a[i * classes + c];
    }
  });
  return { mean, scale, kernel, bias: Float32Array.from(at.b), steps };
}

/**
 * L-BFGS (Liu and Nocedal, 1989) where lengths are those of the weights themselves.
 * @param {Float64Array[]} table products of rows
 * @param {number[]} labels
 * @param {number} classes
 */
function solved(table, labels, classes) {
  const count = labels.length;
  const worth = STRENGTH * count / 4; // of a bias against a weight: both then bend alike
  const dot = (/** @type {Direction} */ u, /** @type {Direction} */ v) =>
    inner(u.a, v.f) + worth * inner(u.b, v.b);
  let at = direction(count, classes);
  let { loss, slope } = lossAt(at, table, labels, classes, worth);
  const first = Math.sqrt(dot(slope, slope));
  const past = /** @type {{ s: Direction, y: Direction, rho: number }[]} */ ([]);
  let steps = 0;
  while (steps < MOST_STEPS && Math.sqrt(dot(slope, slope)) > CLOSE * first) {
    const way = descent(slope, past, dot);
    const downhill = dot(way, slope);
    let size = 1;
    let next = sum(at, way, size);
    let found = lossAt(next, table, labels, classes, worth);
    while (found.loss > loss + 1e-4 * size * downhill && size > 1e-6) {
      size /= 2;
      next = sum(at, way, size);
      found = lossAt(next, table, labels, classes, worth);
    }
    if (size <= 1e-6) break; // as close as these numbers allow
    const s = sum(next, at, -1);
    const y = sum(found.slope, slope, -1);
    const curve = dot(s, y);
    if (curve > 0) past.push({ s, y, rho: 1 / curve });
    if (past.length > MEMORY) past.shift();
    [at, loss, slope] = [next, found.loss, found.slope];
    steps += 1;
  }
  return { at, steps };
}

/**
 * @param {number} count
 * @param {number} classes
 * @returns {Direction}
 */
const direction = (count, classes) => ({
  a: new Float64Array(count * classes),
  f: new Float64Array(count * classes),
  b: new Float64Array(classes),
});

/**
 * @param {Float64Array} u
 * @param {Float64Array} v
 */
function inner(u, v) {
  let total = 0;
  for (let i = 0; i < u.length; i++) total += u[i] * v[i];
  return total;
}

/**
 * @param {Direction} u
 * @param {Direction} v
 * @param {number} factor
 * @returns {Direction} u + factor * v
 */
function sum(u, v, factor) {
  const add = (/** @type {Float64Array} */ x, /** @type {Float64Array} */ y) =>
    x.map((value, i) => value + factor * y[i]);
  return { a: add(u.a, v.a), f: add(u.f, v.f), b: add(u.b, v.b) };
}

/**
 * @param {Direction} slope
 * @param {{ s: Direction, y: Direction, rho: number }[]} past
 * @param {(u: Direction, v: Direction) => number} dot
 */
function descent(slope, past, dot) {
  let way = slope;
  const shares = past.map(() => 0);
  for (let i = past.length - 1; i >= 0; i--) {
    shares[i] = past[i].rho * dot(past[i].s, way);
    way = sum(way, past[i].y, -shares[i]);
  }
  if (past.length) {
    const { y, rho } = past[past.length - 1];
    way = sum(way, way, 1 / (rho * dot(y, y)) - 1);
  }
  past.forEach(({ s, y, rho }, i) => way = sum(way, s, shares[i] - rho * dot(y, way)));
  return sum(way, way, -2);
}

/**
 * @param {Direction} at
 * @param {Float64Array[]} table
 * @param {number[]} labels
 * @param {number} classes
 * @param {number} worth
 */
function lossAt(at, table, labels, classes, worth) {
  const slope = direction(labels.length, classes);
  let loss = inner(at.a, at.f) / 2;
  labels.forEach((label, i) => {
    const logits = at.b.map((bias, c) => bias + at.f[i * classes + c]);
    const shares = softmax(logits);
    loss -= STRENGTH * Math.log(Math.max(shares[label], 1e-300));
    for (let c = 0; c < classes; c++) {
      const error = STRENGTH * (shares[c] - (c === label ? 1 : 0));
      slope.a[i * classes + c] = error + at.a[i * classes + c];
      slope.b[c] += error / worth;
    }
  });
  table.forEach((row, i) => {
    for (let j = 0; j < row.length; j++) {
      for (let c = 0; c < classes; c++) slope.f[i * classes + c] += row[j] * slope.a[j * classes + c];
    }
  });
  return { loss, slope };
}

/** @param {Float64Array} logits */
export function softmax(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const total = powers.reduce((all, power) => all + power, 0);
  return powers.map((power) => power / total);
}

/**
 * @param {Head} head
 * @param {Numbers} features
 */
export function logitsOf({ mean, scale, kernel, bias }, features) {
  const logits = Float64Array.from(bias);
  for (let d = 0; d < mean.length; d++) {
    const value = (features[d] - mean[d]) / scale[d];
    for (let c = 0; c < bias.length; c++) logits[c] += value * kernel[d * bias.length + c];
  }
  return logits;
}

/**
 * The groups of like pictures by the class of their first one, in an order that the seed decides.
 * @param {Row[]} rows
 * @param {number} classes
 * @param {() => number} random
 * @returns {number[][][]} rows by class and group
 */
export function groupsOf(rows, classes, random) {
  const groups = /** @type {Map<number, number[]>} */ (new Map());
  rows.forEach(({ group }, i) => groups.set(group, [...(groups.get(group) ?? []), i]));
  const byClass = Array.from({ length: classes }, () => /** @type {number[][]} */ ([]));
  for (const members of groups.values()) byClass[rows[members[0]].label].push(members);
  return byClass.map((all) => shuffled(all.length, random).map((i) => all[i]));
}

/**
 * In which fold each picture is held back: at most 10, of each class as many pictures in each, like ones in the same.
 * @param {Row[]} rows
 * @param {number} classes
 * @param {number} seed
 * @returns {Plan}
 */
export function planOf(rows, classes, seed) {
  const byClass = groupsOf(rows, classes, randomness(seed));
  const folds = Math.min(MOST_FOLDS, Math.max(...byClass.map((groups) => groups.length)));
  const parts = rows.map(() => -1);
  let next = 0;
  for (const groups of byClass.filter(({ length }) => length > 1)) { // else its class would be unknown
    for (const members of groups) {
      for (const row of members) parts[row] = next % folds;
      next += 1;
    }
  }
  const one = byClass.every(({ length }) => length <= folds);
  return { folds: next ? folds : 0, one, parts, groups: byClass.flat().length };
}
