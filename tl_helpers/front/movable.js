// Movable: a figure of lines or bars whose controls pick one of the frames that were computed beforehand.

import { scale, ticks } from "./charts.js";
import { draw, keepKeys, make } from "./common.js";

/** @typedef {{ name: string, values: (number | string | boolean)[], start: number }} Control */
/** @typedef {{ values: number[][], told: string }} Frame */
/**
 * What Python computed; of two series, each has its own colour and dash.
 * @typedef {object} Content
 * @property {string} title
 * @property {"lines" | "bars"} kind
 * @property {string} xlabel
 * @property {string} ylabel
 * @property {[number, number]} limits
 * @property {Control[]} controls
 * @property {string[]} series
 * @property {any[]} x
 * @property {Record<string, Frame | string>} frames
 */

const [WIDE, TALL, LEFT, RIGHT, TOP, BOTTOM] = [340, 220, 64, 334, 10, 178];
const INKS = ["var(--tlx-accent)", "var(--tlx-warn)", "var(--tlx-good)", "var(--tlx-note)"];
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];

/**
 * A value of a control as it is read: 0.30000000000000004 is 0.3.
 * @param {number | string | boolean} value
 */
const plain = (value) => String(typeof value === "number" ? Number(value.toPrecision(10)) : value);

/** @param {number} value */
const short = (value) =>
  Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));

/** @param {number} i */
const look = (i) => ({
  fill: INKS[i],
  "fill-opacity": i ? 0.15 : 0.85,
  stroke: INKS[i],
  "stroke-dasharray": DASHES[i],
  "stroke-width": 1.6,
});

/** @param {Content} content */
function axes({ limits, xlabel, ylabel }) {
  const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${TALL}`, role: "img" });
  const y = scale(limits, [BOTTOM, TOP]);
  for (const tick of ticks(...limits)) {
    svg.append(draw("line", { x1: LEFT, x2: RIGHT, y1: y(tick), y2: y(tick), class: "tlx-grid" }));
    svg.append(draw("text", { x: LEFT - 5, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
  }
  const middle = (TOP + BOTTOM) / 2;
  svg.append(draw("text", { x: (LEFT + RIGHT) / 2, y: TALL - 6, "text-anchor": "middle" }, xlabel));
  const turned = { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` };
  svg.append(draw("text", turned, ylabel));
  return { svg, y };
}

/**
 * @param {Content} content
 * @param {number[][]} values
 */
function lines(content, values) {
  const { svg, y } = axes(content);
  const [low, high] = content.limits;
  const [first, last] = [content.x[0], content.x.at(-1)];
  const x = scale([first, last], [LEFT, RIGHT]);
  for (const tick of ticks(first, last)) {
    svg.append(draw("text", { x: x(tick), y: BOTTOM + 16, "text-anchor": "middle" }, short(tick)));
  }
  values.forEach((line, i) => {
    const places = line.map((value, k) => `${x(content.x[k])},${y(Math.min(Math.max(value, low), high))}`);
    const ink = { stroke: INKS[i], "stroke-dasharray": DASHES[i], class: "tlx-line" };
    svg.append(draw("polyline", { points: places.join(" "), ...ink, "data-values": line.join(" ") }));
  });
  return svg;
}

/**
 * @param {Content} content
 * @param {number[][]} values
 */
function bars(content, values) {
  const { svg, y } = axes(content);
  const slot = (RIGHT - LEFT) / content.x.length;
  const width = (0.8 * slot) / values.length;
  content.x.forEach((name, k) => {
    svg.append(draw("text", { x: LEFT + slot * (k + 0.5), y: BOTTOM + 16, "text-anchor": "middle" }, name));
    values.forEach((bars, i) => {
      const height = BOTTOM - y(Math.min(bars[k], content.limits[1]));
      const place = { x: LEFT + slot * (k + 0.1) + i * width, y: BOTTOM - height, width: width - 2, height };
      svg.append(draw("rect", { ...place, ...look(i), "data-value": bars[k] }));
    });
  });
  return svg;
}

/**
 * @param {string} kind
 * @param {number} i
 */
function key(kind, i) {
  const svg = draw("svg", { width: 26, height: 12, "aria-hidden": "true" });
  const line = { stroke: INKS[i], "stroke-dasharray": DASHES[i], "stroke-width": 2.5 };
  if (kind === "lines") svg.append(draw("line", { x1: 1, x2: 25, y1: 6, y2: 6, ...line }));
  else svg.append(draw("rect", { x: 2, y: 1, width: 20, height: 10, ...look(i) }));
  return svg;
}

/**
 * Numbers get a slider, words and yes-or-no a list.
 * @param {Control} control
 * @param {(place: number) => void} take
 */
function field({ name, values, start }, take) {
  if (typeof values[0] !== "number") {
    const options = values.map((word, i) => make("option", { value: i }, String(word)));
    const select = make("select", { onchange: () => take(Number(select.value)) }, ...options);
    select.value = String(start);
    return make("label", {}, `${name} `, select);
  }
  const output = make("output", {}, plain(values[start]));
  const range = { min: 0, max: values.length - 1, step: 1, value: start };
  const slider = make("input", { type: "range", ...range, "aria-valuetext": plain(values[start]) });
  slider.addEventListener("input", () => {
    output.textContent = plain(values[Number(slider.value)]);
    slider.setAttribute("aria-valuetext", output.textContent);
    take(Number(slider.value));
  });
  return make("label", {}, `${name} `, slider, output);
}

/** @param {import("./common.js").Place} place */
function render({ model, el }) {
  const content = /** @type {Content} */ (model.get("content"));
  const { title, controls, series, kind } = content;
  const places = controls.map(({ start }) => start);
  const figure = make("div", { class: "tlx-figures" });
  const told = make("p", { "aria-live": "polite" });
  const update = () => {
    const frame = content.frames[places.join("|")];
    told.textContent = typeof frame === "string" ? frame : frame.told;
    if (typeof frame === "string") return figure.replaceChildren();
    const svg = (kind === "lines" ? lines : bars)(content, frame.values);
    const words = series.map((name, i) => `${name}: ${frame.values[i].map(short).join(", ")}`);
    svg.setAttribute("aria-label", words.join("; "));
    const keys = series.map((name, i) => make("span", {}, key(kind, i), ` ${name}`));
    const legend = keys.length > 1 ? [make("p", { class: "tlx-legend" }, ...keys)] : [];
    figure.replaceChildren(make("figure", {}, svg), ...legend);
  };
  const fields = controls.map((control, i) =>
    field(control, (place) => {
      places[i] = place;
      update();
    })
  );
  const head = make("p", { class: "tlx-sentence" }, title);
  const row = make("div", { class: "tlx-controls" }, ...fields);
  const root = make("section", { class: "tlx tlx-movable", "aria-label": title }, head, row, figure, told);
  keepKeys(root);
  el.replaceChildren(root);
  update();
}

export default { render };
