// Pictures that are the same, or nearly: a burst, a copy saved anew. As tl_base/twins.py finds them.

import { SIDE } from "./photographs_read.js";

/** @typedef {Uint8Array<ArrayBuffer>} Pixels */
/** What of a picture is compared: its details at two sizes, and whether they fill more than a fifth of it.
 * @typedef {{ coarse: Float32Array, fine: Float32Array, busy: boolean }} Details */

const THUMB = 32; // side of what is compared
const COARSE = 0.85; // correlation of details at half that side, from which they are looked at closely
const BUSY = 0.2; // of its area that a picture's details fill, from which a like one is more than one more blob
const ALIKE = 0.9; // correlation from which two busy pictures show the same
const ALIKE_PLAIN = 0.98; // and two of which one is not busy
const FLAT = 1; // standard deviation, of 255, below which a picture has no details to compare

/**
 * Shrink a square picture: means of squares, 3 colours.
 * @param {ArrayLike<number>} values
 * @param {number} side
 * @param {number} to
 */
function shrunk(values, side, to) {
  const step = side / to;
  const small = new Float32Array(to * to * 3);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const place = 3 * (Math.floor(y / step) * to + Math.floor(x / step));
      for (let c = 0; c < 3; c++) small[place + c] += values[3 * (y * side + x) + c];
    }
  }
  return small.map((value) => value / step ** 2);
}

/** @param {number} sigma */
function kernelOf(sigma) {
  const radius = 4 * sigma;
  const weights = Array.from(
    { length: 2 * radius + 1 },
    (_, i) => Math.exp(-(((i - radius) / sigma) ** 2) / 2),
  );
  const total = weights.reduce((sum, each) => sum + each, 0);
  return weights.map((each) => each / total);
}

const KERNELS = { 2: kernelOf(2), 4: kernelOf(4) };

/**
 * Blur along one direction; at the edges the last value goes on.
 * @param {Float32Array} values
 * @param {number} side
 * @param {number[]} kernel
 * @param {boolean} down
 */
function blurred(values, side, kernel, down) {
  const radius = (kernel.length - 1) / 2;
  const result = new Float32Array(values.length);
  for (let line = 0; line < side; line++) {
    for (let at = 0; at < side; at++) {
      const place = 3 * (down ? at * side + line : line * side + at);
      for (let k = -radius; k <= radius; k++) {
        const from = Math.min(side - 1, Math.max(0, at + k));
        const source = 3 * (down ? from * side + line : line * side + from);
        for (let c = 0; c < 3; c++) result[place + c] += kernel[k + radius] * values[source + c];
      }
    }
  }
  return result;
}

/**
 * What a picture has beyond its blurred self, as a vector of length 1, or of zeros.
 * @param {Float32Array} values
 * @param {number} side
 * @param {2 | 4} sigma
 */
function details(values, side, sigma) {
  const smooth = blurred(blurred(values, side, KERNELS[sigma], true), side, KERNELS[sigma], false);
  const rest = values.map((value, i) => value - smooth[i]);
  const length = Math.sqrt(rest.reduce((sum, each) => sum + each * each, 0));
  return rest.map((each) => length > FLAT * Math.sqrt(rest.length) ? each / length : 0);
}

/** @param {Float32Array} fine */
function filled(fine) {
  let [sum, squares] = [0, 0];
  for (let place = 0; place < THUMB ** 2; place++) {
    const energy = fine[3 * place] ** 2 + fine[3 * place + 1] ** 2 + fine[3 * place + 2] ** 2;
    sum += energy;
    squares += energy ** 2;
  }
  return sum ** 2 / (THUMB ** 2 * Math.max(squares, 1e-12));
}

/** @param {Pixels} pixels @returns {Details} */
function detailsOf(pixels) {
  const thumb = shrunk(pixels, SIDE, THUMB).map(Math.round);
  const fine = details(thumb, THUMB, 4);
  return { fine, coarse: details(shrunk(thumb, THUMB, THUMB / 2), THUMB / 2, 2), busy: filled(fine) > BUSY };
}

/** @param {Float32Array} one @param {Float32Array} other */
function product(one, other) {
  let sum = 0;
  for (let i = 0; i < one.length; i++) sum += one[i] * other[i];
  return sum;
}

/** @param {Pixels} one @param {Pixels} other */
const same = (one, other) => one.length === other.length && one.every((value, i) => value === other[i]);

/** @param {Details} one @param {Details} other */
function alike(one, other) {
  if (product(one.coarse, other.coarse) <= COARSE) return false;
  return product(one.fine, other.fine) > (one.busy && other.busy ? ALIKE : ALIKE_PLAIN);
}

// Remembers what it compared, so that a new picture is compared once with those that are there.
export class Twins {
  constructor() {
    this.known = /** @type {Map<Pixels, { details: Details, twins: Set<Pixels> }>} */ (new Map());
  }

  /**
   * Say which pictures are linked, as pairs of places in the list.
   * @param {Pixels[]} all
   * @returns {[number, number][]}
   */
  links(all) {
    for (const pixels of all) if (!this.known.has(pixels)) this.meet(pixels);
    const places = new Map(all.map((pixels, i) => [pixels, i]));
    const links = /** @type {[number, number][]} */ ([]);
    all.forEach((pixels, i) => {
      for (const twin of this.known.get(pixels)?.twins ?? []) {
        const place = places.get(twin);
        if (place !== undefined && place < i) links.push([place, i]);
      }
    });
    return links;
  }

  /** @param {Pixels} pixels */
  meet(pixels) {
    const mine = { details: detailsOf(pixels), twins: /** @type {Set<Pixels>} */ (new Set()) };
    for (const [other, { details, twins }] of this.known) {
      if (!alike(mine.details, details) && !same(pixels, other)) continue;
      twins.add(pixels);
      mine.twins.add(other);
    }
    this.known.set(pixels, mine);
  }

  /**
   * Forget all but these.
   * @param {Set<Pixels>} kept
   */
  keep(kept) {
    for (const [pixels, { twins }] of this.known) {
      if (!kept.has(pixels)) this.known.delete(pixels);
      else for (const twin of twins) if (!kept.has(twin)) twins.delete(twin);
    }
  }
}

/**
 * Numbers that are equal for what is linked, directly or through others: 0, 1, … as they first appear.
 * @param {[number, number][]} links
 * @param {number} count
 */
export function groupsOf(links, count) {
  const parents = Array.from({ length: count }, (_, i) => i);
  const root = (/** @type {number} */ i) => {
    while (parents[i] !== i) i = parents[i] = parents[parents[i]];
    return i;
  };
  for (const [one, other] of links) {
    parents[Math.max(root(one), root(other))] = Math.min(root(one), root(other));
  }
  const numbers = /** @type {Map<number, number>} */ (new Map());
  return parents.map((_, i) => {
    const top = root(i);
    numbers.set(top, numbers.get(top) ?? numbers.size);
    return numbers.get(top) ?? 0;
  });
}
