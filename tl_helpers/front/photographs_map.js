// Where a network looked: what its share loses where the picture is covered, as a picture and in words.

import { make } from "./common.js";
import { contextOf } from "./images.js";
import { points, sum, whole } from "./numbers.js";

/** @import { Answer } from "./photographs_engine.js" */
/** @typedef {Answer & { do: "occluded" }} Occluded */

const DARKEST = 0.15; // brightness of what does not matter
const FLAT = 0.05; // a fall of a share that is too small to speak of
const MIDDLE = 0.6; // side of what counts as the middle, as a share of the picture's
const ROWS = ["top", "middle", "bottom"];
const COLUMNS = ["left", "middle", "right"];

/**
 * How much each pixel matters: the mean fall of the share over all places at which it was covered; rises count as none.
 * @param {Occluded} occluded
 * @param {number} size side of the picture
 */
function weights({ side, patch, stride, drops }, size) {
  const [total, times] = [new Float64Array(size * size), new Uint16Array(size * size)];
  drops.forEach((drop, place) => {
    const [top, left] = [Math.floor(place / side) * stride, (place % side) * stride];
    for (let y = top; y < Math.min(size, top + patch); y++) {
      for (let x = left; x < Math.min(size, left + patch); x++) {
        total[y * size + x] += Math.max(0, drop);
        times[y * size + x] += 1;
      }
    }
  });
  return total.map((each, i) => each / Math.max(1, times[i]));
}

/**
 * The picture, bright where covering it costs most and dark where it costs nothing.
 * @param {Uint8Array} pixels
 * @param {Occluded} occluded
 * @param {string} words
 */
export function spotlight(pixels, occluded, words) {
  const size = Math.sqrt(pixels.length / 3);
  const matters = weights(occluded, size);
  const most = matters.reduce((top, each) => Math.max(top, each), 0);
  const image = new ImageData(size, size);
  matters.forEach((each, i) => {
    const bright = most ? DARKEST + (1 - DARKEST) * (each / most) : DARKEST;
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = bright * pixels[3 * i + c];
    image.data[4 * i + 3] = 255;
  });
  const canvas = make("canvas", { width: size, height: size, role: "img", "aria-label": words });
  contextOf(canvas).putImageData(image, 0, 0);
  return canvas;
}

/**
 * @param {number} row
 * @param {number} column from 0 to 1
 */
function placeName(row, column) {
  const [down, across] = [row, column].map((at) => Math.min(2, Math.floor(3 * at)));
  if (down === 1 && across === 1) return "in the middle";
  return down === 1 ? `in the middle, ${COLUMNS[across]}` : `at the ${ROWS[down]}, ${COLUMNS[across]}`;
}

/**
 * What the map says, and whether that may be the background.
 * @param {Occluded} occluded
 * @param {number} size side of the picture
 * @param {string} name of the class
 */
export function mapWords({ side, patch, stride, drops, share }, size, name) {
  const places = [...drops].map((drop, i) => {
    const [row, column] = [Math.floor(i / side), i % side].map((at) => (at * stride + patch / 2) / size);
    const outside = Math.max(Math.abs(row - 0.5), Math.abs(column - 0.5)) > MIDDLE / 2;
    return { drop, row, column, outside };
  });
  const most = places.reduce((top, each) => each.drop > top.drop ? each : top);
  if (most.drop < FLAT) {
    return `Wherever one part is covered, the share of “${name}” (${whole(share)}) falls by less than ` +
      `${points(FLAT)} points: no single place decides.`;
  }
  const falls = (/** @type {typeof places} */ some) => sum(some.map(({ drop }) => Math.max(0, drop)));
  const around = falls(places.filter(({ outside }) => outside)) / falls(places);
  const area = places.filter(({ outside }) => outside).length / places.length;
  const first =
    `The share of “${name}” falls most, from ${whole(share)} to ${whole(share - most.drop)}, where the ` +
    `picture is covered ${placeName(most.row, most.column)}.`;
  const second = `Of all that covering takes away, ${whole(around)} is lost around the middle, which is ` +
    `${whole(area)} of the places.`;
  const third = around > area
    ? "If that is background, the network has learned the background: take pictures of the same thing in other places."
    : "That is where a thing usually is; look whether it is the thing.";
  return `${first} ${second} ${third}`;
}
