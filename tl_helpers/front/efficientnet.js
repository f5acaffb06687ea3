// EfficientNet-Lite0 with BatchNormalization folded into its convolutions: a picture's pixels to its features.

import { folded, inPanels, layersOf } from "./efficientnet_weights.js";
import { PANEL } from "./kernels.js";

/** @import { Arrays, Layer } from "./efficientnet_weights.js" */
/** @import { Kernels } from "./kernels.js" */
/** @import { Network } from "./photographs_engine.js" */
/** @typedef {{ weights: number, bias: number }} Folded places */

/** The network with one set of weights, in the memory of the kernels. */
export class Backbone {
  /**
   * @param {Kernels} kernels
   * @param {Network} network
   * @param {Arrays} arrays
   */
  constructor(kernels, network, arrays) {
    this.kernels = kernels;
    this.network = network;
    this.layers = layersOf(network);
    this.largest = largestOf(network.size / 2, this.layers);
    /** @type {Folded[]} */
    this.places = this.layers.map((layer) => {
      const { kernel, bias } = folded(layer, arrays, network.epsilon);
      const weights = layer.kind === "depthwise" ? kernel : inPanels(kernel, layer.to);
      return { weights: kernels.memory.put(weights), bias: kernels.memory.put(bias) };
    });
  }

  /**
   * @param {Uint8Array} pixels size * size * 3
   * @returns {{ pooled: Float32Array<ArrayBuffer>, last: Float32Array<ArrayBuffer> }} features, and what the last
   *   convolution was given
   */
  see(pixels) {
    const { kernels: { memory }, network, layers } = this;
    const mark = memory.end;
    let side = network.size / 2;
    let x = memory.put(columnsOf(pixels, network));
    // A block has up to three convolutions, and what it was given is added to what the last of them puts out.
    const places = [0, 1, 2, 3].map(() => memory.take(this.largest));
    let kept = 0;
    let last = new Float32Array(0);
    layers.forEach((layer, i) => {
      if (layer.skip === "kept") kept = x;
      if (i === layers.length - 1) last = new Float32Array(memory.at(x, side * side * layer.from));
      const out = Math.ceil(side / (layer.kind === "depthwise" ? layer.stride : 1));
      const y = places[i % places.length];
      this.run(layer, this.places[i], x, side, layer.skip === "added" ? kept : 0, y);
      [x, side] = [y, out];
    });
    const pooled = meanOf(memory.at(x, side * side * network.features), network.features);
    memory.end = mark;
    return { pooled, last };
  }

  /**
   * @param {Layer} layer
   * @param {Folded} places
   * @param {number} x
   * @param {number} side
   * @param {number} added
   * @param {number} y
   */
  run(layer, { weights, bias }, x, side, added, y) {
    const { kernels: { loops }, network } = this;
    const { kind, from, to, size, stride, active } = layer;
    const most = active ? network.most : 0;
    if (kind === "depthwise") {
      loops.depthwise(x, side, from, weights, bias, size, stride, most, y);
    } else {
      const depth = kind === "stem" ? size * size * from : from;
      loops.product(x, side * side, depth, depth, 1, weights, to / PANEL, bias, added, most, y, to, PANEL);
    }
  }
}

/**
 * How many numbers the largest output has.
 * @param {number} side of what the first convolution puts out
 * @param {Layer[]} layers
 */
function largestOf(side, layers) {
  return layers.reduce((most, { kind, stride, to }) => {
    if (kind === "depthwise") side = Math.ceil(side / stride);
    return Math.max(most, side * side * to);
  }, 0);
}

/**
 * What the first convolution multiplies: for each of its places the 3 by 3 pixels there, scaled; outside of the picture
 * 0. Of an even side, "same" at stride 2 pads below and on the right alone.
 * @param {Uint8Array} pixels
 * @param {Network} network
 */
function columnsOf(pixels, { size, middle, spread }) {
  if (pixels.length !== size * size * 3) {
    throw new Error(`a picture has ${pixels.length} numbers, and ${size} * ${size} * 3 were expected`);
  }
  const out = size / 2;
  const columns = new Float32Array(out * out * 27);
  for (let place = 0; place < out * out; place++) {
    const [top, left] = [2 * Math.floor(place / out), 2 * (place % out)];
    for (let v = 0; v < 3 && top + v < size; v++) {
      for (let i = 0; i < 9 && left + i / 3 < size; i++) {
        columns[place * 27 + v * 9 + i] = (pixels[((top + v) * size + left) * 3 + i] - middle) / spread;
      }
    }
  }
  return columns;
}

/**
 * @param {Float32Array} values pixel, channel
 * @param {number} channels
 */
function meanOf(values, channels) {
  const sums = new Float64Array(channels);
  for (let i = 0; i < values.length; i++) sums[i % channels] += values[i];
  return Float32Array.from(sums, (sum) => sum * channels / values.length);
}
