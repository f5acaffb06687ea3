// What all figures are made of: axes, and the looks of arms.

import { draw } from "./common.js";

/** How an arm is drawn, as Python says it: a colour, a marker by Matplotlib's letter, a dash by SVG's numbers. */
/** @typedef {{ colour: string, marker: string, dash: string }} Look */
/** @typedef {Record<string, Look>} Looks */

// Around (0, 0), about two wide.
const MARKERS = /** @type {Record<string, string>} */ ({
  o: "M-1,0a1,1 0 1,0 2,0a1,1 0 1,0 -2,0z",
  s: "M-.9,-.9h1.8v1.8h-1.8z",
  "^": "M0,-1.1L1.1,.9H-1.1z",
  v: "M0,1.1L1.1,-.9H-1.1z",
  "<": "M-1.1,0L.9,-1.1V1.1z",
  ">": "M1.1,0L-.9,-1.1V1.1z",
  D: "M0,-1.2L1.2,0L0,1.2L-1.2,0z",
  d: "M0,-1.3L.8,0L0,1.3L-.8,0z",
  P: "M-.4,-1.1h.8v.7h.7v.8h-.7v.7h-.8v-.7h-.7v-.8h.7z",
  p: "M0,-1.1L1.05,-.34L.65,.89H-.65L-1.05,-.34z",
  h: "M0,-1.1L.95,-.55V.55L0,1.1L-.95,.55V-.55z",
  "*": "M0,-1.2L.3,-.4L1.14,-.37L.48,.15L.7,.97L0,.5L-.7,.97L-.48,.15L-1.14,-.37L-.3,-.4z",
  X: "M-1.1,-.6L-.6,-1.1L0,-.5L.6,-1.1L1.1,-.6L.5,0L1.1,.6L.6,1.1L0,.5L-.6,1.1L-1.1,.6L-.5,0z",
});

/**
 * Attributes that give an arm's colour; the style sheet keeps it readable on a light and on a dark page.
 * @param {Look} look
 * @param {"stroke" | "fill"} what
 */
export function inked({ colour, dash }, what) {
  const shared = { class: "tlx-ink", style: `--look: ${colour}; ${what}: var(--tlx-ink)` };
  return what === "stroke" ? { ...shared, "stroke-dasharray": dash } : shared;
}

/**
 * @param {Look} look
 * @param {number} x
 * @param {number} y
 * @param {number} size
 * @param {Record<string, string | number>} more
 */
export function marker(look, x, y, size, more = {}) {
  const place = `translate(${x} ${y}) scale(${size})`;
  return draw("path", {
    d: MARKERS[look.marker] ?? MARKERS.o,
    transform: place,
    ...inked(look, "fill"),
    ...more,
  });
}

/** @param {Look} look */
export function key(look) {
  const svg = draw("svg", { width: 30, height: 10, "aria-hidden": "true" });
  svg.append(draw("line", { x1: 1, x2: 29, y1: 5, y2: 5, "stroke-width": 2.5, ...inked(look, "stroke") }));
  return svg;
}

/**
 * Round places for the marks of an axis, at most six.
 * @param {number} low
 * @param {number} high
 */
export function ticks(low, high) {
  const power = 10 ** Math.floor(Math.log10(high - low) - 1);
  const steps = [2, 5, 10, 20, 50].map((each) => each * power);
  const step = steps.find((each) => (high - low) / each <= 6) ?? steps[4];
  const count = Math.floor((high + 1e-9) / step) - Math.ceil((low - 1e-9) / step) + 1;
  return Array.from({ length: count }, (_, i) => (Math.ceil((low - 1e-9) / step) + i) * step);
}

/**
 * Where a value lies between two ends of a picture.
 * @param {[number, number]} values
 * @param {[number, number]} ends
 */
export function scale([low, high], [from, to]) {
  return /** @param {number} value */ (value) => from + ((value - low) / (high - low)) * (to - from);
}
