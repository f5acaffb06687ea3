// The weights of the large network, loaded only when asked for: on the site from scripts beside the page, which works
// from a file too; in JupyterLab from the kernel. What has come stays, so a second try goes on where one failed.

import { make } from "./common.js";

/** @import { Model } from "./common.js" */
/** @typedef {{ name: string, shape: number[] }[]} Layout the arrays, one behind the other */
/**
 * What Python tells of them, as `content.weights`.
 * @typedef {object} Told
 * @property {string} folder where the scripts lie, as seen from the root of the site
 * @property {{ name: string, bytes: number }[]} parts
 * @property {number} bytes all together
 * @property {number} text as text in scripts
 * @property {Layout} layout
 */

const PATIENCE = 20; // seconds that the kernel has to send one part
const SILENT =
  `The kernel has not sent the weights for ${PATIENCE} seconds. If it was restarted, run this cell ` +
  "again. If another cell is running, wait until it ends; then try again.";
const GONE = "The kernel of this page is gone: it was restarted or stopped. Run this cell again.";

const arrived = /** @type {Map<string, Uint8Array>} */ (new Map());

/** @param {Model} model */
const fromKernel = (model) => typeof model.send === "function";

/**
 * How much will be loaded, to be said beforehand.
 * @param {Model} model
 * @returns {number} bytes
 */
export function sizeOfWeights(model) {
  const { bytes, text } = /** @type {Told} */ (model.get("content").weights);
  return fromKernel(model) ? bytes : text;
}

/**
 * Load what is missing.
 * @param {Model} model
 * @param {(done: number, of: number) => void} [onProgress] bytes of `sizeOfWeights`, after each part
 * @returns {Promise<{ numbers: Uint16Array<ArrayBuffer>, layout: Layout }>} float16; rejects with an Error in words
 */
export async function loadWeights(model, onProgress = () => {}) {
  const { folder, parts, bytes, layout } = /** @type {Told} */ (model.get("content").weights);
  const total = sizeOfWeights(model);
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    onProgress(Math.round((total * at) / bytes), total);
    const found = arrived.get(part.name) ??
      (fromKernel(model) ? await asked(model, part.name) : await scripted(folder, part.name));
    if (found.length !== part.bytes) {
      throw new Error(`${part.name} has ${found.length} bytes, expected ${part.bytes}. Reload the page.`);
    }
    arrived.set(part.name, found);
    all.set(found, at);
    at += found.length;
  }
  onProgress(total, total);
  for (const { name } of parts) arrived.delete(name);
  return { numbers: new Uint16Array(all.buffer), layout };
}

/**
 * From a script beside the page. Where the root of the site is, Sphinx writes into each page.
 * @param {string} folder
 * @param {string} name
 * @returns {Promise<Uint8Array>}
 */
function scripted(folder, name) {
  const address = `${document.documentElement.dataset.content_root ?? "./"}${folder}/${name}.js`;
  const kept = /** @type {{ tlBackbone?: Record<string, string> }} */ (globalThis);
  return new Promise((resolve, reject) => {
    const fail = (/** @type {string} */ why) =>
      reject(new Error(`${why}: ${new URL(address, document.baseURI)}`));
    const script = make("script", {
      src: address,
      onerror: () => {
        script.remove();
        fail(
          "The network's weights cannot be loaded. Without a connection, open a copy of the whole site, not of this " +
            "page alone. Then try again. What was asked for",
        );
      },
      onload: () => {
        script.remove();
        const text = kept.tlBackbone?.[name];
        if (text === undefined) {
          return fail("A file does not hold the weights that it should. Reload the page");
        }
        delete kept.tlBackbone?.[name];
        resolve(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
      },
    });
    document.head.append(script);
  });
}

/**
 * From the kernel.
 * @param {Model} model
 * @param {string} name
 * @returns {Promise<Uint8Array>}
 */
function asked(model, name) {
  const { on, off, send } = /** @type {any} */ (model);
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      off?.call(model, "msg:custom", hear);
    };
    const fail = (/** @type {string} */ words) => {
      end();
      reject(new Error(words));
    };
    const timer = setTimeout(() => fail(SILENT), 1000 * PATIENCE);
    /** @type {(message: { weights?: string, refused?: string }, buffers: DataView[]) => void} */
    const hear = ({ weights, refused }, buffers) => {
      if (refused) return fail(refused);
      if (weights !== name) return;
      end();
      const { buffer, byteOffset, byteLength } = buffers[0];
      resolve(new Uint8Array(buffer, byteOffset, byteLength));
    };
    on.call(model, "msg:custom", hear);
    try {
      send.call(model, { weights: name });
    } catch {
      fail(GONE);
    }
  });
}
