// The convolutions of the book's small network, forward and backward, in plain JavaScript over typed arrays: filters of
// three by three, ReLU, and behind some of them the largest of each two by two. Python says how many and how large.

/** @typedef {{ name: string, from: number, to: number, pool: boolean }} Shape */
/** @typedef {{ side: number, layers: Shape[] }} Architecture */
/** @typedef {Shape & { side: number, out: number, end: number, width: number }} Layer */
/** @typedef {{ kernel: Float64Array, bias: Float64Array }} Weights */
/** @typedef {{ turned: Float64Array, bias: Float64Array }} Slopes */
/**
 * One image at a time goes through a layer, so one set of buffers is enough.
 * @typedef {object} Buffers
 * @property {Float64Array} active after ReLU
 * @property {Float64Array} pooled
 * @property {Int32Array} chosen place in `active` that each pooled value came from
 * @property {Float64Array} slope of the loss, by the layer's input
 * @property {Int32Array} places of what is not zero under the filter
 * @property {Float64Array} values of what is not zero under the filter
 */

/**
 * The sizes of all layers, and how many features come out of them.
 * @param {Architecture} architecture
 */
export function sizesOf({ side, layers: shapes }) {
  const layers = /** @type {Layer[]} */ ([]);
  for (const shape of shapes) {
    const out = side - 2;
    const end = shape.pool ? out >> 1 : out;
    layers.push({ ...shape, side, out, end, width: 9 * shape.from });
    side = end;
  }
  return { layers, features: side * side * shapes[shapes.length - 1].to };
}

export class Trunk {
  /** @param {Architecture} architecture */
  constructor(architecture) {
    const { layers, features } = sizesOf(architecture);
    this.layers = layers;
    this.features = features;
    this.buffers = layers.map(buffersOf);
  }

  /**
   * Run the layers from `begin` up to before `end`; the activations stay in the buffers.
   * @param {Weights[]} weights
   * @param {Float64Array} input
   */
  forward(weights, input, begin = 0, end = this.layers.length) {
    for (let l = begin; l < end; l++) {
      convolve(this.layers[l], weights[l], this.buffers[l], input);
      pool(this.layers[l], this.buffers[l]);
      input = this.buffers[l].pooled;
    }
    return input;
  }

  /**
   * Add the slopes of the layers from the last one down to `begin`, for the image that went through last.
   * @param {{ turned: Float64Array, slopes: Slopes }[]} trained filters' weights side by side; `begin` first
   * @param {Float64Array} above slope of the loss, by the features
   * @param {Float64Array} input of layer `begin`
   * @param {number} begin
   */
  backward(trained, above, input, begin) {
    for (let l = this.layers.length - 1; l >= begin; l--) {
      const { turned, slopes } = trained[l - begin];
      const below = l > begin ? this.buffers[l - 1].pooled : input;
      addSlopes(this.layers[l], turned, slopes, this.buffers[l], below, above, l > begin);
      above = this.buffers[l].slope;
    }
  }
}

/**
 * @param {Layer} layer
 * @returns {Buffers}
 */
function buffersOf({ out, end, to, side, from, width }) {
  return {
    active: new Float64Array(out * out * to),
    pooled: new Float64Array(end * end * to),
    chosen: new Int32Array(end * end * to),
    slope: new Float64Array(side * side * from),
    places: new Int32Array(width),
    values: new Float64Array(width),
  };
}

/**
 * Gather what is not zero under the filter: drawings are mostly black, and ReLU leaves zeros.
 * @param {Layer} layer
 * @param {Buffers} buffers
 * @param {Float64Array} input
 * @param {number} row
 * @param {number} column
 */
function gather({ side, from, to }, { places, values }, input, row, column) {
  let count = 0;
  for (let r = 0; r < 3; r++) {
    const start = ((row + r) * side + column) * from;
    for (let j = 0; j < 3 * from; j++) {
      if (input[start + j] === 0) continue;
      places[count] = (r * 3 * from + j) * to;
      values[count++] = input[start + j];
    }
  }
  return count;
}

/**
 * @param {Layer} layer
 * @param {Weights} weights
 * @param {Buffers} buffers
 * @param {Float64Array} input
 */
function convolve(layer, { kernel, bias }, buffers, input) {
  const { out, to } = layer;
  const { active, places, values } = buffers;
  for (let place = 0; place < out * out; place++) {
    const count = gather(layer, buffers, input, Math.floor(place / out), place % out);
    for (let o = 0; o < to; o += 4) {
      let [a, b, c, d] = [bias[o], bias[o + 1], bias[o + 2], bias[o + 3]];
      for (let j = 0; j < count; j++) {
        const value = values[j];
        const at = places[j] + o;
        a += value * kernel[at];
        b += value * kernel[at + 1];
        c += value * kernel[at + 2];
        d += value * kernel[at + 3];
      }
      const at = place * to + o;
      active[at] = a > 0 ? a : 0;
      active[at + 1] = b > 0 ? b : 0;
      active[at + 2] = c > 0 ? c : 0;
      active[at + 3] = d > 0 ? d : 0;
    }
  }
}

/**
 * Largest of each two by two; of equal values the first, as TensorFlow takes it.
 * @param {Layer} layer
 * @param {Buffers} buffers
 */
function pool({ out, end, to, pool }, { active, pooled, chosen }) {
  const step = pool ? 2 : 1;
  for (let i = 0; i < pooled.length; i++) {
    const o = i % to;
    const place = (i - o) / to;
    const first = (step * Math.floor(place / end) * out + step * (place % end)) * to + o;
    let best = first;
    if (pool) {
      for (const other of [first + to, first + out * to, first + (out + 1) * to]) {
        if (active[other] > active[best]) best = other;
      }
    }
    chosen[i] = best;
    pooled[i] = active[best];
  }
}

/**
 * @param {Float64Array} sums
 * @param {number} at
 * @param {Float64Array} values
 * @param {number} from
 * @param {number} times
 * @param {number} count a multiple of 3
 */
function addTo(sums, at, values, from, times, count) {
  for (let j = 0; j < count; j += 3) {
    sums[at + j] += times * values[from + j];
    sums[at + j + 1] += times * values[from + j + 1];
    sums[at + j + 2] += times * values[from + j + 2];
  }
}

/**
 * Add a layer's slopes. Only the places that pooling chose, and that ReLU let through, have a slope.
 * @param {Layer} layer
 * @param {Float64Array} turned
 * @param {Slopes} slopes
 * @param {Buffers} buffers
 * @param {Float64Array} input
 * @param {Float64Array} above
 * @param {boolean} further whether a layer below needs its slope
 */
function addSlopes(
  { side, from, to, out, width },
  turned,
  slopes,
  { active, chosen, slope },
  input,
  above,
  further,
) {
  if (further) slope.fill(0);
  for (let i = 0; i < above.length; i++) {
    const given = above[i];
    if (given === 0 || active[chosen[i]] === 0) continue;
    const o = chosen[i] % to;
    const place = (chosen[i] - o) / to;
    slopes.bias[o] += given;
    for (let r = 0; r < 3; r++) {
      const start = ((Math.floor(place / out) + r) * side + (place % out)) * from;
      const at = o * width + r * 3 * from;
      addTo(slopes.turned, at, input, start, given, 3 * from);
      if (further) addTo(slope, start, turned, at, given, 3 * from);
    }
  }
}
