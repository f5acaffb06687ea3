// The figures of one training, and the pictures of what a network computes.

import { inked, marker, scale, ticks } from "./charts.js";
import { draw, make } from "./common.js";
import { contextOf } from "./images.js";
import { mean, sum, wilson } from "./numbers.js";

/** @import { Session } from "./session.js" */
/** @import { Maps } from "./training.js" */

/**
 * @param {string} title
 * @param {number} high
 * @param {number} steps
 * @param {string} words
 */
function axes(title, high, steps, words) {
  const [wide, tall, left, right, top, bottom] = [340, 200, 40, 330, 10, 168];
  const svg = draw("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": words });
  const x = scale([0, steps], [left, right]);
  const y = scale([0, high], [bottom, top]);
  for (const tick of ticks(0, high)) {
    const words = String(Number(tick.toPrecision(3)));
    svg.append(draw("line", { x1: left, x2: right, y1: y(tick), y2: y(tick), class: "tlx-grid" }));
    svg.append(draw("text", { x: left - 5, y: y(tick) + 4, "text-anchor": "end" }, words));
  }
  for (const tick of ticks(0, steps)) {
    svg.append(draw("text", { x: x(tick), y: bottom + 16, "text-anchor": "middle" }, String(tick)));
  }
  svg.append(draw("text", { x: (left + right) / 2, y: tall - 4, "text-anchor": "middle" }, "training step"));
  return { figure: make("figure", {}, make("figcaption", {}, title), svg), svg, x, y };
}

/**
 * @param {Session} session
 * @param {"loss" | "share"} value
 * @param {string} title
 * @param {number} [high] by default that of the highest point
 */
export function curves(session, value, title, high) {
  const all = session.arms.map((arm, i) => ({ ...arm, points: session.curve(i) }));
  const ends = all.filter(({ points }) => points.length).map(({ name, points }) => {
    return `${name} ${points[points.length - 1][value].toFixed(2)}`;
  });
  const top = high ?? Math.max(0.1, ...all.flatMap(({ points }) => points.map((point) => point[value])));
  const { figure, svg, x, y } = axes(title, top, session.order.steps, `${title}, now: ${ends.join(", ")}`);
  for (const { name, look, points } of all) {
    const drawn = points.filter((point) => Number.isFinite(point[value]));
    const line = drawn.map((point) => `${x(point.step)},${y(point[value])}`).join(" ");
    const ink = inked(look, "stroke");
    svg.append(draw("polyline", { points: line, ...ink, class: "tlx-line tlx-ink", "data-series": name }));
  }
  return figure;
}

/**
 * The share of held-back drawings that each network has right, with its interval.
 * @param {Session} session
 */
export function shares(session) {
  const [left, right, row] = [112, 330, 32];
  const words =
    "Share of held-back drawings right, with 95 % intervals; the same numbers stand below in words.";
  const svg = draw("svg", { viewBox: "0 0 340 200", role: "img", "aria-label": words });
  const x = scale([0, 1], [left, right]);
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(draw("line", { x1: x(tick), x2: x(tick), y1: 10, y2: 150, class: "tlx-grid" }));
    svg.append(draw("text", { x: x(tick), y: 168, "text-anchor": "middle" }, String(tick)));
  }
  const guessed = x(1 / session.names.length);
  const dots = { stroke: "var(--tlx-text)", "stroke-dasharray": "1 4" };
  svg.append(draw("line", { x1: guessed, x2: guessed, y1: 10, y2: 150, ...dots }));
  const title = { x: (left + right) / 2, y: 190, "text-anchor": "middle" };
  svg.append(draw("text", title, "share right (dots: guessing)"));
  session.arms.forEach(({ name, look }, i) => {
    const known = session.known(i);
    const y = 26 + i * row;
    svg.append(draw("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, name));
    if (!known.length) return;
    const [low, high] = wilson(sum(known), known.length).map(x);
    svg.append(
      draw("line", {
        x1: low,
        x2: high,
        y1: y,
        y2: y,
        "stroke-width": 3,
        ...inked({ ...look, dash: "" }, "stroke"),
      }),
    );
    svg.append(marker(look, x(mean(known)), y, 5));
  });
  return make("figure", {}, make("figcaption", {}, "Held back, in the end: share right, 95 % interval"), svg);
}

/**
 * All maps of a layer in one picture, each as bright as its activations; the brightest of the layer is white.
 * @param {Maps} layer
 */
export function maps({ name, side, count, values }) {
  const columns = side > 20 ? 8 : 16;
  const [wide, high] = [columns * (side + 1) - 1, (count / columns) * (side + 1) - 1];
  const picture = new ImageData(wide, high);
  picture.data.fill(120);
  const top = Math.max(...values) || 1;
  const active = new Set();
  for (let i = 0; i < values.length; i++) {
    const [map, place] = [i % count, Math.floor(i / count)];
    const x = (map % columns) * (side + 1) + (place % side);
    const y = Math.floor(map / columns) * (side + 1) + Math.floor(place / side);
    const bright = (255 * values[i]) / top;
    picture.data.set([bright, bright, bright, 255], 4 * (y * wide + x));
    if (values[i] > 0) active.add(map);
  }
  const words = `${name}: ${count} maps of ${side} × ${side}, ${active.size} of them active`;
  const canvas = make("canvas", { width: wide, height: high, role: "img", "aria-label": words });
  contextOf(canvas).putImageData(picture, 0, 0);
  return make("figure", {}, make("figcaption", {}, words), canvas);
}
