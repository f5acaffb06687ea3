// What the explorer offers and what was recorded, as Python gives it; choices in words and in the page's address.

/** @import { Looks } from "./charts.js" */
/** @typedef {{ pair: string, labels: number, method: string, states: string }} Choice */
/** @typedef {{ name: string, output: string, parameters: number }} Layer */
/** @typedef {{ method: string, states: string, pairs: string[], arm: string }} Setting */
/**
 * A pair of tasks; what is behind `head` is there if the page was built with the images.
 * @typedef {object} Pair
 * @property {string} name
 * @property {string} title
 * @property {number} classes
 * @property {number} tested
 * @property {number} head
 * @property {string[]} [names]
 * @property {string} [truth]
 * @property {string} [picture]
 */
/**
 * A recorded run: accuracies on test images, one a seed; validation accuracy at each point, and half its interval.
 * @typedef {object} Run
 * @property {number[]} test
 * @property {number[]} steps
 * @property {number[]} mean
 * @property {number[]} half
 * @property {number} rate
 * @property {string} setting
 * @property {[number, string, number][]} tried
 * @property {number} triedAt
 * @property {number} parameters
 * @property {number} seconds
 * @property {string} code
 * @property {string} answers
 */
/**
 * @typedef {object} Payload
 * @property {Pair[]} pairs
 * @property {number[]} labels
 * @property {Layer[]} layers
 * @property {Setting[]} settings
 * @property {number} quantile
 * @property {Record<string, Run>} runs
 * @property {Looks} looks
 */

export const WORDS = /** @type {Record<string, string>} */ ({
  F: "copied, frozen",
  T: "copied, trained",
  R: "random, trained",
  Z: "random, frozen",
});
export const SCRATCH = "RRR";
export const RANDOM = "ZZZ";
export const SCRATCH_ARM = "from scratch";
export const RANDOM_ARM = "random, frozen";

/**
 * What becomes of the layers when one of them takes a state: what is copied, and what is frozen, is a beginning.
 * @param {string} states
 * @param {number} index
 * @param {string} state
 */
function cascade(states, index, state) {
  const next = [...states].map((old, i) => {
    if (i === index) return state;
    if (i < index) {
      if (state === "F" || state === "Z") return state;
      return state === "T" && old !== "F" && old !== "T" ? "T" : old;
    }
    if (state === "R") return "R";
    if (state === "Z") return old === "Z" ? "Z" : "R";
    if (old === "Z") return "R";
    return state === "T" && old === "F" ? "T" : old;
  });
  return next.join("");
}

/** @type {(choice: Choice) => string} */
export const write = ({ pair, labels, method, states }) =>
  [pair, labels, encodeURIComponent(method), states].join(".");

export class Records {
  /** @param {Payload} payload */
  constructor({ pairs, labels, layers, settings, quantile, runs, looks }) {
    this.pairs = pairs;
    this.labels = labels;
    this.layers = layers;
    this.settings = settings;
    this.quantile = quantile;
    this.runs = runs;
    this.looks = looks;
    this.pair = Object.fromEntries(pairs.map((pair) => [pair.name, pair]));
  }

  /**
   * @param {string} method
   * @param {string} states
   */
  number(method, states) {
    return this.settings.findIndex((setting) => setting.method === method && setting.states === states);
  }

  /**
   * The name under which a choice has its look.
   * @param {Choice} choice
   */
  arm({ method, states }) {
    return this.settings[this.number(method, states)].arm;
  }

  /** @param {Choice} choice */
  of({ pair, labels, method, states }) {
    return this.runs[`${pair}|${labels}|${this.number(method, states)}`] ?? null;
  }

  /**
   * The plain run of other layers, all else as chosen.
   * @param {Choice} choice
   * @param {string} states
   */
  plain(choice, states) {
    return this.of({ ...choice, method: "plain", states });
  }

  /** @param {string} pair */
  methods(pair) {
    return [
      ...new Set(this.settings.filter(({ pairs }) => pairs.includes(pair)).map(({ method }) => method)),
    ];
  }

  allMethods() {
    return [...new Set(this.settings.map(({ method }) => method))];
  }

  /** @param {string} method */
  statesOf(method) {
    return this.settings.filter((each) => each.method === method).map(({ states }) => states);
  }

  /**
   * The states that a click leads to, of those that the method goes with; null where it goes with none of that kind.
   * @param {Choice} choice
   * @param {number} index
   * @param {string} state
   */
  reached({ method, states }, index, state) {
    const [wanted, allowed] = [cascade(states, index, state), this.statesOf(method)];
    return allowed.includes(wanted) ? wanted : (allowed.find((each) => each[index] === state) ?? null);
  }

  /**
   * "conv1–conv2 copied, frozen; conv3 random, trained"
   * @param {string} states
   */
  told(states) {
    const parts = [];
    for (let begin = 0, end = 0; begin < states.length; begin = end) {
      while (states[end] === states[begin]) end += 1;
      const [first, last] = [this.layers[begin].name, this.layers[end - 1].name];
      parts.push(`${first === last ? first : `${first}–${last}`} ${WORDS[states[begin]]}`);
    }
    return parts.join("; ");
  }

  /** @param {Choice} choice */
  describe({ method, states }) {
    return `${method === "plain" ? "" : `${method}, `}${this.told(states)}`;
  }

  /** @param {Choice} choice */
  whole(choice) {
    return `${this.pair[choice.pair].title}, ${choice.labels} labels per class, ${this.describe(choice)}`;
  }

  /** @param {Choice} choice */
  isChoice({ pair, labels, method, states }) {
    const setting = this.settings[this.number(method, states)];
    return this.labels.includes(labels) && Boolean(setting?.pairs.includes(pair));
  }

  /**
   * A choice as it stands in an address; null where it means nothing.
   * @param {string} text
   * @returns {Choice | null}
   */
  read(text) {
    const [pair, labels, written, states] = text.split(".");
    const method = this.allMethods().find((each) => encodeURIComponent(each) === written || each === written);
    if (method === undefined || states === undefined) return null;
    const choice = { pair, labels: Number(labels), method, states };
    return this.isChoice(choice) ? choice : null;
  }

  /**
   * The recorded choice of the same pair that differs least: labels first, then layers, then the method.
   * @param {Choice} choice
   * @returns {Choice | undefined}
   */
  nearest({ pair, labels, method, states }) {
    const place = this.labels.indexOf(labels);
    const cost = (/** @type {Choice} */ other) =>
      Math.abs(this.labels.indexOf(other.labels) - place) +
      2 * [...other.states].filter((state, i) => state !== states[i]).length +
      (other.method === method ? 0 : 5);
    const keys = Object.keys(this.runs).map((key) => key.split("|")).filter(([its]) => its === pair);
    const recorded = keys.map(([, its, i]) => ({ ...this.settings[Number(i)], pair, labels: Number(its) }));
    const [near] = recorded.sort((a, b) => cost(a) - cost(b));
    return near && { pair, labels: near.labels, method: near.method, states: near.states };
  }
}
