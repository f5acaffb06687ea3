// A head that was trained on photographs, as the .npz that tl_experiments/page_heads.py reads.

import { npy, npyOfStrings } from "./npz.js";
import { zipped } from "./zip.js";

const FORMAT = "tl head 1";
const BACKBONE = "imagenet";

/**
 * The file that Python reads: the arrays of a head, what they belong to, and the names of the classes.
 * @param {Record<string, { shape: number[], values: Float32Array }>} arrays
 * @param {string[]} names
 * @param {number} size side of the pictures
 */
export function headFile(arrays, names, size) {
  const numbers = Object.entries(arrays).map(([name, { shape, values }]) => {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return [`${name}.npy`, npy("<f4", shape, bytes)];
  });
  return zipped({
    ...Object.fromEntries(numbers),
    "class_names.npy": npyOfStrings(names),
    "backbone.npy": npyOfStrings([BACKBONE]),
    "format.npy": npyOfStrings([FORMAT]),
    "size.npy": npy("<i4", [1], new Uint8Array(Int32Array.of(size).buffer)),
  });
}
