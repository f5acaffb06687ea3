// The engine: forward and backward pass of the book's small network, and Adam, in plain JavaScript over typed arrays.
// It knows the layers of models.source_cnn up to conv3 and a linear head, and nothing else. It runs in a worker of its
// own, so that the page stays responsive; drawing.js sends it messages, and serve() at the end answers them.

const SIDE = 32;
const PIXELS = SIDE * SIDE * 3;
const TRUNK = [
  { name: "conv1", side: 32, from: 3, to: 32, pool: true },
  { name: "conv2", side: 15, from: 32, to: 64, pool: true },
  { name: "conv3", side: 6, from: 64, to: 64, pool: false },
].map((layer) => ({ ...layer, out: layer.side - 2, end: layer.pool ? (layer.side - 2) >> 1 : layer.side - 2, width: 9 * layer.from }));
const FEATURES = 1024; // 4 × 4 × 64, flattened

// One image at a time goes through the network, so one set of buffers is enough.
const BUFFERS = TRUNK.map(({ out, end, to, side, from, width }) => ({
  active: new Float64Array(out * out * to), // after ReLU
  pooled: new Float64Array(end * end * to),
  chosen: new Int32Array(end * end * to), // place in `active` that each pooled value came from
  slope: new Float64Array(side * side * from), // of the loss, by the layer's input
  places: new Int32Array(width),
  values: new Float64Array(width),
}));

// --- Weights --------------------------------------------------------------------------------------------------------

// Numbers from 0 to 1 that depend on the seed alone (mulberry32).
function randomness(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled(count, random) {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

// float16 to numbers: sign, exponent, fraction.
function fromHalf(halves) {
  return Float64Array.from(halves, (half) => {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
    return half & 0x8000 ? -size : size;
  });
}

// The source's trunk from base64: kernel and bias of each layer, one behind the other, little endian.
function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const numbers = fromHalf(new Uint16Array(bytes.buffer));
  let start = 0;
  const take = (count) => numbers.slice(start, (start += count));
  return TRUNK.map(({ width, to }) => ({ kernel: take(width * to), bias: take(to) }));
}

// Glorot's uniform draw, as Keras starts a convolution.
function drawn(seed) {
  return TRUNK.map(({ width, from, to }, i) => {
    const random = randomness(1000 * seed + i);
    const limit = Math.sqrt(6 / (9 * (from + to)));
    return { kernel: Float64Array.from({ length: width * to }, () => limit * (2 * random() - 1)), bias: new Float64Array(to) };
  });
}

const copied = (layers) => layers.map(({ kernel, bias }) => ({ kernel: kernel.slice(), bias: bias.slice() }));

// --- Forward --------------------------------------------------------------------------------------------------------

// Gather what is not zero under the filter: drawings are mostly black, and ReLU leaves zeros.
function gather(layer, { places, values }, input, row, column) {
  const { side, from, to } = layer;
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

// Largest of each two by two; of equal values the first, as TensorFlow takes it.
function pool({ out, end, to, pool }, { active, pooled, chosen }) {
  for (let i = 0; i < pooled.length; i++) {
    const o = i % to;
    const place = (i - o) / to;
    const step = pool ? 2 : 1;
    const first = (step * Math.floor(place / end) * out + step * (place % end)) * to + o;
    let best = first;
    if (pool) for (const other of [first + to, first + out * to, first + (out + 1) * to]) if (active[other] > active[best]) best = other;
    chosen[i] = best;
    pooled[i] = active[best];
  }
}

// Run the layers from `begin` up to before `end`; the activations stay in BUFFERS.
function forward(layers, input, begin, end) {
  for (let l = begin; l < end; l++) {
    convolve(TRUNK[l], layers[l], BUFFERS[l], input);
    pool(TRUNK[l], BUFFERS[l]);
    input = BUFFERS[l].pooled;
  }
  return input;
}

// Softmax of the head's outputs.
function probabilities(head, features, classes) {
  const logits = logitsOf(head, features, classes);
  const top = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - top));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

function logitsOf({ kernel, bias }, features, classes) {
  const logits = Array.from(bias);
  for (let j = 0; j < features.length; j++) {
    if (features[j] === 0) continue;
    for (let k = 0; k < classes; k++) logits[k] += features[j] * kernel[j * classes + k];
  }
  return logits;
}

// --- Backward -------------------------------------------------------------------------------------------------------

const transposed = (matrix, rows, columns) => {
  const turned = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) turned[j * rows + i] = matrix[i * columns + j];
  return turned;
};

function addTo(sums, at, values, from, times, count) {
  for (let j = 0; j < count; j += 3) {
    sums[at + j] += times * values[from + j];
    sums[at + j + 1] += times * values[from + j + 1];
    sums[at + j + 2] += times * values[from + j + 2];
  }
}

// Add a layer's slopes. `turned` and `slopes.turned` hold a filter's weights side by side. Only the places that pooling
// chose, and that ReLU let through, have a slope.
function backward(layer, turned, slopes, { active, chosen, slope }, input, above, further) {
  const { side, from, to, out, width } = layer;
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

// --- A network ------------------------------------------------------------------------------------------------------

class Network {
  // `frozen` layers never change. With `standardise`, features are shifted and scaled (only with all layers frozen).
  constructor({ layers, classes, frozen, standardise = false }) {
    Object.assign(this, { layers: copied(layers), classes, frozen, standardise });
    this.head = { kernel: new Float64Array(FEATURES * classes), bias: new Float64Array(classes) };
    this.scale = null;
  }

  // What comes out of the frozen layers: computed once an image.
  prefix(image) {
    const scaled = Float64Array.from(image, (value) => value / 255);
    return this.frozen ? Float64Array.from(forward(this.layers, scaled, 0, this.frozen)) : scaled;
  }

  // As transfer.feature_extraction: (f − μ) / √(σ² + ε), where ε is the mean of all variances.
  fitScale(rows) {
    if (!this.standardise) return;
    const shift = new Float64Array(FEATURES);
    const variance = new Float64Array(FEATURES);
    for (const row of rows) for (let j = 0; j < FEATURES; j++) shift[j] += row[j] / rows.length;
    for (const row of rows) for (let j = 0; j < FEATURES; j++) variance[j] += (row[j] - shift[j]) ** 2 / rows.length;
    const raised = variance.reduce((sum, value) => sum + value, 0) / FEATURES || 1e-38;
    this.scale = { shift, factor: variance.map((value) => 1 / Math.sqrt(value + raised)) };
  }

  features(prefix) {
    const found = forward(this.layers, prefix, this.frozen, TRUNK.length);
    if (!this.scale) return found;
    return found.map((value, j) => (value - this.scale.shift[j]) * this.scale.factor[j]);
  }

  logits(image) {
    return logitsOf(this.head, this.features(this.prefix(image)), this.classes);
  }

  probabilities(prefix) {
    return probabilities(this.head, this.features(prefix), this.classes);
  }

  // All that a step changes: kernels and biases, input first.
  weights() {
    return [...this.layers.slice(this.frozen), this.head].flatMap(({ kernel, bias }) => [kernel, bias]);
  }

  // The layers that train, with room for their slopes.
  trained() {
    return TRUNK.slice(this.frozen).map((layer, i) => {
      const slopes = { turned: new Float64Array(layer.width * layer.to), bias: new Float64Array(layer.to) };
      const { kernel } = this.layers[this.frozen + i];
      return { layer, at: this.frozen + i, turned: transposed(kernel, layer.width, layer.to), slopes };
    });
  }

  // Mean cross-entropy of some images, and its slopes by weights().
  loss(prefixes, labels) {
    const trained = this.trained();
    const head = { kernel: new Float64Array(this.head.kernel.length), bias: new Float64Array(this.classes) };
    let loss = 0;
    prefixes.forEach((prefix, row) => {
      const features = this.features(prefix);
      const errors = probabilities(this.head, features, this.classes);
      loss -= Math.log(Math.max(errors[labels[row]], 1e-300)) / prefixes.length;
      errors[labels[row]] -= 1;
      this.spread(errors.map((error) => error / prefixes.length), features, head, trained, prefix);
    });
    const slopes = trained.flatMap(({ layer, slopes }) => [transposed(slopes.turned, layer.to, layer.width), slopes.bias]);
    return { loss, slopes: [...slopes, head.kernel, head.bias] };
  }

  // Add one image's slopes: first the head's, then layer by layer towards the input.
  spread(errors, features, head, trained, prefix) {
    const { classes } = this;
    const above = new Float64Array(FEATURES);
    for (let k = 0; k < classes; k++) head.bias[k] += errors[k];
    for (let j = 0; j < FEATURES; j++) {
      for (let k = 0; k < classes; k++) {
        head.kernel[j * classes + k] += features[j] * errors[k];
        above[j] += errors[k] * this.head.kernel[j * classes + k];
      }
    }
    let given = above;
    for (const { layer, at, turned, slopes } of trained.toReversed()) {
      const input = at > this.frozen ? BUFFERS[at - 1].pooled : prefix;
      backward(layer, turned, slopes, BUFFERS[at], input, given, at > this.frozen);
      given = BUFFERS[at].slope;
    }
  }
}

// Adam with the numbers of Keras, and the learning rate of training.fit: it falls to 0 along half a cosine.
class Adam {
  constructor(weights, rate, steps) {
    Object.assign(this, { weights, rate, steps, done: 0 });
    this.means = weights.map((each) => new Float64Array(each.length));
    this.squares = weights.map((each) => new Float64Array(each.length));
  }

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

// --- Training -------------------------------------------------------------------------------------------------------

const now = () => performance.now() / 1000;

// The rows of every batch, as training.batch_rows draws them: shuffled passes, each row as often as any other.
function batches(count, size, steps, seed) {
  const random = randomness(seed);
  const batch = Math.min(size, count);
  const order = [];
  while (order.length < steps * batch) order.push(...shuffled(count, random));
  return Array.from({ length: steps }, (_, step) => order.slice(step * batch, (step + 1) * batch));
}

// One network on one part of the drawings; `prefixes` are those of all drawings, computed once for all parts.
class Run {
  constructor(order, arm, part, prefixes, layers) {
    const { classes, steps, batch, seed, labels } = order;
    Object.assign(this, { arm, part, prefixes, labels, done: 0, seconds: 0 });
    const begin = now();
    this.network = new Network({ layers, classes, frozen: arm.frozen, standardise: arm.standardise });
    this.network.fitScale(arm.standardise ? part.train.map((row) => prefixes[row]) : []);
    this.adam = new Adam(this.network.weights(), arm.rate, steps);
    this.batches = batches(part.train.length, batch, steps, seed);
    this.seconds += now() - begin;
  }

  step() {
    const begin = now();
    const rows = this.batches[this.done].map((place) => this.part.train[place]);
    const { loss, slopes } = this.network.loss(rows.map((row) => this.prefixes[row]), rows.map((row) => this.labels[row]));
    this.adam.step(slopes);
    this.done += 1;
    this.seconds += now() - begin;
    return loss;
  }

  // The class that the network gives to each drawing that was held back.
  answers() {
    return this.part.test.map((row) => {
      const chances = this.network.probabilities(this.prefixes[row]);
      return chances.indexOf(Math.max(...chances));
    });
  }
}

class Trainer {
  constructor(source, tell) {
    Object.assign(this, { source, tell, networks: [], stopped: false });
    const { port1, port2 } = new MessageChannel();
    this.breathed = now();
    this.breathe = () =>
      new Promise((resolve) => {
        port1.onmessage = resolve; // quicker than a timer, which waits four milliseconds
        port2.postMessage(0);
      });
  }

  // Let messages in, such as Stop or a drawing to name, but not more often than they could be noticed.
  async pause() {
    if (now() - this.breathed < 0.03) return;
    await this.breathe();
    this.breathed = now();
  }

  async prefixes(order, arm, layers) {
    const network = new Network({ layers, classes: order.classes, frozen: arm.frozen });
    const found = [];
    for (let row = 0; row < order.labels.length && !this.stopped; row++) {
      found.push(network.prefix(order.images.subarray(row * PIXELS, (row + 1) * PIXELS)));
      await this.pause();
    }
    return found;
  }

  // Train all arms on each part in turn; the networks of the last part are those that name new drawings.
  async train(order) {
    Object.assign(this, { stopped: false, networks: [] });
    const starts = order.arms.map((arm) => (arm.random ? drawn(order.seed) : this.source));
    const prefixes = [];
    const costs = [];
    for (const [i, arm] of order.arms.entries()) {
      const begin = now();
      prefixes.push(await this.prefixes(order, arm, starts[i]));
      costs.push(now() - begin);
    }
    for (const [number, part] of order.parts.entries()) {
      if (this.stopped) break;
      const runs = order.arms.map((arm, i) => new Run(order, arm, part, prefixes[i], starts[i]));
      this.networks = runs.map((run) => run.network);
      await this.together(order, runs, number, costs);
    }
    this.tell({ do: "done", stopped: this.stopped });
  }

  // All arms reach a point before any goes on to the next, so that their curves grow side by side.
  async together(order, runs, part, costs) {
    const marks = [...new Set(Array.from({ length: order.points }, (_, i) => Math.round(((i + 1) * order.steps) / order.points)))].filter(Boolean);
    for (const mark of marks) {
      for (const [arm, run] of runs.entries()) {
        const losses = [];
        while (run.done < mark && !this.stopped) {
          losses.push(run.step());
          await this.pause();
        }
        if (!losses.length) continue;
        const loss = losses.reduce((sum, each) => sum + each, 0) / losses.length;
        this.tell({ do: "point", part, arm, step: run.done, loss, answers: run.answers(), seconds: run.seconds + costs[arm] });
      }
      if (this.stopped) return;
    }
  }

  // What every network says of a drawing, and what one of them computes on the way.
  name(image, which) {
    const chances = this.networks.map((network) => network.probabilities(network.prefix(image)));
    const network = this.networks[which];
    if (network) network.features(network.prefix(image));
    const maps = network ? TRUNK.map(({ name, out, to }, l) => ({ name, side: out, count: to, values: Float32Array.from(BUFFERS[l].active) })) : [];
    this.tell({ do: "named", chances, maps });
  }
}

// Answer the page. `scope` is the worker.
function serve(scope) {
  const tell = (message) => scope.postMessage(message);
  let trainer = null;
  scope.onmessage = async ({ data }) => {
    try {
      if (data.do === "load") trainer = new Trainer(unpacked(data.weights), tell);
      if (data.do === "train") await trainer.train(data);
      if (data.do === "stop") trainer.stopped = true;
      if (data.do === "name") trainer.name(data.image, data.which);
    } catch (error) {
      tell({ do: "failed", message: String(error?.message ?? error) });
    }
  };
}
