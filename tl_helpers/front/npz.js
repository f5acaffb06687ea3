// Read and write NumPy's .npz: a zip archive of .npy files. What is written is stored, not compressed; what
// numpy.savez and numpy.savez_compressed write can be read.

const MAGIC = "\x93NUMPY";
const LARGEST = 2 ** 25; // bytes of one array; hundreds of drawings take about a million
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

// Numbers of 2 or 4 bytes, little endian: packed("24", [a, b]) is a in two bytes, b in four.
function packed(widths, numbers) {
  const bytes = new Uint8Array([...widths].reduce((sum, width) => sum + Number(width), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  numbers.forEach((number, i) => {
    if (widths[i] === "2") view.setUint16(at, number, true);
    else view.setUint32(at, number, true);
    at += Number(widths[i]);
  });
  return bytes;
}

function npy(dtype, shape, bytes) {
  const told = `{'descr': '${dtype}', 'fortran_order': False, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  const header = told.padEnd(Math.ceil((told.length + 11) / 64) * 64 - 11) + "\n";
  return joined([ascii(`${MAGIC}\x01\x00`), packed("2", [header.length]), ascii(header), bytes]);
}

// Strings as NumPy keeps them: four bytes a character, as many for each as the longest has.
function npyOfStrings(strings) {
  const letters = strings.map((string) => [...string].map((letter) => letter.codePointAt(0)));
  const longest = Math.max(1, ...letters.map((each) => each.length));
  const codes = letters.flatMap((each) => [...each, ...Array(longest - each.length).fill(0)]);
  return npy(`<U${longest}`, [strings.length], packed("4".repeat(codes.length), codes));
}

// Files by name to a zip archive, in which nothing is compressed.
function zipped(files) {
  const [bodies, entries] = [[], []];
  let start = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const shared = packed("22222444" + "22", [20, 0, 0, 0, 0x21, crc32(bytes), bytes.length, bytes.length, name.length, 0]);
    bodies.push(ascii("PK\x03\x04"), shared, ascii(name), bytes);
    entries.push(ascii("PK\x01\x02"), packed("2", [20]), shared, packed("22244", [0, 0, 0, 0, start]), ascii(name));
    start += 4 + shared.length + name.length + bytes.length;
  }
  const directory = joined(entries);
  const count = Object.keys(files).length;
  return joined([...bodies, directory, ascii("PK\x05\x06"), packed("2222442", [0, 0, count, count, directory.length, start, 0])]);
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const parts = [];
  let size = 0;
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return joined(parts);
    parts.push(value);
    if ((size += value.length) > LARGEST) throw new Error("an array in it is too large");
  }
}

async function unzipped(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw new Error("it is no zip archive, or its end is missing");
  const files = {};
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== 0x02014b50) throw new Error("its table of files is damaged");
    const [method, sum, packedSize, size] = [view.getUint16(at + 10, true), view.getUint32(at + 16, true), view.getUint32(at + 20, true), view.getUint32(at + 24, true)];
    const [name, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const local = view.getUint32(at + 42, true);
    const body = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    if (body + packedSize > bytes.length || size > LARGEST) throw new Error("it is cut short, or an array in it is too large");
    const stored = bytes.subarray(body, body + packedSize);
    const found = method === 8 ? await inflated(stored) : stored;
    if (![0, 8].includes(method) || found.length !== size || crc32(found) !== sum) throw new Error("a file in it is damaged");
    files[new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name))] = found;
    at += 46 + name + extra + comment;
  }
  return files;
}

// An .npy file to its type, its shape and its numbers or strings.
function unpackedNpy(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (String.fromCharCode(...bytes.subarray(0, 6)) !== MAGIC) throw new Error("an array in it is no .npy file");
  const wide = bytes[6] > 1;
  const start = wide ? 12 : 10;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = new TextDecoder("latin1").decode(bytes.subarray(start, start + length));
  const found = header.match(/'descr': '([<|>=]?[a-zA-Z]\d+)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\)/);
  if (!found || found[2] === "True" || found[1][0] === ">") throw new Error(`an array in it has a form that is not read here: ${header.trim().slice(0, 80)}`);
  const shape = found[3].split(",").filter((size) => size.trim()).map(Number);
  const count = shape.reduce((product, size) => product * size, 1);
  const dtype = found[1].replace(/^[<|=]/, "");
  return { dtype, shape, values: valuesOf(dtype, count, bytes.slice(start + length)) };
}

function valuesOf(dtype, count, bytes) {
  const width = Number(dtype.slice(1)) * (dtype[0] === "U" ? 4 : 1);
  if (bytes.length !== count * width) throw new Error("an array in it is shorter or longer than it says");
  const kinds = { u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i2: Int16Array, u4: Uint32Array, i4: Int32Array, u8: BigUint64Array, i8: BigInt64Array };
  if (dtype === "u1") return bytes;
  if (kinds[dtype]) return Array.from(new kinds[dtype](bytes.buffer), Number);
  if (dtype[0] !== "U") throw new Error(`an array in it holds ${dtype}, which is not read here`);
  const codes = new Uint32Array(bytes.buffer);
  const letters = Number(dtype.slice(1));
  const valid = (code) => code > 0 && code < 0x110000;
  return Array.from({ length: count }, (_, i) => [...codes.subarray(i * letters, (i + 1) * letters)].filter(valid).map((code) => String.fromCodePoint(code)).join(""));
}
