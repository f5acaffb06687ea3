// The figures of a training on photographs: shares right with their intervals, and the learning curve.

import { inked, key, marker, scale } from "./charts.js";
import { draw, make } from "./common.js";
import { percent, whole } from "./numbers.js";
import { ofHundred } from "./photographs_words.js";

/** @import { Look, Looks } from "./charts.js" */
/** @import { CurvePoint } from "./photographs_engine.js" */
/** @import { Outcome } from "./photographs_outcome.js" */

const WIDE = 360;
const ROOM = 20; // from one number of an axis to the next, at least

/**
 * @param {number} high
 * @param {string} words
 */
function picture(high, words) {
  return draw("svg", { viewBox: `0 0 ${WIDE} ${high}`, role: "img", "aria-label": words });
}

/**
 * @param {SVGElement} svg
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 * @param {Record<string, string | number>} more
 */
function line(svg, x1, y1, x2, y2, more) {
  svg.append(draw("line", { x1, y1, x2, y2, ...more }));
}

/** @param {Look} look */
function markedKey(look) {
  const svg = key(look);
  svg.append(marker(look, 15, 5, 4));
  return svg;
}

/** @param {Look} look */
const solid = (look) => inked({ ...look, dash: "" }, "stroke");

/**
 * The share of held-back pictures that each network has right, as dots, with bars for its interval.
 * @param {Outcome} outcome
 * @param {Looks} looks
 */
export function shareFigure(outcome, looks) {
  const [left, right, row] = [138, 306, 32];
  const bottom = 14 + row * outcome.arms.length;
  const words =
    "Share of held-back pictures right, with 95 % intervals; the same numbers stand in the table.";
  const svg = picture(bottom + 46, words);
  const x = scale([0, 1], [left, right]);
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    line(svg, x(tick), 8, x(tick), bottom, { class: "tlx-grid" });
    svg.append(draw("text", { x: x(tick), y: bottom + 17, "text-anchor": "middle" }, String(tick)));
  }
  const guessed = x(outcome.largest());
  line(svg, guessed, 8, guessed, bottom, { stroke: "var(--tlx-text)", "stroke-dasharray": "1 4" });
  const under = "share right (dots: always the largest class)";
  svg.append(draw("text", { x: WIDE / 2, y: bottom + 37, "text-anchor": "middle" }, under));
  outcome.arms.forEach((name, arm) => {
    const y = 26 + arm * row;
    svg.append(draw("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, name));
    const found = outcome.counted(arm);
    const told = found ? `${found.right} of ${found.of}` : "…";
    svg.append(draw("text", { x: WIDE, y: y + 4, "text-anchor": "end" }, told));
    if (!found) return;
    line(svg, x(found.low), y, x(found.high), y, { "stroke-width": 3, ...solid(looks[name]) });
    svg.append(marker(looks[name], x(found.share), y, 5));
  });
  return make("figure", {}, make("figcaption", {}, "Held back: share right, 95 % interval"), svg);
}

/**
 * Pictures per class against the share right, and a bar of one standard deviation over the draws each way.
 * @param {CurvePoint[]} points
 * @param {string[]} arms
 * @param {Looks} looks
 */
export function curveFigure(points, arms, looks) {
  const [left, right, top, bottom] = [40, 345, 10, 160];
  const words =
    "Learning curve: share of test pictures right against pictures per class; the numbers stand below.";
  const svg = picture(204, words);
  const counts = [...new Set(points.map(({ perClass }) => perClass))].sort((a, b) => a - b);
  const ends = /** @type {[number, number]} */ ([0, Math.log(counts[counts.length - 1] + 1)]);
  const x = scale(ends, [left, right - 10]);
  const y = scale([0, 1], [bottom, top]);
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    line(svg, left, y(tick), right, y(tick), { class: "tlx-grid" });
    svg.append(draw("text", { x: left - 5, y: y(tick) + 4, "text-anchor": "end" }, String(tick)));
  }
  let free = right + ROOM; // the last number is the one that is read most
  for (const count of [...counts].reverse()) {
    const place = x(Math.log(count));
    if (free - place < ROOM) continue;
    svg.append(draw("text", { x: place, y: bottom + 16, "text-anchor": "middle" }, String(count)));
    free = place;
  }
  svg.append(
    draw("text", { x: WIDE / 2, y: 198, "text-anchor": "middle" }, "pictures per class (log scale)"),
  );
  arms.forEach((name, arm) => {
    const own = points.filter((point) => point.arm === arm).sort((a, b) => a.perClass - b.perClass);
    const shift = arm ? 2.5 : -2.5; // so that bars of two networks stand beside each other
    const places = own.map((point) => ({ ...point, at: x(Math.log(point.perClass)) + shift }));
    const path = places.map(({ at, share }) => `${at},${y(share)}`).join(" ");
    svg.append(
      draw("polyline", { points: path, ...inked(looks[name], "stroke"), class: "tlx-line tlx-ink" }),
    );
    for (const { at, share, spread } of places) {
      const [low, high] = [Math.max(0, share - spread), Math.min(1, share + spread)].map(y);
      line(svg, at, low, at, high, { "stroke-width": 1.5, ...solid(looks[name]) });
      svg.append(marker(looks[name], at, y(share), 4));
    }
  });
  const told = "Share of test pictures right; bars: one standard deviation over the draws";
  const legend = arms.map((name) => make("span", {}, markedKey(looks[name]), " ", name));
  const caption = make("figcaption", {}, told);
  return make("figure", {}, caption, svg, make("div", { class: "tlx-legend" }, ...legend));
}

/** @param {Outcome} outcome */
export function shareTable(outcome) {
  const head = ["network", "right", "share", "95 % interval", "time"];
  const rows = outcome.arms.map((name, arm) => {
    const found = outcome.counted(arm);
    const seconds = outcome.results[arm]?.seconds;
    const cells = found
      ? [
        `${found.right} of ${found.of}`,
        percent(found.share),
        `${ofHundred(found.low)} to ${whole(found.high)}`,
      ]
      : ["–", "–", "–"];
    return [name, ...cells, seconds === undefined ? "–" : `${seconds.toFixed(2)} s`];
  });
  return table("The networks on pictures that they had not seen", head, rows);
}

/**
 * @param {CurvePoint[]} points
 * @param {string[]} arms
 */
export function curveTable(points, arms) {
  const counts = [...new Set(points.map(({ perClass }) => perClass))].sort((a, b) => a - b);
  const rows = counts.map((count) => {
    const cells = arms.map((_, arm) => {
      const point = points.find((each) => each.arm === arm && each.perClass === count);
      return point ? `${percent(point.share)} ± ${(100 * point.spread).toFixed(1)}` : "–";
    });
    const draws = points.find(({ perClass }) => perClass === count)?.draws ?? 0;
    return [String(count), ...cells, String(draws)];
  });
  return table("The learning curve in numbers", ["pictures per class", ...arms, "draws"], rows);
}

/**
 * A table whose first column names the rows.
 * @param {string} caption
 * @param {string[]} head
 * @param {string[][]} rows
 */
function table(caption, head, rows) {
  const titles = head.map((words) => make("th", { scope: "col" }, words));
  const lines = rows.map(([first, ...rest]) => {
    return make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((words) => make("td", {}, words)));
  });
  const parts = [make("thead", {}, make("tr", {}, ...titles)), make("tbody", {}, ...lines)];
  const all = make("table", {}, make("caption", {}, caption), ...parts);
  return make("div", { class: "tlx-photos-wide", tabindex: 0, role: "group", "aria-label": caption }, all);
}
