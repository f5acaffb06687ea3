// The third part of the page: which pictures are taken for what, and what moves when a label is changed.

import { button, make, offer } from "./common.js";
import { several, whole } from "./numbers.js";
import { Detail } from "./photographs_detail.js";
import { thumb } from "./photographs_read.js";
import { moved } from "./photographs_words.js";

/** @import { Shared } from "./photographs.js" */
/** @import { Outcome } from "./photographs_outcome.js" */
/** @import { Train } from "./photographs_train.js" */
/** @typedef {{ row: number, named: number, share: number }} Wrong a picture that was named wrongly, and how sure */

const SHOWN = 18; // pictures in a cell of the table, until all are asked for
const WORST = 12;

export class Look {
  /**
   * @param {Shared} shared
   * @param {Train} train
   */
  constructor(shared, train) {
    this.shared = shared;
    this.train = train;
    this.outcome = /** @type {Outcome | null} */ (null);
    this.all = /** @type {Set<string>} */ (new Set()); // cells that show all their pictures
    this.shown = /** @type {unknown[]} */ ([]); // what is on the page: a result, names, a network
    this.wanted = 0;
    this.arm = make("select", { onchange: () => this.choose() });
    this.change = make("p", { class: "tlx-status", role: "status", "aria-live": "polite" });
    this.wrong = make("div");
    this.matrix = make("div", { class: "tlx-photos-wide" });
    this.detail = new Detail(shared, train);
    this.body = make(
      "div",
      { hidden: true },
      make("div", { class: "tlx-controls" }, make("label", {}, "Answers of ", this.arm)),
      this.change,
      this.wrong,
      this.matrix,
      this.detail.node,
    );
    this.wait = make("p", {}, "Train first: then you see here which pictures are taken for what.");
    this.nodes = /** @type {HTMLElement[]} */ ([
      make("p", { class: "tlx-sentence" }, "3. Look at the answers"),
      this.wait,
      this.body,
    ]);
    train.listen(() => this.update());
    shared.album.listen(() => this.detail.refresh());
  }

  // A training told something new.
  update() {
    const { current } = this.train;
    if (!current?.results[0]) return;
    this.outcome = current;
    const there = current.arms.map((words, value) => ({ words, value, off: !current.results[value]?.of }));
    offer(this.arm, there, there[this.wanted].off ? 0 : this.wanted);
    const arm = Number(this.arm.value);
    const shown = [current.results[arm], current.names, arm];
    if (shown.every((each, i) => each === this.shown[i])) return this.detail.refresh();
    this.shown = shown;
    this.show();
  }

  choose() {
    this.wanted = Number(this.arm.value);
    this.update();
  }

  show() {
    const { outcome } = this;
    if (!outcome) return;
    this.body.hidden = false;
    this.wait.hidden = outcome.tested;
    if (!outcome.tested) {
      this.wait.textContent =
        "Nothing was held back, so there are no answers to look at; you can try pictures below.";
      this.body.hidden = true;
      return;
    }
    const arm = Number(this.arm.value);
    const { before } = this.train;
    const words = before ? moved(before, outcome, arm) : "";
    if (this.change.textContent !== words) this.change.textContent = words;
    const at = this.focused();
    this.wrong.replaceChildren(...this.worst(outcome, arm));
    this.matrix.replaceChildren(this.confusion(outcome, arm));
    this.detail.refresh();
    this.focus(at);
  }

  // The picture that has the keyboard's focus in the lists, which are made anew.
  focused() {
    const { activeElement } = this.body.ownerDocument;
    if (!(activeElement instanceof HTMLElement) || !this.body.contains(activeElement)) return null;
    return activeElement.dataset.place ?? null;
  }

  /** @param {string | null} place */
  focus(place) {
    if (place === null) return;
    const found = [...this.body.querySelectorAll("[data-place]")].find((node) => {
      return /** @type {HTMLElement} */ (node).dataset.place === place;
    });
    if (found instanceof HTMLElement) found.focus({ preventScroll: true });
  }

  /**
   * @param {Outcome} outcome
   * @param {number} row
   * @param {number} arm
   * @param {string} where
   */
  picture(outcome, row, arm, where) {
    const { id, pixels, label, name } = outcome.pictures[row];
    const named = outcome.results[arm]?.answers[row] ?? 0;
    const share = outcome.shares(arm, row)?.[named] ?? 0;
    const words = `${name}: is ${outcome.names[label]}, named ${outcome.names[named]} (${
      Math.round(100 * share)
    } %)`;
    return make("button", {
      type: "button",
      class: "tlx-thumb",
      title: words,
      "aria-label": `${words}. Look at it`,
      "data-place": `${where}-${id}`,
      onclick: () => this.open(id),
    }, thumb(pixels));
  }

  /**
   * Those that are wrong, most sure first.
   * @param {Outcome} outcome
   * @param {number} arm
   */
  worst(outcome, arm) {
    const result = outcome.results[arm];
    const rights = outcome.rights(arm);
    if (!result || !rights) return [];
    const wrong = rights.flatMap((right, row) => {
      const named = result.answers[row];
      return right !== false ? [] : [{ row, named, share: outcome.shares(arm, row)?.[named] ?? 0 }];
    });
    wrong.sort((a, b) => b.share - a.share);
    if (!wrong.length) return [make("p", {}, "Every held-back picture is named rightly.")];
    const items = wrong.slice(0, WORST).map(({ row, named, share }) => {
      const { names, pictures } = outcome;
      const told = [
        `is ${names[pictures[row].label]}`,
        `named ${names[named]}, ${whole(share)}`,
      ];
      const lines = told.map((words) => make("span", {}, words));
      return make("li", {}, this.picture(outcome, row, arm, "worst"), ...lines);
    });
    const rest = wrong.length > WORST ? `; the first ${WORST} of ${wrong.length}` : "";
    const title = `Wrong, and most sure of it${rest}. Choose a picture to look at it closely.`;
    return [make("p", {}, title), make("ul", { class: "tlx-photos-worst" }, ...items)];
  }

  /**
   * @param {Outcome} outcome
   * @param {number} arm
   */
  confusion(outcome, arm) {
    const { names, pictures } = outcome;
    const answers = outcome.results[arm]?.answers ?? [];
    const titles = names.map((name) => make("th", { scope: "col" }, `named ${name}`));
    const rows = names.map((name, label) => {
      const cells = names.map((_, named) => {
        const found = [...pictures.keys()].filter((row) => {
          return pictures[row].label === label && answers[row] === named;
        });
        return this.cell(outcome, arm, found, label, named);
      });
      return make("tr", {}, make("th", { scope: "row" }, `is ${name}`), ...cells);
    });
    const caption = make("caption", {}, `Held-back pictures by class and by what ${outcome.arms[arm]} named`);
    const head = make("thead", {}, make("tr", {}, make("td"), ...titles));
    return make("table", { class: "tlx-photos-matrix" }, caption, head, make("tbody", {}, ...rows));
  }

  /**
   * @param {Outcome} outcome
   * @param {number} arm
   * @param {number[]} rows
   * @param {number} label
   * @param {number} named
   */
  cell(outcome, arm, rows, label, named) {
    const place = `${label} ${named}`;
    const shown = this.all.has(place) ? rows : rows.slice(0, SHOWN);
    const left = rows.length - shown.length;
    const pictures = shown.map((row) => this.picture(outcome, row, arm, "cell"));
    const more = button(`${left} more`, () => {
      this.all.add(place);
      this.show();
    });
    more.setAttribute("aria-label", `Show ${several(left, "picture")} more`);
    const count = make(
      "strong",
      {},
      `${rows.length} ${label === named ? "✓" : rows.length ? "✗" : ""}`.trim(),
    );
    const thumbs = make("div", { class: "tlx-thumbs" }, ...pictures, left ? more : null);
    return make("td", { class: label === named ? "tlx-photos-right" : null }, count, thumbs);
  }

  /** @param {number} id */
  open(id) {
    this.detail.open(id);
  }
}
