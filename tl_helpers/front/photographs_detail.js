// One picture, looked at closely: its label, what all networks said, its nearest pictures, and where a network looked.

import { button, listOf, make, offer } from "./common.js";
import { several } from "./numbers.js";
import { mapWords, spotlight } from "./photographs_map.js";
import { SIDE, thumb } from "./photographs_read.js";
import { nearestIn, nearestList, shareCards, topOf } from "./photographs_shares.js";

/** @import { Shared } from "./photographs.js" */
/** @import { Picture } from "./photographs_album.js" */
/** @import { Named } from "./photographs_engine.js" */
/** @import { Train } from "./photographs_train.js" */

const NEAR = 5;
const LARGE = 160; // side of the picture, in pixels of the page

export class Detail {
  /**
   * @param {Shared} shared
   * @param {Train} train
   */
  constructor(shared, train) {
    this.shared = shared;
    this.train = train;
    this.id = /** @type {number | null} */ (null);
    this.asked = /** @type {number | null} */ (null); // class that a newly opened picture's map is of
    this.mapped = /** @type {Train["current"]} */ (null); // the training that the map is of
    this.looking = 0; // times that a map was asked for
    this.title = make("p", { class: "tlx-sentence", tabindex: -1 });
    this.label = make("select", {
      onchange: () => this.relabel(Number(this.label.value)),
    });
    this.place = make("div");
    this.cards = make("div");
    this.near = make("div");
    this.arm = listOf(train.arms.map((name, arm) => [arm, name]), 0, () => this.clearMap());
    this.named = make("select", { onchange: () => this.clearMap() });
    this.go = button("Where does it look?", () => this.look());
    this.map = make("div", { class: "tlx-photos-map" });
    this.told = make("p", { role: "status", "aria-live": "polite" });
    const close = button("Close", () => this.close());
    const chosen = make("div", { class: "tlx-actions" }, make("label", {}, "Its class: ", this.label), close);
    const asked = make(
      "div",
      { class: "tlx-controls" },
      make("label", {}, "Network ", this.arm),
      make("label", {}, "class ", this.named),
      this.go,
    );
    const first = make("div", { class: "tlx-try" }, this.place, make("div", {}, chosen, this.cards));
    const attributes = {
      class: "tlx-photos-detail",
      role: "region",
      "aria-label": "One picture",
      hidden: true,
    };
    this.node = make(
      "div",
      attributes,
      this.title,
      first,
      this.near,
      asked,
      this.told,
      this.map,
    );
  }

  /** @param {number} id */
  open(id) {
    this.id = id;
    this.clearMap();
    this.near.replaceChildren();
    const { current } = this.train;
    const shares = current?.shares(0, current.rowOf(id));
    this.asked = shares ? topOf(shares) : null;
    this.refresh();
    this.title.focus();
  }

  close() {
    this.id = null;
    this.node.hidden = true;
    this.clearMap();
  }

  // The pictures or the networks changed.
  refresh() {
    const { album, content } = this.shared;
    const picture = this.id === null ? undefined : album.find(this.id);
    if (!picture) return this.close();
    const { current } = this.train;
    const names = album.names;
    if (this.mapped !== current) this.clearMap(); // the networks have been trained anew since
    this.node.hidden = false;
    this.title.textContent = `${picture.name}: “${names[picture.label]}”`;
    const options = names.map((words, value) => ({ words, value }));
    offer(this.label, options, picture.label);
    const words = `${picture.name}, 128 × 128 pixels`;
    const shown = make("div", { role: "img", "aria-label": words }, thumb(picture.pixels, LARGE));
    this.place.replaceChildren(shown);
    const row = current?.rowOf(picture.id) ?? -1;
    const shares = this.train.arms.map((_, arm) => current?.shares(arm, row) ?? null);
    const how = row < 0
      ? "It came after the last training."
      : "What each network said when it was held back:";
    this.cards.replaceChildren(
      make("p", {}, how),
      shareCards(this.train.arms, content.looks, current?.names ?? names, shares),
    );
    const chosen = this.asked ?? Number(this.named.value || picture.label);
    this.asked = null;
    offer(this.named, options, Math.min(chosen, names.length - 1));
    this.ask(picture);
  }

  /** @param {Picture} picture */
  async ask(picture) {
    const { current } = this.train;
    if (!current || !this.train.ready) return;
    try {
      const of = this.train.seeing.seen.has(picture.id) ? { id: picture.id } : { pixels: picture.pixels };
      const { named } = await this.train.asking.name({ do: "name", of, nearest: NEAR });
      if (this.id === picture.id && current === this.train.current) this.showNearest(picture, named);
    } catch (error) {
      this.say(`Its nearest pictures are not known: ${error instanceof Error ? error.message : error}.`);
    }
  }

  // Its class was wrong; the networks learn the new one in the next training.
  /** @param {number} label */
  relabel(label) {
    if (this.id === null) return;
    const { album } = this.shared;
    album.move([this.id], label);
    this.say(
      `It is “${
        album.names[label]
      }” now. Train again, and the networks learn it as that; Undo takes it back.`,
    );
  }

  /** @param {string} words */
  say(words) {
    this.told.textContent = words;
  }

  /**
   * @param {Picture} picture
   * @param {Named} named
   */
  showNearest({ id }, named) {
    const { album } = this.shared;
    const own = album.groups[album.pictures.findIndex((each) => each.id === id)];
    const twins = album.groups.filter((group) => group === own).length - 1;
    const left = twins ? ` (but for ${several(twins, "picture")} nearly the same as this one)` : "";
    const words =
      "The training pictures that are most like it to the ImageNet features, with their similarity" +
      `${left}:`;
    const near = nearestIn(album, named.nearest);
    const list = nearestList(near, album.names, (each) => this.open(each));
    this.near.replaceChildren(make("p", {}, words), list);
  }

  clearMap() {
    this.looking += 1;
    this.mapped = this.train.current;
    this.map.replaceChildren();
    this.go.disabled = false;
    this.say("");
  }

  // Cover the picture place by place, and show what that costs.
  async look() {
    const picture = this.id === null ? undefined : this.shared.album.find(this.id);
    const { current } = this.train;
    if (!picture || !current || !this.train.ready) return this.say("Train first.");
    this.clearMap();
    const turn = this.looking;
    const [arm, label] = [Number(this.arm.value), Number(this.named.value)];
    if (!current.results[arm]) {
      return this.say(`“${this.train.arms[arm]}” is not trained yet. Wait a moment.`);
    }
    this.go.disabled = true;
    const bar = make("progress", { max: 1, value: 0, "aria-label": "Covering the picture" });
    this.map.replaceChildren(bar);
    this.say("A grey square covers the picture, one place after the other …");
    try {
      const of = { id: picture.id, pixels: picture.pixels };
      const question = /** @type {const} */ ({ do: "occlude", of, arm, label });
      const found = await this.train.asking.occlude(question, (share) => (bar.value = share));
      if (turn !== this.looking) return;
      const words = mapWords(found, SIDE, current.names[label]);
      const under = "Bright: where covering costs most. Dark: where it costs nothing.";
      const shown = [thumb(picture.pixels), spotlight(picture.pixels, found, words)];
      shown[0].setAttribute("aria-hidden", "true");
      this.map.replaceChildren(make("figure", {}, ...shown, make("figcaption", {}, under)));
      const learned = current.rowOf(picture.id) >= 0 && !found.heldBack;
      this.say(learned ? `This network has learned from this picture too. ${words}` : words);
    } catch (error) {
      if (turn !== this.looking) return;
      this.map.replaceChildren();
      this.say(
        `That did not work: ${error instanceof Error ? error.message : error}. Press the button again.`,
      );
    }
    this.go.disabled = false;
  }
}
