// The loops that take the time, twice: compiled to WebAssembly (kernels.c says what each does), and in plain JavaScript
// for browsers that refuse that. Both work on one memory; a place is the index of a number in it, and 0 is "none".

import { PROGRAM } from "./kernels_wasm.js";

/** @import { Path } from "./photographs_engine.js" */
/**
 * @typedef {object} Loops
 * @property {(a: number, rows: number, depth: number, row: number, step: number, b: number, panels: number,
 *   bias: number, added: number, most: number, c: number, across: number, along: number) => void} product
 * @property {(x: number, side: number, channels: number, weights: number, bias: number, size: number, stride: number,
 *   most: number, y: number) => void} depthwise
 * @property {(outputs: number, pictures: number, pixels: number, panels: number, given: number, most: number)
 *   => void} masked
 * @property {(weights: number, slopes: number, means: number, squares: number, count: number, rate: number,
 *   small: number) => void} adam
 */
/** @typedef {{ path: Path, memory: Memory, loops: Loops }} Kernels */

export const PANEL = 8; // columns that lie together in a matrix multiplied from the right
const FIRST = 2 ** 14; // the compiled program's stack lies before
const PAGE = 2 ** 14; // numbers in a page of WebAssembly's memory

/** Memory for numbers: what is taken after a mark is given back at once. It grows when it must, and never shrinks. */
class Memory {
  /** @param {WebAssembly.Memory | null} store */
  constructor(store) {
    this.store = store;
    /** Where the next numbers go. */
    this.end = FIRST;
    /** After `take` ask anew: growing moves them. */
    this.numbers = store ? new Float32Array(store.buffer) : new Float32Array(2 * PAGE);
  }

  /**
   * A place for so many numbers, not cleared.
   * @param {number} count
   */
  take(count) {
    const place = this.end;
    this.end += Math.ceil(count / 4) * 4;
    const missing = Math.ceil((this.end - this.numbers.length) / PAGE);
    if (missing > 0) this.grow(missing);
    return place;
  }

  /** @param {number} pages */
  grow(pages) {
    const before = this.numbers;
    if (this.store) {
      this.store.grow(pages);
      this.numbers = new Float32Array(this.store.buffer);
    } else {
      this.numbers = new Float32Array(before.length + pages * PAGE);
      this.numbers.set(before);
    }
  }

  /**
   * @param {ArrayLike<number>} values
   * @returns {number} their place
   */
  put(values) {
    const place = this.take(values.length);
    this.numbers.set(values, place);
    return place;
  }

  /**
   * The numbers themselves, until memory grows.
   * @param {number} place
   * @param {number} count
   */
  at(place, count) {
    return this.numbers.subarray(place, place + count);
  }
}

/**
 * The fast loops where the browser has them, or the way that is asked for.
 * @param {Path} [path]
 * @returns {Kernels}
 */
export function kernels(path) {
  if (path !== "plain") {
    try {
      return compiled();
    } catch (error) {
      if (path) throw error; // else plain JavaScript it is, and "loaded" says so
    }
  }
  const memory = new Memory(null);
  return { path: "plain", memory, loops: plain(memory) };
}

/** @returns {Kernels} */
function compiled() {
  const store = new WebAssembly.Memory({ initial: 2 });
  const bytes = Uint8Array.from(atob(PROGRAM), (letter) => letter.charCodeAt(0));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory: store } });
  const { product, depthwise, masked, adam } = /** @type {any} */ (exports);
  /** @type {Loops} */
  const loops = {
    product: (a, rows, depth, row, step, b, panels, bias, added, most, c, across, along) =>
      product(4 * a, rows, depth, row, step, 4 * b, panels, 4 * bias, 4 * added, most, 4 * c, across, along),
    depthwise: (x, side, channels, weights, bias, size, stride, most, y) =>
      depthwise(4 * x, side, channels, 4 * weights, 4 * bias, size, stride, most, 4 * y),
    masked: (outputs, pictures, pixels, panels, given, most) =>
      masked(4 * outputs, pictures, pixels, panels, 4 * given, most),
    adam: (weights, slopes, means, squares, count, rate, small) =>
      adam(4 * weights, 4 * slopes, 4 * means, 4 * squares, count, rate, small),
  };
  return { path: "wasm", memory: new Memory(store), loops };
}

/**
 * @param {Memory} memory
 * @returns {Loops}
 */
function plain(memory) {
  return {
    product: (...places) => plainProduct(memory.numbers, ...places),
    depthwise: (...places) => plainDepthwise(memory.numbers, ...places),
    masked: (...places) => plainMasked(memory.numbers, ...places),
    adam: (...places) => plainAdam(memory.numbers, ...places),
  };
}

/**
 * Two rows and four columns at a time.
 * @param {Float32Array} n
 * @param {Parameters<Loops["product"]>} places
 */
function plainProduct(n, ...places) {
  const [a, rows, depth, row, step, b, panels, bias, added, most, c, across, along] = places;
  const sums = new Float64Array(8);
  for (let half = 0; half < 2 * panels; half++) {
    const panel = half >> 1;
    const right = 4 * (half & 1);
    for (let i = 0; i < rows; i += 2) {
      tile(n, a + i * row, depth, row, step, b + panel * depth * PANEL + right, sums);
      for (let j = 0; j < 8; j++) {
        const at = (i + (j >> 2)) * across + panel * along + right + (j & 3);
        const sum = sums[j] + (bias ? n[bias + panel * PANEL + right + (j & 3)] : 0);
        n[c + at] = (most > 0 ? Math.min(most, Math.max(0, sum)) : sum) + (added ? n[added + at] : 0);
      }
    }
  }
}

/**
 * @param {Float32Array} n
 * @param {number} a
 * @param {number} depth
 * @param {number} row
 * @param {number} step
 * @param {number} b
 * @param {Float64Array} sums
 */
function tile(n, a, depth, row, step, b, sums) {
  let [s0, s1, s2, s3, s4, s5, s6, s7] = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let k = 0; k < depth; k++) {
    const x = n[a];
    const y = n[a + row];
    const [b0, b1, b2, b3] = [n[b], n[b + 1], n[b + 2], n[b + 3]];
    s0 += x * b0;
    s1 += x * b1;
    s2 += x * b2;
    s3 += x * b3;
    s4 += y * b0;
    s5 += y * b1;
    s6 += y * b2;
    s7 += y * b3;
    a += step;
    b += PANEL;
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
  sums[4] = s4;
  sums[5] = s5;
  sums[6] = s6;
  sums[7] = s7;
}

/**
 * @param {Float32Array} n
 * @param {Parameters<Loops["depthwise"]>} places
 */
function plainDepthwise(n, ...places) {
  const [x, side, channels, weights, bias, size, stride, most, y] = places;
  const out = Math.ceil(side / stride);
  const before = Math.max(0, (out - 1) * stride + size - side) >> 1;
  const sums = new Float32Array(channels);
  for (let place = 0; place < out * out; place++) {
    const top = Math.floor(place / out) * stride - before;
    const left = (place % out) * stride - before;
    sums.set(n.subarray(bias, bias + channels));
    for (let v = Math.max(0, -top); v < Math.min(size, side - top); v++) {
      for (let u = Math.max(0, -left); u < Math.min(size, side - left); u++) {
        const pixel = x + ((top + v) * side + left + u) * channels;
        const weight = weights + (v * size + u) * channels;
        for (let c = 0; c < channels; c++) sums[c] += n[pixel + c] * n[weight + c];
      }
    }
    for (let c = 0; c < channels; c++) n[y + place * channels + c] = Math.min(most, Math.max(0, sums[c]));
  }
}

/**
 * @param {Float32Array} n
 * @param {Parameters<Loops["masked"]>} places
 */
function plainMasked(n, ...places) {
  const [outputs, pictures, pixels, panels, given, most] = places;
  for (let panel = 0; panel < panels; panel++) {
    for (let p = 0; p < pictures * pixels; p++) {
      const at = outputs + (panel * pictures * pixels + p) * PANEL;
      const slope = given + (Math.floor(p / pixels) * panels + panel) * PANEL;
      for (let c = 0; c < PANEL; c++) {
        n[at + c] = n[at + c] > 0 && n[at + c] < most ? n[slope + c] : 0;
      }
    }
  }
}

/**
 * @param {Float32Array} n
 * @param {Parameters<Loops["adam"]>} places
 */
function plainAdam(n, ...places) {
  const [weights, slopes, means, squares, count, rate, small] = places;
  for (let i = 0; i < count; i++) {
    const slope = n[slopes + i];
    n[means + i] = 0.9 * n[means + i] + 0.1 * slope;
    n[squares + i] = 0.999 * n[squares + i] + 0.001 * slope * slope;
    n[weights + i] -= rate * n[means + i] / (Math.sqrt(n[squares + i]) + small);
  }
}
