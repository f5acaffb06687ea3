// Training the last convolution of the network together with the head, from the solution of the frozen head on.

import { inPanels, outOfPanels } from "./efficientnet_weights.js";
import { logitsOf, softmax, STRENGTH } from "./heads.js";
import { PANEL } from "./kernels.js";
import { batches } from "./random.js";

/** @import { Head, Numbers } from "./heads.js" */
/** @import { Kernels } from "./kernels.js" */
/**
 * The last convolution: weights in panels, and biases.
 * @typedef {{ weights: Numbers, bias: Numbers }} Last
 */
/** @typedef {{ place: number, slopes: number, means: number, squares: number, count: number, rate: number }} Trained */

// Chosen on photographs of rubbish (TrashNet), 3 and 10 of a class.
const STEPS = 20;
const BATCH = 16;
const RATE = 1e-3; // of the convolution, at the start; it falls to 0 along a line
const HEAD_RATE = 1e-3;
const [KEEP, KEEP_SQUARES] = [0.9, 0.999]; // of Adam, as kernels.c has them

/** What the last convolution of a network does to pictures, with weights that may be others than the network's. */
export class LastStage {
  /**
   * @param {Kernels} kernels
   * @param {{ kernel: Float32Array, bias: Float32Array, most: number }} start kernel: channel in, channel out
   */
  constructor(kernels, { kernel, bias, most }) {
    this.kernels = kernels;
    this.most = most;
    this.features = bias.length;
    this.channels = kernel.length / bias.length;
    /** @type {Last} */
    this.start = { weights: inPanels(kernel, bias.length), bias: Float32Array.from(bias) };
  }

  /**
   * The pooled features of one picture.
   * @param {Last} last
   * @param {Numbers} given what the convolution is given: pixel, channel
   */
  see(last, given) {
    const { kernels: { memory }, features } = this;
    const mark = memory.end;
    const [weights, bias, x] = [last.weights, last.bias, given].map((values) => memory.put(values));
    const pixels = given.length / this.channels;
    const out = memory.take(pixels * features);
    this.forward(x, pixels, weights, bias, out);
    const pooled = new Float32Array(features);
    this.pool(out, 1, pixels, pooled);
    memory.end = mark;
    return pooled;
  }

  /**
   * @param {number} x
   * @param {number} pixels of all pictures
   * @param {number} weights
   * @param {number} bias
   * @param {number} out panel, pixel, column
   */
  forward(x, pixels, weights, bias, out) {
    const { kernels: { loops }, channels, features, most } = this;
    const panels = features / PANEL;
    loops.product(
      x,
      pixels,
      channels,
      channels,
      1,
      weights,
      panels,
      bias,
      0,
      most,
      out,
      PANEL,
      pixels * PANEL,
    );
  }

  /**
   * @param {number} out panel, pixel of all pictures, column
   * @param {number} pictures
   * @param {number} pixels of one
   * @param {Numbers} pooled picture, feature
   */
  pool(out, pictures, pixels, pooled) {
    const { numbers } = this.kernels.memory;
    let at = out;
    for (let panel = 0; panel < this.features; panel += PANEL) {
      for (let n = 0; n < pictures; n++) {
        const place = n * this.features + panel;
        for (let p = 0; p < pixels; p++) {
          for (let c = 0; c < PANEL; c++) pooled[place + c] += numbers[at++] / pixels;
        }
      }
    }
  }

  /**
   * @param {Last} last
   * @returns {Numbers} channel in, channel out
   */
  kernelOf(last) {
    return outOfPanels(last.weights, this.features);
  }
}

/** A training of the last stage and a head: its memory is taken when it begins and given back at its end. */
export class Tuning {
  /**
   * @param {LastStage} stage
   * @param {Head} head
   * @param {Numbers[]} lasts what the convolution is given, of each picture
   * @param {number[]} labels
   * @param {number} seed
   */
  constructor(stage, head, lasts, labels, seed) {
    const { memory } = stage.kernels;
    this.stage = stage;
    this.head = head;
    this.lasts = lasts;
    this.labels = labels;
    this.pixels = lasts[0].length / stage.channels;
    this.batches = batches(lasts.length, BATCH, STEPS, seed);
    this.done = 0;
    this.mark = memory.end;
    const many = this.batches[0].length;
    this.x = memory.take(many * lasts[0].length);
    this.out = memory.take(many * this.pixels * stage.features);
    this.given = memory.take(many * stage.features);
    const padded = new Float32Array(Math.ceil(head.bias.length / 4) * 4);
    padded.set(head.bias);
    this.weights = this.trained(stage.start.weights, RATE);
    this.bias = this.trained(stage.start.bias, RATE);
    this.kernel = this.trained(head.kernel, HEAD_RATE);
    this.headBias = this.trained(padded, HEAD_RATE);
  }

  /**
   * @param {Numbers} values
   * @param {number} rate
   * @returns {Trained}
   */
  trained(values, rate) {
    const { memory } = this.stage.kernels;
    const place = memory.put(values);
    const [slopes, means, squares] = [0, 1, 2].map(() => memory.take(values.length));
    memory.at(means, values.length).fill(0);
    memory.at(squares, values.length).fill(0);
    return { place, slopes, means, squares, count: values.length, rate };
  }

  get ended() {
    return this.done === this.batches.length;
  }

  step() {
    const { stage, x, out, given, pixels, weights, bias, lasts } = this;
    const { memory, loops } = stage.kernels;
    const rows = this.batches[this.done];
    rows.forEach((row, n) => memory.numbers.set(lasts[row], x + n * lasts[row].length));
    const all = rows.length * pixels;
    const panels = stage.features / PANEL;
    stage.forward(x, all, weights.place, bias.place, out);
    const pooled = new Float32Array(rows.length * stage.features);
    stage.pool(out, rows.length, pixels, pooled);
    this.slopes(rows, pooled);
    loops.masked(out, rows.length, pixels, panels, given, stage.most);
    const { channels } = stage;
    loops.product(
      x,
      channels,
      all,
      1,
      channels,
      out,
      panels,
      0,
      0,
      0,
      weights.slopes,
      PANEL,
      channels * PANEL,
    );
    this.biasSlopes(all);
    this.done += 1;
    for (const each of [weights, bias, this.kernel, this.headBias]) this.move(each);
  }

  /**
   * The slopes of the head, and of the features (by pixel).
   * @param {number[]} rows
   * @param {Numbers} pooled
   */
  slopes(rows, pooled) {
    const { head: { mean, scale }, kernel, headBias, given, stage: { features }, lasts } = this;
    const { memory } = this.stage.kernels;
    const values = this.headNow();
    const classes = values.bias.length;
    const slopes = memory.at(kernel.slopes, kernel.count);
    for (let i = 0; i < kernel.count; i++) slopes[i] = values.kernel[i] / (STRENGTH * lasts.length);
    const biases = memory.at(headBias.slopes, headBias.count).fill(0);
    const passed = memory.at(given, rows.length * features);
    rows.forEach((row, n) => {
      const own = pooled.subarray(n * features, (n + 1) * features);
      const errors = softmax(logitsOf(values, own));
      errors[this.labels[row]] -= 1;
      errors.forEach((error, c) => biases[c] += error / rows.length);
      for (let d = 0; d < features; d++) {
        const value = (own[d] - mean[d]) / scale[d] / rows.length;
        let back = 0;
        for (let c = 0; c < classes; c++) {
          slopes[d * classes + c] += value * errors[c];
          back += values.kernel[d * classes + c] * errors[c];
        }
        passed[n * features + d] = back / scale[d] / rows.length / this.pixels;
      }
    });
  }

  /** @param {number} pixels of all pictures */
  biasSlopes(pixels) {
    const { numbers } = this.stage.kernels.memory;
    const { slopes, count } = this.bias;
    let at = this.out;
    for (let panel = slopes; panel < slopes + count; panel += PANEL) {
      numbers.fill(0, panel, panel + PANEL);
      for (let p = 0; p < pixels; p++) {
        for (let c = 0; c < PANEL; c++) numbers[panel + c] += numbers[at++];
      }
    }
  }

  /** @param {Trained} trained */
  move({ place, slopes, means, squares, count, rate }) {
    const left = 1 - (this.done - 1) / this.batches.length;
    const whole = Math.sqrt(1 - KEEP_SQUARES ** this.done);
    const size = left * rate * whole / (1 - KEEP ** this.done);
    this.stage.kernels.loops.adam(place, slopes, means, squares, count, size, 1e-8 * whole);
  }

  /** @returns {Head} */
  headNow() {
    const { memory } = this.stage.kernels;
    const { kernel, headBias, head } = this;
    const bias = new Float32Array(memory.at(headBias.place, head.bias.length));
    return { ...head, kernel: new Float32Array(memory.at(kernel.place, kernel.count)), bias };
  }

  /**
   * What was reached; the memory is free again.
   * @returns {{ last: Last, head: Head }}
   */
  end() {
    const { memory } = this.stage.kernels;
    const [weights, bias] = [this.weights, this.bias].map(({ place, count }) =>
      new Float32Array(memory.at(place, count))
    );
    memory.end = this.mark;
    return { last: { weights, bias }, head: { ...this.headNow(), steps: this.done } };
  }
}
