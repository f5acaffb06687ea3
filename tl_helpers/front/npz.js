// Read and write NumPy's .npz: a zip archive of .npy files. What is written is stored, not compressed; what
// numpy.savez and numpy.savez_compressed write can be read.

const MAGIC = "\x93NUMPY";
const LARGEST = 2 ** 25; // bytes of one array; hundreds of drawings take about a million
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});
const KINDS = { i1: Int8Array, u2: Uint16Array, i2: Int16Array, u4: Uint32Array, i4: Int32Array };
const LONG = { u8: BigUint64Array, i8: BigInt64Array };

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

/** @param {Uint8Array} bytes */
function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** @param {string} text */
const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** @param {Uint8Array} bytes */
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * @param {Uint8Array[]} parts
 * @returns {Bytes}
 */
export function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * Numbers of 2 or 4 bytes, little endian: packed("24", [a, b]) is a in two bytes, b in four.
 * @param {string} widths
 * @param {number[]} numbers
 */
export function packed(widths, numbers) {
  const bytes = new Uint8Array([...widths].reduce((sum, width) => sum + Number(width), 0));
  const view = viewOf(bytes);
  let at = 0;
  numbers.forEach((number, i) => {
    if (widths[i] === "2") view.setUint16(at, number, true);
    else view.setUint32(at, number, true);
    at += Number(widths[i]);
  });
  return bytes;
}

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
 * Files by name to a zip archive, in which nothing is compressed.
 * @param {Record<string, Uint8Array>} files
 */
export function zipped(files) {
  const bodies = /** @type {Uint8Array[]} */ ([]);
  const entries = /** @type {Uint8Array[]} */ ([]);
  let start = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const sizes = [crc32(bytes), bytes.length, bytes.length, name.length, 0];
    const shared = packed("2222244422", [20, 0, 0, 0, 0x21, ...sizes]);
    const place = packed("22244", [0, 0, 0, 0, start]);
    bodies.push(ascii("PK\x03\x04"), shared, ascii(name), bytes);
    entries.push(ascii("PK\x01\x02"), packed("2", [20]), shared, place, ascii(name));
    start += 4 + shared.length + name.length + bytes.length;
  }
  const directory = joined(entries);
  const count = Object.keys(files).length;
  const end = packed("2222442", [0, 0, count, count, directory.length, start, 0]);
  return joined([...bodies, directory, ascii("PK\x05\x06"), end]);
}

/** @param {Bytes} bytes */
async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = stream.getReader();
  const parts = [];
  let size = 0;
  while (true) {
    const { done, value } = await reader.read();
    if (done) return joined(parts);
    parts.push(value);
    size += value.length;
    if (size > LARGEST) throw new Error("an array in it is too large");
  }
}

/**
 * A zip archive to its files by name.
 * @param {Bytes} bytes
 */
export async function unzipped(bytes) {
  const view = viewOf(bytes);
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw new Error("it is no zip archive, or its end is missing");
  const files = /** @type {Record<string, Bytes>} */ ({});
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== 0x02014b50) throw new Error("its table of files is damaged");
    const [name, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    files[new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name))] = await fileAt(bytes, at);
    at += 46 + name + extra + comment;
  }
  return files;
}

/**
 * The file that an entry of an archive's table speaks of.
 * @param {Bytes} bytes
 * @param {number} at
 */
async function fileAt(bytes, at) {
  const view = viewOf(bytes);
  const method = view.getUint16(at + 10, true);
  const [sum, packedSize, size] = [16, 20, 24].map((place) => view.getUint32(at + place, true));
  const local = view.getUint32(at + 42, true);
  const body = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
  if (body + packedSize > bytes.length || size > LARGEST) {
    throw new Error("it is cut short, or an array in it is too large");
  }
  const stored = bytes.subarray(body, body + packedSize);
  const file = method === 8 ? await inflated(stored) : stored;
  if (![0, 8].includes(method) || file.length !== size || crc32(file) !== sum) {
    throw new Error("a file in it is damaged");
  }
  return file;
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
