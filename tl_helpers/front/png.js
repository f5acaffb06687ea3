// Write pictures as PNG, pixel for pixel: what a canvas writes may be changed by browsers that hide what they are.

import { ascii, crc32, joined, viewOf } from "./zip.js";

/** @typedef {import("./zip.js").Bytes} Bytes */

/** @param {number} value */
function big(value) {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value);
  return bytes;
}

/**
 * @param {string} kind
 * @param {Uint8Array} bytes
 */
function chunk(kind, bytes) {
  const body = joined([ascii(kind), bytes]);
  return joined([big(bytes.length), body, big(crc32(body))]);
}

/** @param {Bytes} bytes */
async function deflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * @param {Uint8Array} pixels red, green and blue
 * @param {number} side
 */
export async function png(pixels, side) {
  const wide = 3 * side;
  const rows = new Uint8Array(side * (wide + 1));
  for (let y = 0; y < side; y++) {
    rows[y * (wide + 1)] = 1; // what follows is each value less the one to its left: that packs better
    for (let x = 0; x < wide; x++) {
      rows[y * (wide + 1) + 1 + x] = pixels[y * wide + x] - (x < 3 ? 0 : pixels[y * wide + x - 3]);
    }
  }
  const header = joined([big(side), big(side), Uint8Array.of(8, 2, 0, 0, 0)]); // 8 bits, three colours
  const body = await deflated(rows);
  const start = ascii("\x89PNG\r\n\x1a\n");
  return joined([start, chunk("IHDR", header), chunk("IDAT", body), chunk("IEND", new Uint8Array(0))]);
}
