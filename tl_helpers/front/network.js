// A network of the page: a trunk with weights, a linear head, and Adam, which trains them.

import { randomness } from "./random.js";

/** @import { Trunk, Weights } from "./trunk.js" */

/** @param {number} half a float16's bits: sign, exponent, fraction */
function fromHalf(half) {
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
  return half & 0x8000 ? -size : size;
}

/**
 * A trunk's weights from base64: kernel and bias of each layer, one behind the other, float16, little endian.
 * @param {Trunk} trunk
 * @param {string} text
 * @returns {Weights[]}
 */
export function unpacked(trunk, text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const numbers = Float64Array.from(new Uint16Array(bytes.buffer), fromHalf);
  let start = 0;
  const take = (/** @type {number} */ count) => numbers.slice(start, start += count);
  return trunk.layers.map(({ width, to }) => ({ kernel: take(width * to), bias: take(to) }));
}

/**
 * Glorot's uniform draw, as Keras starts a convolution.
 * @param {Trunk} trunk
 * @param {number} seed
 * @returns {Weights[]}
 */
export function drawn(trunk, seed) {
  return trunk.layers.map(({ width, from, to }, i) => {
    const random = randomness(1000 * seed + i);
    const limit = Math.sqrt(6 / (9 * (from + to)));
    const kernel = Float64Array.from({ length: width * to }, () => limit * (2 * random() - 1));
    return { kernel, bias: new Float64Array(to) };
  });
}

/**
 * @param {Float64Array} matrix
 * @param {number} rows
 * @param {number} columns
 */
function transposed(matrix, rows, columns) {
  const turned = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) turned[j * rows + i] = matrix[i * columns + j];
  }
  return turned;
}

export class Network {
  /**
   * @param {object} made
   * @param {Trunk} made.trunk
   * @param {Weights[]} made.weights they are copied
   * @param {number} made.classes
   * @param {number} made.frozen that many layers never change
   * @param {boolean} [made.standardise] shift and scale the features (only with all layers frozen)
   */
  constructor({ trunk, weights, classes, frozen, standardise = false }) {
    this.trunk = trunk;
    this.weights = weights.map(({ kernel, bias }) => ({ kernel: kernel.slice(), bias: bias.slice() }));
    this.classes = classes;
    this.frozen = frozen;
    this.standardise = standardise;
    this.head = { kernel: new Float64Array(trunk.features * classes), bias: new Float64Array(classes) };
    this.scale = /** @type {{ shift: Float64Array, factor: Float64Array } | null} */ (null);
  }

  /**
   * What comes out of the frozen layers: computed once an image.
   * @param {ArrayLike<number>} image
   */
  prefix(image) {
    const scaled = Float64Array.from(image, (value) => value / 255);
    return this.frozen ? Float64Array.from(this.trunk.forward(this.weights, scaled, 0, this.frozen)) : scaled;
  }

  /**
   * As transfer.feature_extraction: (f − μ) / √(σ² + ε), where ε is the mean of all variances.
   * @param {Float64Array[]} rows
   */
  fitScale(rows) {
    if (!this.standardise) return;
    const { features } = this.trunk;
    const shift = new Float64Array(features);
    const variance = new Float64Array(features);
    for (const row of rows) for (let j = 0; j < features; j++) shift[j] += row[j] / rows.length;
    for (const row of rows) {
      for (let j = 0; j < features; j++) variance[j] += (row[j] - shift[j]) ** 2 / rows.length;
    }
    const raised = variance.reduce((total, value) => total + value, 0) / features || 1e-38;
    this.scale = { shift, factor: variance.map((value) => 1 / Math.sqrt(value + raised)) };
  }

  /** @param {Float64Array} prefix */
  features(prefix) {
    const computed = this.trunk.forward(this.weights, prefix, this.frozen);
    const { scale } = this;
    return scale ? computed.map((value, j) => (value - scale.shift[j]) * scale.factor[j]) : computed;
  }

  /** @param {Float64Array} features */
  outputs(features) {
    const { classes, head: { kernel, bias } } = this;
    const logits = Array.from(bias);
    for (let j = 0; j < features.length; j++) {
      if (features[j] === 0) continue;
      for (let k = 0; k < classes; k++) logits[k] += features[j] * kernel[j * classes + k];
    }
    return logits;
  }

  /**
   * Softmax of the outputs.
   * @param {Float64Array} features
   */
  softmax(features) {
    const logits = this.outputs(features);
    const top = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp(logit - top));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  }

  /** @param {Float64Array} prefix */
  probabilities(prefix) {
    return this.softmax(this.features(prefix));
  }

  // All that a step changes: kernels and biases, input first.
  trainable() {
    return [...this.weights.slice(this.frozen), this.head].flatMap(({ kernel, bias }) => [kernel, bias]);
  }

  // The layers that train, with room for their slopes.
  slopes() {
    return this.trunk.layers.slice(this.frozen).map(({ width, to }, i) => {
      const slopes = { turned: new Float64Array(width * to), bias: new Float64Array(to) };
      return { width, to, turned: transposed(this.weights[this.frozen + i].kernel, width, to), slopes };
    });
  }

  /**
   * Mean cross-entropy of some images, and its slopes by trainable().
   * @param {Float64Array[]} prefixes
   * @param {number[]} labels
   */
  loss(prefixes, labels) {
    const trained = this.slopes();
    const head = { kernel: new Float64Array(this.head.kernel.length), bias: new Float64Array(this.classes) };
    let loss = 0;
    prefixes.forEach((prefix, row) => {
      const features = this.features(prefix);
      const errors = this.softmax(features);
      loss -= Math.log(Math.max(errors[labels[row]], 1e-300)) / prefixes.length;
      errors[labels[row]] -= 1;
      const above = this.throughHead(errors.map((error) => error / prefixes.length), features, head);
      this.trunk.backward(trained, above, prefix, this.frozen);
    });
    const filters = trained.flatMap((
      { width, to, slopes },
    ) => [transposed(slopes.turned, to, width), slopes.bias]);
    return { loss, slopes: [...filters, head.kernel, head.bias] };
  }

  /**
   * Add one image's slopes of the head; return those of the features.
   * @param {number[]} errors
   * @param {Float64Array} features
   * @param {Weights} head
   */
  throughHead(errors, features, head) {
    const { classes } = this;
    const above = new Float64Array(features.length);
    for (let k = 0; k < classes; k++) head.bias[k] += errors[k];
    for (let j = 0; j < features.length; j++) {
      for (let k = 0; k < classes; k++) {
        head.kernel[j * classes + k] += features[j] * errors[k];
        above[j] += errors[k] * this.head.kernel[j * classes + k];
      }
    }
    return above;
  }
}

// Adam with the numbers of Keras, and the learning rate of training.fit: it falls to 0 along half a cosine.
export class Adam {
  /**
   * @param {Float64Array[]} weights
   * @param {number} rate
   * @param {number} steps
   */
  constructor(weights, rate, steps) {
    this.weights = weights;
    this.rate = rate;
    this.steps = steps;
    this.done = 0;
    this.means = weights.map((each) => new Float64Array(each.length));
    this.squares = weights.map((each) => new Float64Array(each.length));
  }

  /** @param {Float64Array[]} slopes */
  step(slopes) {
    const rate = this.rate * 0.5 * (1 + Math.cos((Math.PI * Math.min(this.done, this.steps)) / this.steps));
    this.done += 1;
    const size = (rate * Math.sqrt(1 - 0.999 ** this.done)) / (1 - 0.9 ** this.done);
    this.weights.forEach((weight, i) => {
      const [mean, square, slope] = [this.means[i], this.squares[i], slopes[i]];
      for (let j = 0; j < weight.length; j++) {
        mean[j] += 0.1 * (slope[j] - mean[j]);
        square[j] += 0.001 * (slope[j] * slope[j] - square[j]);
        weight[j] -= (size * mean[j]) / (Math.sqrt(square[j]) + 1e-7);
      }
    });
  }
}
