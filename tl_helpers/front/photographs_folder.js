// Take the pictures along: a zip archive of folders, one a class, which data.from_folder reads.

import { commentOf } from "./photographs_files.js";
import { SIDE } from "./photographs_read.js";
import { png } from "./png.js";
import { zipped } from "./zip.js";

/** @import { Album } from "./photographs_album.js" */

const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i; // as Windows has it
const OTHERWISE = /^(train|training|test|testing|val|valid|validation|__macosx)$/i; // no class for data.from_folder
const LONGEST = 80;

/**
 * A name that every file system takes, as near to the given one as that allows.
 * @param {string} name
 * @param {string} otherwise
 */
function safeName(name, otherwise) {
  // deno-lint-ignore no-control-regex
  const plain = name.normalize("NFC").replace(/[<>:"/\\|?*\x00-\x1f\x7f]/g, "_").replace(/^[.~\s]+/, "_");
  const cut = [...plain].slice(0, LONGEST).join("").replace(/[.\s]+$/, "") || otherwise;
  return RESERVED.test(cut) || OTHERWISE.test(cut) ? `${cut.replace(".", "_")}_` : cut;
}

/**
 * A name that none of the others has, on a disk that does not tell capitals apart.
 * @param {string} name
 * @param {Set<string>} taken
 */
function ownName(name, taken) {
  let own = name;
  for (let n = 2; taken.has(own.toLowerCase()); n++) own = `${name} (${n})`;
  taken.add(own.toLowerCase());
  return own;
}

/**
 * @param {Album} album
 * @param {(done: number) => void} told
 */
export async function archived({ classes, pictures, names }, told) {
  const folders = /** @type {Set<string>} */ (new Set());
  const places = names.map((name, k) => ownName(safeName(name, `class ${k + 1}`), folders));
  const taken = classes.map(() => /** @type {Set<string>} */ (new Set()));
  const files = /** @type {Record<string, Uint8Array>} */ ({});
  for (const [i, { pixels, label, name }] of pictures.entries()) {
    const own = ownName(safeName(name.replace(/\.\w{1,5}$/, ""), "picture"), taken[label]);
    files[`${places[label]}/${own}.png`] = await png(pixels, SIDE);
    told(i + 1);
  }
  const other = names.map((name, k) => [places[k], name]).filter(([place, name]) => place !== name);
  return zipped(files, commentOf(Object.fromEntries(other)));
}
