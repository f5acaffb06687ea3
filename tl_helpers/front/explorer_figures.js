// The explorer's figures: curves of validation accuracy, and test accuracy in the end.

import { inked, key, marker, scale, ticks } from "./charts.js";
import { draw, make } from "./common.js";
import { interval, mean, percent } from "./numbers.js";

/** @import { Look } from "./charts.js" */
/**
 * @typedef {object} Series what is drawn of one run
 * @property {string} name
 * @property {string} told about its seeds and its learning rate
 * @property {Look} look
 * @property {boolean} band whether the curve has one
 * @property {{ test: number[], steps: number[], mean: number[], half: number[], total?: number }} run
 */

const WIDE = 340;

/**
 * Round ends of an axis that holds all values.
 * @param {number[]} values
 * @returns {[number, number]}
 */
function range(values) {
  const low = Math.max(0, Math.floor(20 * Math.min(...values)) / 20);
  return [low, Math.min(1, Math.max(Math.ceil(20 * Math.max(...values)) / 20, low + 0.1))];
}

/** @param {Series[]} series */
function curves(series) {
  const high = 230;
  const [left, right, top, bottom] = [40, WIDE - 10, 8, high - 36];
  const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${high}`, role: "img", class: "tlx-curves" });
  const values = series.flatMap(({ run, band }) => {
    return run.mean.flatMap((m, i) => (band ? [m - run.half[i], m + run.half[i]] : [m]));
  });
  const ends = range(values);
  const last = Math.max(...series.map(({ run }) => run.total ?? run.steps[run.steps.length - 1]));
  const x = scale([0, last], [left, right]);
  const y = scale(ends, [bottom, top]);
  for (const tick of ticks(...ends)) {
    svg.append(draw("line", { x1: left, x2: right, y1: y(tick), y2: y(tick), class: "tlx-grid" }));
    svg.append(draw("text", { x: left - 5, y: y(tick) + 4, "text-anchor": "end" }, tick.toFixed(2)));
  }
  for (const step of [0, last / 2, last]) {
    const anchor = step === last ? "end" : "middle";
    const place = { x: x(step), y: bottom + 15, "text-anchor": anchor };
    svg.append(draw("text", place, String(Math.round(step))));
  }
  svg.append(draw("text", { x: (left + right) / 2, y: high - 4, "text-anchor": "middle" }, "training steps"));
  for (const { name, look, band, run } of series) {
    const edge = (/** @type {number} */ sign) =>
      run.steps.map((step, i) => `${x(step)},${y(run.mean[i] + sign * (run.half[i] ?? 0))}`);
    if (band) {
      const points = [...edge(1), ...edge(-1).reverse()].join(" ");
      svg.append(draw("polygon", { points, ...inked(look, "fill"), opacity: 0.18 }));
    }
    const line = { points: edge(0).join(" "), ...inked(look, "stroke"), class: "tlx-line tlx-ink" };
    svg.append(draw("polyline", { ...line, "data-series": name, "data-values": run.mean.join(" ") }));
  }
  return svg;
}

/**
 * @param {Series[]} series
 * @param {number} quantile
 */
function dots(series, quantile) {
  const high = 30 * series.length + 44;
  const [left, right, bottom] = [104, WIDE - 16, high - 36];
  const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${high}`, role: "img", class: "tlx-dots" });
  const intervals = series.map(({ run }) => interval(run.test, quantile));
  const spans = intervals.flatMap(({ mean, half }) => [mean - half, mean + half]);
  const ends = range([...series.flatMap(({ run }) => run.test), ...spans]);
  const x = scale(ends, [left, right]);
  for (const tick of ticks(...ends)) {
    svg.append(draw("line", { x1: x(tick), x2: x(tick), y1: 2, y2: bottom, class: "tlx-grid" }));
    svg.append(draw("text", { x: x(tick), y: bottom + 15, "text-anchor": "middle" }, tick.toFixed(2)));
  }
  svg.append(draw("text", { x: (left + right) / 2, y: high - 4, "text-anchor": "middle" }, "test accuracy"));
  series.forEach(({ name, look, run }, i) => {
    const { mean: centre, half } = intervals[i];
    const y = 18 + 30 * i;
    svg.append(draw("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, name));
    const seed = { cy: y + 8, r: 1.8, ...inked(look, "fill"), opacity: 0.6 };
    for (const value of run.test) svg.append(draw("circle", { cx: x(value), ...seed }));
    const bar = { x1: x(centre - half), x2: x(centre + half), y1: y, y2: y, "stroke-width": 3 };
    svg.append(draw("line", { ...bar, ...inked({ ...look, dash: "" }, "stroke") }));
    svg.append(marker(look, x(centre), y, 4.5, { "data-series": name, "data-mean": centre }));
  });
  return svg;
}

/**
 * @param {SVGElement} svg
 * @param {string} title
 * @param {string} words what it shows
 */
function figure(svg, title, words) {
  svg.setAttribute("aria-label", words);
  return make("figure", {}, make("figcaption", {}, title), svg);
}

/**
 * @param {Series[]} series
 * @param {number} quantile
 * @param {{ validated: string, tested: string }} on how many images, in words
 */
export function figures(series, quantile, { validated, tested }) {
  if (!series.length) return [];
  const ended = series.filter(({ run }) => run.test.length);
  const means = ended.map(({ name, run }) => `${name} ${percent(mean(run.test))}`).join(", ");
  const ends = series.map(({ name, run }) => `${name} ends at ${percent(run.mean[run.mean.length - 1])}`);
  const keys = series.map(({ name, told, look }) => make("span", {}, key(look), ` ${name}: ${told}`));
  const trained = `While it trains: accuracy on ${validated}`;
  const final = `In the end: accuracy on ${tested} test images; mean, 95 % interval, seeds`;
  return [
    figure(curves(series), trained, `Curves of validation accuracy: ${ends.join(", ")}.`),
    figure(dots(ended, quantile), final, `Test accuracy: ${means}.`),
    make("p", { class: "tlx-legend" }, ...keys),
  ];
}
