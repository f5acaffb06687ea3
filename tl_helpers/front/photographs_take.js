// The last part of the page: the head that was trained and the names, as a file, and the Python that goes on from it.

import { button, make } from "./common.js";
import { npy, npyOfStrings } from "./npz.js";
import { zipped } from "./zip.js";

/** @import { Shared } from "./photographs.js" */
/** @import { Answer } from "./photographs_engine.js" */
/** @import { Train } from "./photographs_train.js" */

const FORMAT = "tl head 1"; // as tl_experiments/page_heads.py reads it
const BACKBONE = "imagenet";
const OFFERED = [0, 3]; // networks whose head stands on the ImageNet features
export const HEAD_FILE = "head.npz";

const PYTHON = `import numpy as np

from tl_experiments import page_heads
from tl_helpers import data, models, transfer

model = page_heads.with_head("${HEAD_FILE}")  # the network with your head
names = np.load("${HEAD_FILE}")["class_names"]
photos = data.from_folder("photographs", size=128)  # the unpacked zip
answers = names[models.outputs(model, photos.images).argmax(axis=1)]
print(np.mean(answers == np.array(photos.class_names)[photos.labels]))

split = data.few_shot(photos, per_class=3, seed=0)  # train once more
source = models.pretrained("imagenet", size=128)
result = transfer.feature_extraction(source, split)
print(result.report(split.test))`;

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

/**
 * Give bytes to the reader as a file.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {string} name
 */
function save(bytes, name) {
  const address = URL.createObjectURL(new Blob([bytes]));
  make("a", { href: address, download: name }).click();
  URL.revokeObjectURL(address);
}

export class Take {
  /**
   * @param {Shared} shared
   * @param {Train} train
   */
  constructor(shared, train) {
    this.shared = shared;
    this.train = train;
    this.buttons = OFFERED.map((arm) => button(`Save the head: ${train.arms[arm]}`, () => this.give(arm)));
    this.status = make("p", { class: "tlx-status", role: "status", "aria-live": "polite" });
    this.nodes = /** @type {HTMLElement[]} */ ([
      make("p", { class: "tlx-sentence" }, "5. Take it along"),
      make(
        "p",
        {},
        `The head and the names of the classes are saved as ${HEAD_FILE}; the pictures as a zip, above. Put ` +
          `${HEAD_FILE} and the unpacked folder “photographs” beside your program or notebook; then this goes on ` +
          "from there, with the same answers:",
      ),
      make("div", { class: "tlx-actions" }, ...this.buttons),
      this.status,
      make("pre", { tabindex: 0, "aria-label": "Python" }, PYTHON),
    ]);
    train.listen(() => this.update());
    this.update();
  }

  update() {
    const { current } = this.train;
    this.buttons.forEach((node, i) => (node.disabled = !current?.results[OFFERED[i]]));
  }

  /** @param {number} arm */
  async give(arm) {
    const { current } = this.train;
    if (!current || !this.train.ready) return this.say("Train first; then there is a head to save.", "error");
    try {
      const { arrays } = await this.train.asking.export({ do: "export", arm });
      save(headFile(arrays, current.names, this.shared.content.network.size), HEAD_FILE);
      this.say(`${HEAD_FILE} holds the head of “${this.train.arms[arm]}” for ${current.names.join(", ")}.`);
    } catch (error) {
      this.say(`Nothing was saved: ${error instanceof Error ? error.message : error}. Try again.`, "error");
    }
  }

  /** @param {string} words */
  say(words, status = "") {
    this.status.textContent = words;
    this.status.dataset.status = status;
  }
}
