// The networks of the photograph page and what they made of each picture: the answers to the page's questions.

import { Backbone } from "./efficientnet.js";
import { folded, randomArrays, unpackedHalves } from "./efficientnet_weights.js";
import { kernels } from "./kernels.js";
import { cosine, farther, Training, TUNED, unit } from "./photographs_arms.js";
import { LastStage } from "./tuning.js";

/** @import { Answer, Features, Question } from "./photographs_engine.js" */

const NAMED = /** @type {const} */ (["trained", "random", "pixels"]);
const [PATCH, STRIDE] = [32, 12]; // pixels of the square that covers, and from place to place
const SIDE = 32; // pixels of what the classifier of pixels sees

const pause = () => new Promise((resolve) => setTimeout(resolve, 0));

/** The networks, and what they made of the pictures that were seen. */
export class Networks {
  /**
   * @param {Extract<Question, { do: "load" }>} question
   * @param {(answer: Answer) => void} tell
   */
  constructor({ network, numbers, layout, seed, path }, tell) {
    const arrays = unpackedHalves(new Uint16Array(numbers), layout);
    this.network = network;
    this.tell = tell;
    this.kernels = kernels(path);
    this.trained = new Backbone(this.kernels, network, arrays);
    this.random = new Backbone(this.kernels, network, randomArrays(network, seed));
    const top = this.trained.layers[this.trained.layers.length - 1];
    const start = { ...folded(top, arrays, network.epsilon), most: network.most };
    this.stage = new LastStage(this.kernels, start);
    this.known = /** @type {Map<number, Features>} */ (new Map());
    this.training = /** @type {Training | null} */ (null);
    this.going = Promise.resolve();
    this.covering = -1;
  }

  /**
   * @param {Uint8Array} pixels
   * @returns {Features}
   */
  features(pixels) {
    const { pooled, last } = this.trained.see(pixels);
    return {
      trained: pooled,
      last,
      random: this.random.see(pixels).pooled,
      pixels: smaller(pixels, this.network.size),
    };
  }

  /** @param {Extract<Question, { do: "see" }>} question */
  see({ id, pixels }) {
    const begin = performance.now();
    const features = this.features(pixels);
    this.known.set(id, features);
    this.tell({ do: "seen", id, features, seconds: (performance.now() - begin) / 1000 });
  }

  stop() {
    if (this.training) this.training.stopped = true;
    this.covering = -1;
  }

  /** @param {Extract<Question, { do: "train" }>} question */
  train({ run, rows, classes, seed }) {
    const missing = rows.filter(({ id }) => !this.known.has(id)).length;
    if (missing) throw new Error(`${missing} of ${rows.length} pictures were not seen yet; see them first`);
    if (new Set(rows.map(({ label }) => label)).size !== classes || classes < 2) {
      throw new Error(`a training needs pictures of each of 2 classes or more; there are ${classes}`);
    }
    if (this.training) this.training.stopped = true;
    const features = rows.map(({ id }) => /** @type {Features} */ (this.known.get(id)));
    const training = new Training(
      this.kernels,
      this.stage,
      { run, rows, classes, seed, features },
      this.tell,
    );
    this.training = training;
    this.going = this.going.then(() => training.go()).catch((error) => {
      const message = error instanceof Error ? error.message : String(error);
      this.tell({ do: "failed", about: "train", ask: run, message });
    });
  }

  /** @param {Extract<Question, { do: "name" }>} question */
  name({ ask, of, nearest }) {
    const training = this.training;
    if (!training) throw new Error("no network is trained yet");
    const features = "id" in of ? this.known.get(of.id) : this.features(of.pixels);
    if (!features) throw new Error("this picture was not seen yet");
    const { rows, features: all } = training.order;
    const own = "id" in of ? rows.find(({ id }) => id === of.id)?.group : undefined;
    const looked = unit(features.trained);
    const found = rows.map(({ id, group }, i) => ({
      id,
      group,
      similarity: cosine(unit(all[i].trained), looked),
    }));
    const others = found.filter(({ group }) => group !== own).sort((a, b) => b.similarity - a.similarity);
    const distance = others.length ? Math.max(0, 1 - others[0].similarity) : 1;
    const shares = training.trained.map((made, arm) => made ? [...training.says(made, arm, features)] : []);
    const near = others.slice(0, nearest).map(({ id, similarity }) => ({ id, similarity }));
    const rest = farther(training.distances(), distance);
    this.tell({ do: "named", ask, named: { shares, nearest: near, distance, farther: rest } });
  }

  /** @param {Extract<Question, { do: "occlude" }>} question */
  async occlude({ ask, of, arm, label }) {
    const training = this.training;
    const complete = training?.trained[arm];
    if (!training || !complete) throw new Error("this network is not trained yet");
    const apart = training.without(arm, of.id);
    const made = apart ?? complete;
    this.covering = ask;
    const { size, middle } = this.network;
    const share = (/** @type {Uint8Array} */ pixels) =>
      training.says(made, arm, this.only(arm, pixels))[label];
    const whole = share(of.pixels);
    const side = Math.floor((size - PATCH) / STRIDE) + 1;
    const drops = new Float32Array(side * side);
    let rested = performance.now();
    for (let place = 0; place < drops.length; place++) {
      const [top, left] = [STRIDE * Math.floor(place / side), STRIDE * (place % side)];
      drops[place] = whole - share(covered(of.pixels, size, top, left, middle));
      if (performance.now() - rested < 25) continue;
      this.tell({ do: "progress", ask, share: (place + 1) / drops.length, doing: "covering the picture" });
      await pause();
      if (this.covering !== ask) throw new Error("stopped");
      rested = performance.now();
    }
    this.covering = -1;
    const heldBack = apart !== null;
    this.tell({ do: "occluded", ask, heldBack, share: whole, side, patch: PATCH, stride: STRIDE, drops });
  }

  /**
   * What one arm alone needs of a picture.
   * @param {number} arm
   * @param {Uint8Array} pixels
   * @returns {Features}
   */
  only(arm, pixels) {
    const none = new Float32Array(0);
    const features = { trained: none, last: none, random: none, pixels: none };
    if (NAMED[arm] === "pixels") return { ...features, pixels: smaller(pixels, this.network.size) };
    const { pooled, last } = (NAMED[arm] === "random" ? this.random : this.trained).see(pixels);
    return { ...features, trained: pooled, random: pooled, last };
  }

  /** @param {Extract<Question, { do: "export" }>} question */
  export({ ask, arm }) {
    const made = this.training?.trained[arm];
    if (!made) throw new Error("this network is not trained yet");
    const { mean, scale, kernel, bias } = made.head;
    const [width, classes] = [mean.length, bias.length];
    const arrays = {
      kernel: { shape: [width, classes], values: kernel },
      bias: { shape: [classes], values: bias },
      mean: { shape: [width], values: mean },
      scale: { shape: [width], values: scale },
    };
    const { channels, features } = this.stage;
    const last = arm === TUNED && made.last && {
      last_kernel: { shape: [channels, features], values: this.stage.kernelOf(made.last) },
      last_bias: { shape: [features], values: made.last.bias },
    };
    this.tell({ do: "exported", ask, arm, arrays: { ...arrays, ...last } });
  }
}

/**
 * Mean colours of squares: 32 by 32 of them.
 * @param {Uint8Array} pixels
 * @param {number} size
 */
function smaller(pixels, size) {
  const width = size / SIDE;
  const means = new Float32Array(SIDE * SIDE * 3);
  for (let i = 0; i < pixels.length; i++) {
    const [row, column] = [Math.floor(i / (3 * size)), Math.floor(i / 3) % size];
    const place = Math.floor(row / width) * SIDE + Math.floor(column / width);
    means[3 * place + i % 3] += pixels[i] / (width * width);
  }
  return means;
}

/**
 * @param {Uint8Array} pixels
 * @param {number} size
 * @param {number} top
 * @param {number} left
 * @param {number} grey
 */
function covered(pixels, size, top, left, grey) {
  const copy = pixels.slice();
  for (let row = top; row < top + PATCH; row++) {
    copy.fill(grey, (row * size + left) * 3, (row * size + left + PATCH) * 3);
  }
  return copy;
}
