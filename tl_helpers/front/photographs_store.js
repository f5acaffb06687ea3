// What the browser keeps of the pictures for the next visit: a database of its own for each page.

/** @import { State } from "./photographs_album.js" */
/** @typedef {{ id: number, label: number, name: string }} Row */
/** @typedef {{ key: "album", stamp: string, classes: string[], rows: Row[] }} Table */
/** @typedef {"saving" | "kept" | "elsewhere" | "no"} Kept whether it is kept; another tab may keep its own */

const PICTURES = "pictures";
const TABLES = "tables";

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const answered = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** @param {IDBTransaction} transaction @returns {Promise<void>} */
const finished = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });

/** @param {string} name @returns {Promise<IDBDatabase>} */
async function opened(name) {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(PICTURES, { keyPath: "id" });
    request.result.createObjectStore(TABLES, { keyPath: "key" });
  };
  return await answered(request);
}

const stamp = () => [...crypto.getRandomValues(new Uint32Array(3))].join("-");

export class Store {
  /**
   * @param {string} place of the page
   * @param {(kept: Kept) => void} told
   */
  constructor(place, told) {
    this.name = `tlx-photos ${place}`;
    this.told = told;
    this.database = /** @type {IDBDatabase | null} */ (null);
    this.stamp = ""; // of what this tab read or wrote last
    this.written = /** @type {Set<number>} */ (new Set());
    this.waiting = /** @type {State | null} */ (null);
    this.saving = false;
    this.alone = true;
  }

  /**
   * Read what was kept: class names and pictures, or nothing.
   * @returns {Promise<{ names: string[], rows: (Row & { pixels: Uint8Array<ArrayBuffer> })[] } | null>}
   */
  async read() {
    try {
      this.database = await opened(this.name);
      const transaction = this.database.transaction([PICTURES, TABLES]);
      const [table, pictures] = await Promise.all([
        answered(transaction.objectStore(TABLES).get("album")),
        answered(transaction.objectStore(PICTURES).getAll()),
      ]);
      if (!table) return null;
      const { rows, classes, stamp } = /** @type {Table} */ (table);
      const pixels = new Map(pictures.map((each) => [each.id, each.pixels]));
      this.stamp = stamp;
      this.written = new Set(pixels.keys());
      const whole = rows.filter(({ id, label }) => pixels.get(id)?.length && classes[label] !== undefined);
      return { names: classes, rows: whole.map((row) => ({ ...row, pixels: pixels.get(row.id) })) };
    } catch {
      this.told("no"); // a private window, or a browser that keeps nothing for files
      return null;
    }
  }

  /**
   * Keep a state; of several in a row the last.
   * @param {State} state
   */
  async save(state) {
    this.waiting = state;
    if (this.saving || !this.database) return;
    this.saving = true;
    try {
      while (this.waiting) {
        this.told("saving");
        const next = /** @type {State} */ (this.waiting);
        this.waiting = null;
        await this.write(this.database, next);
      }
      this.told(this.alone ? "kept" : "elsewhere");
    } catch {
      this.told("no"); // full, or taken away
    } finally {
      this.saving = false;
    }
  }

  /**
   * Write what is new, in one transaction: what is kept is always whole, and that of one tab.
   * @param {IDBDatabase} database
   * @param {State} state
   */
  async write(database, { classes, pictures }) {
    const transaction = database.transaction([PICTURES, TABLES], "readwrite");
    const done = finished(transaction);
    const [shelf, tables] = [PICTURES, TABLES].map((name) => transaction.objectStore(name));
    const table = /** @type {Table | undefined} */ (await answered(tables.get("album")));
    if ((table?.stamp ?? "") !== this.stamp) { // another tab has kept its own: replace it
      this.alone = false;
      shelf.clear();
      this.written = new Set();
    }
    const ids = new Set(pictures.map(({ id }) => id));
    for (const id of this.written) if (!ids.has(id)) shelf.delete(id);
    for (const { id, pixels } of pictures) if (!this.written.has(id)) shelf.put({ id, pixels });
    const rows = pictures.map(({ id, label, name }) => ({ id, label, name }));
    const next = stamp();
    tables.put({ key: "album", stamp: next, classes: classes.map(({ name }) => name), rows });
    await done;
    this.stamp = next;
    this.written = ids;
  }

  end() {
    this.database?.close();
    this.database = null;
  }
}
