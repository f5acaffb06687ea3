// Zip archives. What is written is stored, not compressed; compressed ones can be read.

const LARGEST = 2 ** 25; // bytes of one file in an archive
const NAMES_ARE_UTF8 = 0x800;
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {{ name: string, read: () => Promise<Bytes> }} Entry a file in an archive */

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** @param {string} text */
export const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** @param {Uint8Array} bytes */
export const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

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
 * Files by name to a zip archive, in which nothing is compressed.
 * @param {Record<string, Uint8Array>} files
 * @param {string} comment at most 65,535 bytes
 */
export function zipped(files, comment = "") {
  const bodies = /** @type {Uint8Array[]} */ ([]);
  const entries = /** @type {Uint8Array[]} */ ([]);
  let start = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const letters = new TextEncoder().encode(name);
    const sizes = [crc32(bytes), bytes.length, bytes.length, letters.length, 0];
    const shared = packed("2222244422", [20, NAMES_ARE_UTF8, 0, 0, 0x21, ...sizes]);
    const place = packed("22244", [0, 0, 0, 0, start]);
    bodies.push(ascii("PK\x03\x04"), shared, letters, bytes);
    entries.push(ascii("PK\x01\x02"), packed("2", [20]), shared, place, letters);
    start += 4 + shared.length + letters.length + bytes.length;
  }
  const directory = joined(entries);
  const count = entries.length / 5;
  const last = new TextEncoder().encode(comment);
  const end = packed("2222442", [0, 0, count, count, directory.length, start, last.length]);
  return joined([...bodies, directory, ascii("PK\x05\x06"), end, last]);
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
    if (size > LARGEST) throw new Error("a file in it is too large");
  }
}

/**
 * What is in a zip archive; a file in it is read when it is asked for.
 * @param {Bytes} bytes
 */
export function listed(bytes) {
  const view = viewOf(bytes);
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw new Error("it is no zip archive, or its end is missing");
  const entries = /** @type {Entry[]} */ ([]);
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== 0x02014b50) throw new Error("its table of files is damaged");
    const [name, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const place = at;
    const letters = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name));
    entries.push({ name: letters, read: () => fileAt(bytes, place) });
    at += 46 + name + extra + comment;
  }
  return { entries, comment: new TextDecoder().decode(bytes.subarray(end + 22)) };
}

/**
 * A zip archive to its files by name.
 * @param {Bytes} bytes
 */
export async function unzipped(bytes) {
  const files = /** @type {Record<string, Bytes>} */ ({});
  for (const { name, read } of listed(bytes).entries) files[name] = await read();
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
    throw new Error("it is cut short, or a file in it is too large");
  }
  const stored = bytes.subarray(body, body + packedSize);
  const file = method === 8 ? await inflated(stored) : stored;
  if (![0, 8].includes(method) || file.length !== size || crc32(file) !== sum) {
    throw new Error("a file in it is damaged");
  }
  return file;
}
