// The weights of EfficientNet-Lite0: read or drawn, with each BatchNormalization folded into the convolution before it.

import { PANEL } from "./kernels.js";
import { randomness } from "./random.js";

/** @import { Layout, Network } from "./photographs_engine.js" */
/** @typedef {Record<string, Float32Array>} Arrays a network's weights by name, as source_imagenet.npz has them */
/**
 * A convolution: its weights' and its bias's places, and what it does. `added`: its input's block is added to it.
 * @typedef {object} Layer
 * @property {string} name
 * @property {"stem" | "pointwise" | "depthwise"} kind
 * @property {string} normal the BatchNormalization behind it
 * @property {number} from channels that come in
 * @property {number} to channels that go out
 * @property {number} size of its kernel
 * @property {number} stride
 * @property {boolean} active ReLU6 follows
 * @property {"" | "kept" | "added"} skip the input is kept for later, or what was kept is added to the output
 */

const ACTIVE = { active: true, skip: /** @type {const} */ ("") };

/**
 * The convolutions of the network in their order, as `tl_base/efficientnet.py` builds them.
 * @param {Network} network
 * @returns {Layer[]}
 */
export function layersOf({ stem, stages, features }) {
  /** @type {Layer[]} */
  const layers = [
    {
      name: "stem_conv",
      kind: "stem",
      normal: "stem_normal",
      from: 3,
      to: stem,
      size: 3,
      stride: 2,
      ...ACTIVE,
    },
  ];
  let from = stem;
  stages.forEach((stage, i) => {
    for (let block = 0; block < stage.blocks; block++) {
      const name = `block${i + 1}${"abcd"[block]}`;
      const end = block === stage.blocks - 1 ? `block${i + 1}` : name;
      const stride = block ? 1 : stage.stride;
      const same = stride === 1 && from === stage.channels;
      const wide = from * stage.expansion;
      const conv = { size: 1, stride: 1, ...ACTIVE };
      const begin = layers.length;
      if (stage.expansion > 1) {
        const names = { name: `${name}_expand`, normal: `${name}_expand_normal` };
        layers.push({ ...conv, ...names, kind: "pointwise", from, to: wide });
      }
      const depth = { name: `${name}_depth`, normal: `${name}_depth_normal`, from: wide, to: wide };
      layers.push({ ...conv, ...depth, kind: "depthwise", size: stage.kernel, stride });
      const normal = same ? `${name}_project_normal` : end;
      const project = { name: `${name}_project`, normal, from: wide, to: stage.channels, active: false };
      layers.push({ ...conv, ...project, kind: "pointwise", skip: same ? "added" : "" });
      if (same) layers[begin].skip = "kept";
      from = stage.channels;
    }
  });
  const top = { name: "top_conv", normal: "top_normal", from, to: features, size: 1, stride: 1 };
  return [...layers, { ...top, kind: "pointwise", ...ACTIVE }];
}

/**
 * A number of 16 bits (IEEE 754) as what it stands for.
 * @param {number} bits
 */
function half(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
  if (exponent === 31) return NaN;
  return bits & 0x8000 ? -size : size;
}

/**
 * @param {Uint16Array} numbers
 * @param {Layout} layout
 * @returns {Arrays}
 */
export function unpackedHalves(numbers, layout) {
  const halves = Float32Array.from({ length: 2 ** 16 }, (_, bits) => half(bits));
  const arrays = /** @type {Arrays} */ ({});
  let at = 0;
  for (const { name, shape } of layout) {
    const count = shape.reduce((product, size) => product * size, 1);
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = halves[numbers[at + i]]; // NaN beyond the end
    if (values.includes(NaN)) throw new Error(`the weights are damaged at ${name}; load them again`);
    arrays[name] = values;
    at += count;
  }
  if (at !== numbers.length) {
    throw new Error(`the weights are ${numbers.length} numbers, and ${at} were expected; load them again`);
  }
  return arrays;
}

/**
 * Weights drawn as Keras draws them for a new network (He et al., 2015, fan out; normal, cut at two deviations); the
 * statistics of BatchNormalization are those of a new one. The numbers are not Keras's own: its generator is another.
 * @param {Network} network
 * @param {number} seed
 * @returns {Arrays}
 */
export function randomArrays(network, seed) {
  const arrays = /** @type {Arrays} */ ({});
  layersOf(network).forEach(({ name, normal, kind, from, to, size }, i) => {
    const uniform = randomness(seed * 1000 + i);
    const fan = size * size * (kind === "depthwise" ? 1 : to);
    const spread = Math.sqrt(2 / fan) / 0.87962566103423978; // of a normal distribution cut at two deviations
    const count = size * size * from * (kind === "depthwise" ? 1 : to);
    const kernel = new Float32Array(count);
    for (let j = 0; j < count; j++) kernel[j] = spread * normalNumber(uniform);
    arrays[`${name}/kernel`] = kernel;
    for (const [part, value] of [["gamma", 1], ["beta", 0], ["moving_mean", 0], ["moving_variance", 1]]) {
      arrays[`${normal}/${part}`] = new Float32Array(to).fill(Number(value));
    }
  });
  return arrays;
}

/** @param {() => number} uniform */
function normalNumber(uniform) {
  while (true) {
    const length = Math.sqrt(-2 * Math.log(1 - uniform()));
    const drawn = length * Math.cos(2 * Math.PI * uniform());
    if (Math.abs(drawn) <= 2) return drawn;
  }
}

/**
 * A convolution's kernel and bias with the BatchNormalization behind it inside, in 32 bits as Keras computes.
 * @param {Layer} layer
 * @param {Arrays} arrays
 * @param {number} epsilon
 */
export function folded({ name, normal, to }, arrays, epsilon) {
  const names = [
    `${name}/kernel`,
    ...["gamma", "beta", "moving_mean", "moving_variance"].map((p) => `${normal}/${p}`),
  ];
  const missing = names.find((each) => !arrays[each]);
  if (missing) throw new Error(`the weights lack ${missing}; load them again`);
  const [kernel, gamma, beta, mean, variance] = names.map((each) => arrays[each]);
  const scale = gamma.map((value, c) => value / Math.sqrt(variance[c] + epsilon));
  const bias = beta.map((value, c) => value - mean[c] * scale[c]);
  if (kernel.length % to) {
    throw new Error(`${name} has ${kernel.length} numbers, which ${to} channels cannot share`);
  }
  const whole = new Float32Array(kernel.length);
  for (let i = 0; i < kernel.length; i++) whole[i] = kernel[i] * scale[i % to];
  return { kernel: whole, bias };
}

/**
 * A matrix of `columns` columns with its columns in panels, as `product` takes it.
 * @param {Float32Array} matrix
 * @param {number} columns a multiple of PANEL
 */
export function inPanels(matrix, columns) {
  const panels = new Float32Array(matrix.length);
  eachInPanels(matrix.length, columns, (place, at) => panels[at] = matrix[place]);
  return panels;
}

/**
 * The way back.
 * @param {Float32Array} panels
 * @param {number} columns
 */
export function outOfPanels(panels, columns) {
  const matrix = new Float32Array(panels.length);
  eachInPanels(panels.length, columns, (place, at) => matrix[place] = panels[at]);
  return matrix;
}

/**
 * @param {number} length
 * @param {number} columns
 * @param {(place: number, at: number) => void} each is told a place in the matrix and the same in panels
 */
function eachInPanels(length, columns, each) {
  let at = 0;
  for (let panel = 0; panel < columns; panel += PANEL) {
    for (let row = 0; row < length; row += columns) {
      for (let c = 0; c < PANEL; c++) each(row + panel + c, at++);
    }
  }
}
