// Where files come from (a picker, a folder, a drop, a zip archive), and to which class each of them goes.

import { tidy } from "./photographs_album.js";
import { listed } from "./zip.js";

/**
 * A file that was found: the folders that it lies in, the outermost first.
 * @typedef {{ path: string[], name: string, read: () => Promise<File> }} Found
 */
/** @typedef {{ name: string | null, files: Found[] }} Lot files of one class; without a name they lay in no folder */

const LARGEST_ARCHIVE = 500e6; // bytes
const OF_SYSTEMS = ["thumbs.db", "desktop.ini", "__macosx", "icon\r"]; // what Windows and macOS put there
const PARTS = ["train", "training", "test", "testing", "val", "valid", "validation"];
const OURS = "tlx-photos 1";

/** @param {string} name */
const hidden = (name) => /^(\.|~\$)/.test(name) || OF_SYSTEMS.includes(name.toLowerCase());

/** @param {Found} found */
const seen = ({ path, name }) => ![...path, name].some(hidden);

/**
 * @param {File} file
 * @param {string[]} path
 * @returns {Found}
 */
const foundFile = (file, path = []) => ({ path, name: file.name, read: () => Promise.resolve(file) });

/** @type {(one: string, other: string) => number} as people sort: 2 before 10 */
const inOrder = (one, other) => one.localeCompare(other, "en", { numeric: true });

/**
 * From a field: with their folders, where a folder was chosen.
 * @param {File[]} files
 */
export function fromPicker(files) {
  const sorted = [...files].sort((one, other) => inOrder(one.webkitRelativePath, other.webkitRelativePath));
  return sorted.map((file) => foundFile(file, file.webkitRelativePath.split("/").slice(0, -1))).filter(seen);
}

/** @param {FileSystemDirectoryEntry} folder @returns {Promise<FileSystemEntry[]>} */
async function inside(folder) {
  const reader = folder.createReader();
  const all = /** @type {FileSystemEntry[]} */ ([]);
  while (true) { // it tells a hundred at a time
    const some = /** @type {FileSystemEntry[]} */ (await new Promise((resolve, reject) => {
      reader.readEntries(resolve, reject);
    }));
    if (!some.length) return all.sort((one, other) => inOrder(one.name, other.name));
    all.push(...some);
  }
}

/**
 * @param {FileSystemEntry} entry
 * @param {string[]} path
 * @returns {Promise<Found[]>}
 */
async function walked(entry, path) {
  if (hidden(entry.name)) return [];
  if (entry.isFile) {
    const one = /** @type {FileSystemFileEntry} */ (entry);
    return [{
      path,
      name: entry.name,
      read: () => new Promise((resolve, reject) => one.file(resolve, reject)),
    }];
  }
  const all = [];
  for (const each of await inside(/** @type {FileSystemDirectoryEntry} */ (entry))) {
    all.push(...await walked(each, [...path, entry.name]));
  }
  return all;
}

/**
 * From a drop or a paste. What it holds must be asked for at once: it is gone after the event.
 * @param {DataTransfer | null} transfer
 * @returns {Promise<Found[]>}
 */
export async function fromTransfer(transfer) {
  const entries = [...transfer?.items ?? []].map((item) => item.webkitGetAsEntry?.() ?? null);
  const files = [...transfer?.files ?? []];
  if (!entries.some((entry) => entry?.isDirectory)) return files.map((file) => foundFile(file)).filter(seen);
  const all = [];
  for (const entry of entries) if (entry) all.push(...await walked(entry, []));
  return all;
}

/**
 * Take what is dropped on an element.
 * @param {HTMLElement} node
 * @param {(transfer: DataTransfer | null) => void} taken
 */
export function receives(node, taken) {
  const mark = (/** @type {boolean} */ over) => node.classList.toggle("tlx-over", over);
  node.addEventListener("dragover", (event) => {
    event.preventDefault();
    event.stopPropagation();
    mark(true);
  });
  node.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && node.contains(relatedTarget))) mark(false);
  });
  node.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    mark(false);
    taken(event.dataTransfer);
  });
}

/** @type {(found: Found) => boolean} */
export const isArchive = ({ name }) => /\.zip$/i.test(name);

/**
 * From a zip archive; ours says what the classes of its folders are called.
 * @param {File} file
 */
export async function fromArchive(file) {
  if (file.size > LARGEST_ARCHIVE) {
    const most = LARGEST_ARCHIVE / 1e6;
    throw new Error(
      `it has ${Math.round(file.size / 1e6)} MB; at most ${most} are read. Unpack it and add the folder`,
    );
  }
  const { entries, comment } = listed(new Uint8Array(await file.arrayBuffer()));
  const names = namesIn(comment);
  const all = entries.filter(({ name }) => !name.endsWith("/")).map(({ name, read }) => {
    const path = name.split("/").filter((part) => part && part !== ".");
    const own = path.pop() ?? "";
    return {
      path: path.map((part) => names.get(part) ?? part),
      name: own,
      read: async () => new File([await read()], own),
    };
  });
  return all.filter(seen);
}

/**
 * What stands in our archives beside the files: the names of classes whose folders are called otherwise.
 * @param {Record<string, string>} names by folder
 */
export const commentOf = (names) => JSON.stringify({ [OURS]: names });

/** @param {string} comment @returns {Map<string, string>} */
function namesIn(comment) {
  try {
    const names = Object.entries(JSON.parse(comment)[OURS]);
    return new Map(names.map(([folder, name]) => [folder, String(name)]));
  } catch {
    return new Map(); // an archive that another program made
  }
}

/**
 * Divide files by the classes that their folders name: photos/cat/1.jpg is of the class cat.
 * @param {Found[]} all
 * @returns {Lot[]}
 */
export function lotsOf(all) {
  const folders = (/** @type {Found[]} */ some) => new Set(some.map(({ path }) => path[0]));
  let rest = all;
  let outer = /** @type {string | null} */ (null);
  while (rest.length && rest.every(({ path }) => path.length) && folders(rest).size === 1) {
    outer = rest[0].path[0];
    rest = rest.map((each) => ({ ...each, path: each.path.slice(1) }));
  }
  const inParts = [...folders(rest)].filter((name) => name !== undefined);
  const deep = rest.every(({ path }) => path.length !== 1);
  if (inParts.length > 1 && deep && inParts.every((name) => PARTS.includes(name.toLowerCase()))) {
    rest = rest.map((each) => ({ ...each, path: each.path.slice(1) }));
  }
  const none = rest.every(({ path }) => !path.length);
  const lots = /** @type {Map<string | null, Found[]>} */ (new Map());
  for (const each of rest) {
    const name = none ? outer : each.path[0] ?? null;
    const key = name === null ? null : tidy(name);
    lots.set(key, [...lots.get(key) ?? [], each]);
  }
  return [...lots].map(([name, files]) => ({ name, files }));
}
