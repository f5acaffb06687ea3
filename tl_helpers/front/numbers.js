// Numbers about samples, and numbers in words.

/** @param {number[]} values */
export const sum = (values) => values.reduce((total, value) => total + value, 0);

/** @param {number[]} values */
export const mean = (values) => sum(values) / values.length;

/** @param {number} value a share */
export const points = (value) => (100 * value).toFixed(1);

/** @param {number} value a share */
export const percent = (value) => `${points(value)}\u00a0%`;

/** @param {number} value a share, as a whole number of hundredths */
export const whole = (value) => `${Math.round(100 * value)}\u00a0%`;

/** @param {number} value */
export const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(1);

/**
 * @param {number} count
 * @param {string} word
 */
export function several(count, word) {
  const end = count === 1 ? "" : word.endsWith("s") ? "es" : "s";
  return `${count.toLocaleString("en")} ${word}${end}`;
}

/** @param {number} count */
export const times = (count) => (count === 0 ? "never" : count === 1 ? "once" : `${count} times`);

/** @param {number} value */
export const seconds = (value) => `${value < 1 ? value.toFixed(2) : value.toFixed(1)}\u00a0s`;

/**
 * Mean and half the 95 % interval, as measures.paired_interval does it; `quantile` is Student's, from Python.
 * @param {number[]} values
 * @param {number} quantile
 */
export function interval(values, quantile) {
  const centre = mean(values);
  if (values.length < 2) return { mean: centre, half: 0 };
  const squares = sum(values.map((value) => (value - centre) ** 2));
  return { mean: centre, half: quantile * Math.sqrt(squares / (values.length - 1) / values.length) };
}

/**
 * The mean difference of shares paired by seed, in points, and half its interval.
 * @param {number[]} first
 * @param {number[]} second
 * @param {number} quantile
 */
export function difference(first, second, quantile) {
  return interval(first.map((value, i) => 100 * (value - second[i])), quantile);
}

/**
 * Wilson's 95 % interval of a share.
 * @param {number} right
 * @param {number} count
 */
export function wilson(right, count) {
  const square = 1.959964 ** 2;
  const centre = (right + square / 2) / (count + square);
  const half = (Math.sqrt(square) / (count + square)) *
    Math.sqrt((right * (count - right)) / count + square / 4);
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

/**
 * The chance that a fair coin divides as unevenly as this, or more so: the exact sign test, two-sided.
 * @param {number} first
 * @param {number} second
 */
export function coin(first, second) {
  const count = first + second;
  let [way, total] = [1, 0];
  for (let i = 0; i <= Math.min(first, second); i++) {
    total += way;
    way *= (count - i) / (i + 1);
  }
  return Math.min(1, (2 * total) / 2 ** count);
}
