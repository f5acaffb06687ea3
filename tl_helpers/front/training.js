// Training several networks side by side, and naming drawings with them.

import { Adam, drawn, Network } from "./network.js";
import { batches } from "./random.js";

/** @import { Trunk, Weights } from "./trunk.js" */
/** @typedef {{ train: number[], test: number[] }} Part rows of drawings that are trained on and held back */
/** @typedef {{ random: boolean, standardise: boolean, rate: number, frozen: number }} Recipe */
/**
 * What the page asks for.
 * @typedef {object} Order
 * @property {Recipe[]} arms
 * @property {number[]} labels
 * @property {Part[]} parts
 * @property {number} seed
 * @property {number} classes
 * @property {number} steps
 * @property {number} batch
 * @property {number} points of each curve
 */
/** @typedef {{ part: number, arm: number, step: number, loss: number, answers: number[], seconds: number }} Point */
/** @typedef {{ name: string, side: number, count: number, values: Float32Array }} Maps a layer's activations */
/**
 * What the page hears.
 * @typedef {{ do: "point" } & Point
 *   | { do: "done", stopped: boolean }
 *   | { do: "named", chances: number[][], maps: Maps[] }
 *   | { do: "failed", message: string }} Message
 */

const now = () => performance.now() / 1000;

// One network on one part of the drawings; `prefixes` are those of all drawings, computed once for all parts.
class Run {
  /**
   * @param {Order} order
   * @param {Recipe} arm
   * @param {Part} part
   * @param {Float64Array[]} prefixes
   * @param {{ trunk: Trunk, weights: Weights[] }} start
   */
  constructor({ classes, steps, batch, seed, labels }, arm, part, prefixes, start) {
    const begin = now();
    this.part = part;
    this.prefixes = prefixes;
    this.labels = labels;
    this.done = 0;
    this.network = new Network({ ...start, classes, frozen: arm.frozen, standardise: arm.standardise });
    this.network.fitScale(arm.standardise ? part.train.map((row) => prefixes[row]) : []);
    this.adam = new Adam(this.network.trainable(), arm.rate, steps);
    this.batches = batches(part.train.length, batch, steps, seed);
    this.seconds = now() - begin;
  }

  step() {
    const begin = now();
    const rows = this.batches[this.done].map((place) => this.part.train[place]);
    const prefixes = rows.map((row) => this.prefixes[row]);
    const { loss, slopes } = this.network.loss(prefixes, rows.map((row) => this.labels[row]));
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

export class Trainer {
  /**
   * @param {Trunk} trunk
   * @param {Weights[]} source
   * @param {(message: Message) => void} tell
   */
  constructor(trunk, source, tell) {
    this.trunk = trunk;
    this.source = source;
    this.tell = tell;
    this.networks = /** @type {Network[]} */ ([]);
    this.stopped = false;
    this.breathed = now();
    const { port1, port2 } = new MessageChannel();
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

  /**
   * @param {Order} order
   * @param {Uint8Array} images
   * @param {Recipe} arm
   * @param {Weights[]} weights
   */
  async prefixes({ labels, classes }, images, arm, weights) {
    const network = new Network({ trunk: this.trunk, weights, classes, frozen: arm.frozen });
    const size = images.length / labels.length;
    const prefixes = [];
    for (let row = 0; row < labels.length && !this.stopped; row++) {
      prefixes.push(network.prefix(images.subarray(row * size, (row + 1) * size)));
      await this.pause();
    }
    return prefixes;
  }

  /**
   * Train all arms on each part in turn; the networks of the last part are those that name new drawings.
   * @param {Order} order
   * @param {Uint8Array} images
   */
  async train(order, images) {
    this.stopped = false;
    this.networks = [];
    const starts = order.arms.map(({ random }) => (random ? drawn(this.trunk, order.seed) : this.source));
    const prefixes = /** @type {Float64Array[][]} */ ([]);
    const costs = /** @type {number[]} */ ([]);
    for (const [i, arm] of order.arms.entries()) {
      const begin = now();
      prefixes.push(await this.prefixes(order, images, arm, starts[i]));
      costs.push(now() - begin);
    }
    for (const [number, part] of order.parts.entries()) {
      if (this.stopped) break;
      const runs = order.arms.map((arm, i) => {
        return new Run(order, arm, part, prefixes[i], { trunk: this.trunk, weights: starts[i] });
      });
      this.networks = runs.map((run) => run.network);
      await this.together(order, runs, number, costs);
    }
    this.tell({ do: "done", stopped: this.stopped });
  }

  /**
   * All arms reach a point before any goes on to the next, so that their curves grow side by side.
   * @param {Order} order
   * @param {Run[]} runs
   * @param {number} part
   * @param {number[]} costs seconds of the prefixes
   */
  async together({ points, steps }, runs, part, costs) {
    const marks = Array.from({ length: points }, (_, i) => Math.round(((i + 1) * steps) / points));
    for (const mark of new Set(marks.filter(Boolean))) {
      for (const [arm, run] of runs.entries()) {
        const losses = [];
        while (run.done < mark && !this.stopped) {
          losses.push(run.step());
          await this.pause();
        }
        if (!losses.length) continue;
        const loss = losses.reduce((sum, each) => sum + each, 0) / losses.length;
        const seconds = run.seconds + costs[arm];
        this.tell({ do: "point", part, arm, step: run.done, loss, answers: run.answers(), seconds });
      }
      if (this.stopped) return;
    }
  }

  /**
   * What every network says of a drawing, and what one of them computes on the way.
   * @param {Uint8Array} image
   * @param {number} which
   */
  name(image, which) {
    const chances = this.networks.map((network) => network.probabilities(network.prefix(image)));
    const network = this.networks[which];
    this.tell({ do: "named", chances, maps: network ? this.maps(network, image) : [] });
  }

  /**
   * @param {Network} network
   * @param {Uint8Array} image
   */
  maps(network, image) {
    network.features(network.prefix(image));
    return this.trunk.layers.map(({ name, out, to }, l) => {
      return { name, side: out, count: to, values: Float32Array.from(this.trunk.buffers[l].active) };
    });
  }
}
