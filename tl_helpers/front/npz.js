// Read and write NumPy's .npz: a zip archive of .npy files. What is written is stored, not compressed; what
// numpy.savez and numpy.savez_compressed write can be read.

import { ascii, joined, packed, viewOf } from "./zip.js";

/** @import { Bytes } from "./zip.js" */

const MAGIC = "\x93NUMPY";
const KINDS = { i1: Int8Array, u2: Uint16Array, i2: Int16Array, u4: Uint32Array, i4: Int32Array };
const LONG = { u8: BigUint64Array, i8: BigInt64Array };

/**
 * @param {string} dtype
 * @param {number[]} shape
 * @param {Uint8Array} bytes
 */
export function npy(dtype, shape, bytes) {
  const sizes = `${shape.join(", ")}${shape.length === 1 ? "," : ""}`;
  const told = `{'descr': '${dtype}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const header = told.padEnd(Math.ceil((told.length + 11) / 64) * 64 - 11) + "\n";
  return joined([ascii(`${MAGIC}\x01\x00`), packed("2", [header.length]), ascii(header), bytes]);
}

/**
 * Strings as NumPy keeps them: four bytes a character, as many for each as the longest has.
 * @param {string[]} strings
 */
export function npyOfStrings(strings) {
  const letters = strings.map((string) => [...string].map((letter) => letter.codePointAt(0) ?? 0));
  const longest = Math.max(1, ...letters.map((each) => each.length));
  const codes = letters.flatMap((each) => [...each, ...Array(longest - each.length).fill(0)]);
  return npy(`<U${longest}`, [strings.length], packed("4".repeat(codes.length), codes));
}

/**
 * An .npy file to its type, its shape and its numbers or strings.
 * @param {Bytes} bytes
 */
export function unpackedNpy(bytes) {
  const view = viewOf(bytes);
  if (String.fromCharCode(...bytes.subarray(0, 6)) !== MAGIC) {
    throw new Error("an array in it is no .npy file");
  }
  const wide = bytes[6] > 1;
  const start = wide ? 12 : 10;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = new TextDecoder("latin1").decode(bytes.subarray(start, start + length));
  const form = /'descr': '([<|>=]?[a-zA-Z]\d+)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\)/;
  const parts = header.match(form);
  if (!parts || parts[2] === "True" || parts[1][0] === ">") {
    throw new Error(`an array in it has a form that is not read here: ${header.trim().slice(0, 80)}`);
  }
  const shape = parts[3].split(",").filter((size) => size.trim()).map(Number);
  const count = shape.reduce((product, size) => product * size, 1);
  const dtype = parts[1].replace(/^[<|=]/, "");
  return { dtype, shape, values: valuesOf(dtype, count, bytes.slice(start + length)) };
}

/**
 * @param {string} dtype
 * @param {number} count
 * @param {Bytes} bytes
 * @returns {Bytes | number[] | string[]}
 */
function valuesOf(dtype, count, bytes) {
  const size = Number(dtype.slice(1));
  if (bytes.length !== count * size * (dtype[0] === "U" ? 4 : 1)) {
    throw new Error("an array in it is shorter or longer than it says");
  }
  if (dtype === "u1") return bytes;
  if (dtype in KINDS) return Array.from(new KINDS[/** @type {keyof KINDS} */ (dtype)](bytes.buffer));
  if (dtype in LONG) return Array.from(new LONG[/** @type {keyof LONG} */ (dtype)](bytes.buffer), Number);
  if (dtype[0] !== "U") throw new Error(`an array in it holds ${dtype}, which is not read here`);
  const codes = new Uint32Array(bytes.buffer);
  const valid = (/** @type {number} */ code) => code > 0 && code < 0x110000;
  return Array.from({ length: count }, (_, i) => {
    const letters = [...codes.subarray(i * size, (i + 1) * size)].filter(valid);
    return letters.map((code) => String.fromCodePoint(code)).join("");
  });
}
