// The last part of the page: the head that was trained and the names, as a file, and the Python that goes on from it.

import { button, make } from "./common.js";
import { headFile } from "./photographs_head.js";

/** @import { Shared } from "./photographs.js" */
/** @import { Train } from "./photographs_train.js" */

// Networks whose head stands on the ImageNet features, and what their files are called.
const FILES = new Map([[0, "head.npz"], [3, "head_fine_tuned.npz"]]);
const HEAD_FILE = FILES.get(0);

const PYTHON = `import numpy as np
from PIL import Image, ImageOps

from tl_experiments import page_heads
from tl_helpers import data, models, transfer

model = page_heads.with_head("${HEAD_FILE}")  # the network with your head
names = np.load("${HEAD_FILE}")["class_names"]
picture = ImageOps.exif_transpose(Image.open("new.jpg")).convert("RGB")  # a new one
pixels = np.asarray(ImageOps.fit(picture, (128, 128)))
print(names[models.outputs(model, pixels[None]).argmax()])

photos = data.from_folder("photographs", size=128)  # unpacked there
answers = names[models.outputs(model, photos.images).argmax(axis=1)]
right = answers == np.array(photos.class_names)[photos.labels]
print(right.mean())  # of pictures that it has learned from: this is no test

split = data.few_shot(photos, per_class=3, seed=0)  # train once more
source = models.pretrained("imagenet", size=128)
result = transfer.feature_extraction(source, split)
print(result.report(split.test))`;

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
    this.buttons = [...FILES.keys()].map((arm) =>
      button(`Save the head: ${train.arms[arm]}`, () => this.give(arm))
    );
    this.status = make("p", { class: "tlx-status", role: "status", "aria-live": "polite" });
    this.nodes = /** @type {HTMLElement[]} */ ([
      make("p", { class: "tlx-sentence" }, "5. Take it along"),
      make(
        "p",
        {},
        `The head and the names of the classes are saved as ${
          [...FILES.values()].join(" or ")
        }; “Export zip” above ` +
          `saves the pictures. Put ${HEAD_FILE} beside your program or notebook with a new photograph new.jpg, and ` +
          "unpack photographs.zip into a folder “photographs” there. Then this goes on from where you are, with the " +
          "same answers. The limit for “none of these” stays here: it needs the training pictures.",
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
    [...FILES.keys()].forEach((arm, i) => (this.buttons[i].disabled = !current?.results[arm]));
  }

  /** @param {number} arm */
  async give(arm) {
    const { current } = this.train;
    if (!current || !this.train.ready) return this.say("Train first; then there is a head to save.", "error");
    try {
      const { arrays } = await this.train.asking.export({ do: "export", arm });
      const file = FILES.get(arm) ?? "head.npz";
      save(headFile(arrays, current.names, this.shared.content.network.size), file);
      this.say(`${file} holds the head of “${this.train.arms[arm]}” for ${current.names.join(", ")}.`);
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
