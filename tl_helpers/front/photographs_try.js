// The fourth part of the page: a picture that the networks never saw is named, or is none of these.

import { make } from "./common.js";
import { Camera } from "./photographs_camera.js";
import { fromTransfer, receives } from "./photographs_files.js";
import { readPicture, thumb } from "./photographs_read.js";
import { nearestIn, nearestList, shareCards, topOf } from "./photographs_shares.js";
import { picker } from "./pad.js";

/** @import { Shared } from "./photographs.js" */
/** @import { Named } from "./photographs_engine.js" */
/** @import { Outcome } from "./photographs_outcome.js" */
/** @import { Train } from "./photographs_train.js" */
/** @typedef {Uint8Array<ArrayBuffer>} Pixels */

const NEAR = 5;
const USUAL = 95; // of 100 training pictures that count as known, to begin with
const LARGE = 190;
const BREAK = 300; // milliseconds between two pictures of an open camera

export class Try {
  /**
   * @param {Shared} shared
   * @param {Train} train
   */
  constructor(shared, train) {
    this.shared = shared;
    this.train = train;
    this.pixels = /** @type {Pixels | null} */ (null);
    this.named = /** @type {{ named: Named, outcome: Outcome } | null} */ (null);
    this.asking = false;
    this.waiting = false;
    this.watching = 0;
    const { opener, input } = picker(
      "Choose a picture …",
      { accept: "image/*" },
      ([file]) => file && this.take(file),
    );
    const photo = picker("Take a photo …", { accept: "image/*", capture: "environment" }, ([file]) => {
      if (file) this.take(file);
    });
    this.camera = new Camera("Point the camera");
    this.camera.opener.addEventListener("click", () => this.watch());
    this.place = make("div", { class: "tlx-photos-shown" }, "No picture yet. Drop or paste one here.");
    this.top = make("p", { role: "status", "aria-live": "polite" });
    this.apart = make("p", { class: "tlx-facts" });
    this.cards = make("div");
    this.near = make("div");
    this.slider = make("input", { type: "range", min: 50, max: 100, step: 1, value: USUAL });
    this.slider.addEventListener("input", () => this.show());
    this.known = make("output", {}, String(USUAL));
    this.limit = make("p", { class: "tlx-facts" });
    const phone = matchMedia("(pointer: coarse)").matches ? [photo.opener, photo.input] : [];
    const parts = [this.place, opener, input, ...phone, ...this.camera.nodes];
    const drop = make("div", {
      class: "tlx-class",
      tabindex: 0,
      role: "group",
      "aria-label": "Picture to try",
    }, ...parts);
    this.receive(drop);
    const label = make(
      "label",
      {},
      "Of 100 training pictures, take so many for known: ",
      this.slider,
      this.known,
    );
    const side = make("div", {}, this.top, this.apart, this.cards, this.near);
    this.nodes = /** @type {HTMLElement[]} */ ([
      make("p", { class: "tlx-sentence" }, "4. Try a picture that they never saw"),
      make("div", { class: "tlx-try" }, drop, side),
      make("div", { class: "tlx-controls" }, label),
      this.limit,
    ]);
    this.say("Train first: then the networks name what you show them here.");
    train.listen(() => this.retry());
  }

  /** @param {string} words */
  say(words) {
    if (this.top.textContent !== words) this.top.textContent = words;
  }

  /**
   * Take what is dropped on an element, or pasted while it has the focus.
   * @param {HTMLElement} node
   */
  receive(node) {
    const take = async (/** @type {DataTransfer | null} */ transfer) => {
      const [found] = await fromTransfer(transfer);
      if (found) this.take(await found.read());
      else this.say("What came is no file. Save the picture as a file, then drop that here.");
    };
    receives(node, take);
    node.addEventListener("paste", (event) => {
      event.preventDefault();
      event.stopPropagation();
      take(event.clipboardData);
    });
  }

  /** @param {File} file */
  async take(file) {
    try {
      this.put(await readPicture(file));
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {Pixels} pixels */
  put(pixels) {
    this.pixels = pixels;
    const shown = make("div", { role: "img", "aria-label": "The picture to try" }, thumb(pixels, LARGE));
    this.place.replaceChildren(shown);
    this.ask();
  }

  // While the camera is open, what it sees is named again and again.
  async watch() {
    const turn = this.watching += 1;
    while (turn === this.watching && this.place.isConnected) {
      await new Promise((resolve) => setTimeout(resolve, BREAK));
      const pixels = this.camera.frame();
      if (pixels && !this.asking && turn === this.watching) this.put(pixels);
      if (!this.camera.on && !this.camera.opening) return;
    }
  }

  // A training told something new.
  retry() {
    const { current } = this.train;
    if (!current?.results[0]) return;
    if (this.pixels) this.ask();
    else this.say("Show a picture: drop it here, paste it, choose a file or use the camera.");
    this.showLimit(current);
  }

  // One question at a time; of those that wait, only the newest counts.
  async ask() {
    const { current } = this.train;
    if (!this.pixels) return;
    if (!current) return this.say("The picture is here. Train first: then the networks name it.");
    if (!this.train.ready) return; // it is asked again as soon as there is a head
    this.waiting = this.asking;
    if (this.asking) return;
    this.asking = true;
    try {
      const of = { pixels: this.pixels };
      const { named } = await this.train.asking.name({ do: "name", of, nearest: NEAR });
      if (current === this.train.current) {
        this.named = { named, outcome: current };
        this.show();
      } else this.waiting = true;
    } catch (error) {
      this.say(`The picture was not named: ${error instanceof Error ? error.message : error}. Try it again.`);
    }
    this.asking = false;
    if (this.waiting) this.ask();
  }

  /** @param {Outcome} outcome */
  showLimit(outcome) {
    const { distances, ended } = outcome;
    const known = Number(this.slider.value);
    this.known.textContent = String(known);
    this.slider.setAttribute("aria-valuetext", `${known} of 100 training pictures count as known`);
    if (!distances.length) {
      this.limit.textContent = ended ? "" : "The limit for “none of these” is known when the training ends.";
      return;
    }
    const limit = outcome.limit(known);
    this.limit.textContent =
      `A picture is none of these if its distance to every training picture is above ${
        limit.toFixed(2)
      }. With ` +
      `this limit, ${known} of 100 training pictures count as known when each is compared with the others. Move ` +
      "the slider to the left, and more pictures are none of these: more strange ones, and more that belong.";
  }

  show() {
    const { current } = this.train;
    if (current) this.showLimit(current);
    if (!this.named) return;
    const { named: { shares, nearest, distance }, outcome } = this.named;
    const { arms, names, distances } = outcome;
    this.cards.replaceChildren(shareCards(arms, this.shared.content.looks, names, shares));
    const near = nearestIn(this.shared.album, nearest);
    const title = make("p", {}, "The training pictures that are most like it:");
    this.near.replaceChildren(title, nearestList(near, this.shared.album.names));
    const limit = outcome.limit(Number(this.slider.value));
    const words = arms.flatMap((name, arm) =>
      shares[arm]?.length ? [`${name}: ${names[topOf(shares[arm])]}`] : []
    );
    this.apart.textContent = distances.length
      ? `Distance to the nearest training picture: ${distance.toFixed(2)}; the limit: ${limit.toFixed(2)}.` +
        (distance > limit
          ? ""
          : " A thing of another kind that looks like yours can be within the limit, too.")
      : "";
    if (distances.length && distance > limit) {
      return this.say(
        `None of these: it is unlike all that was shown. If it had to be one: ${words.join("; ")}.`,
      );
    }
    this.say(`${words.join("; ")}.`);
  }

  end() {
    this.watching += 1;
    this.camera.close();
  }
}
