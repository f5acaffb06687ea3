// The explorer: choose what is copied, frozen and trained; see what was recorded; train it where there is a kernel.
// In JupyterLab anywidget calls render(); the static page does it itself.

import { button, keepKeys, listOf, make, offer } from "./common.js";
import { figures } from "./explorer_figures.js";
import { Layers } from "./explorer_layers.js";
import { Live } from "./explorer_live.js";
import { RANDOM, RANDOM_ARM, Records, SCRATCH, SCRATCH_ARM, write } from "./explorer_records.js";
import { codes, comparison, facts, sentence, tried, validated } from "./explorer_texts.js";

/** @import { Place } from "./common.js" */
/** @import { Series } from "./explorer_figures.js" */
/** @import { State } from "./explorer_live.js" */
/** @import { Choice, Run } from "./explorer_records.js" */

// What stands behind the # of the page's address, by the explorer that it speaks of.
function fragments() {
  const parts = location.hash.slice(1).split(";").filter((part) => part.includes("="));
  return Object.fromEntries(parts.map((part) => part.split("=")));
}

class Explorer {
  /** @param {Place} place */
  constructor({ model, el }) {
    this.model = model;
    this.records = new Records(model.get("payload"));
    this.name = /** @type {string} */ (model.get("name"));
    this.first = /** @type {Choice} */ ({ ...model.get("choice") });
    this.choice = { ...this.first };
    this.pinned = /** @type {Choice | null} */ (null);
    this.told = "";
    this.coded = "";
    const current = () => this.choice;
    const hasKernel = model.get("live") !== null;
    this.live = hasKernel ? new Live(model, this.records, current, () => this.update()) : null;
    const go = (/** @type {Choice} */ choice, /** @type {string} */ note) => this.go(choice, note);
    this.layers = new Layers(this.records, current, go, (words) => this.say(words));
    const { pairs, labels } = this.records;
    const takeLabels = (/** @type {string} */ count) => this.go({ ...this.choice, labels: Number(count) });
    this.tasks = listOf(
      pairs.map(({ name, title }) => [name, title]),
      undefined,
      (pair) => this.takePair(pair),
    );
    this.labels = listOf(labels.map((count) => [count, count]), undefined, takeLabels);
    this.methods = listOf([], undefined, (method) => this.takeMethod(method));
    const part = (/** @type {string} */ name, more = {}) => make("div", { class: `tlx-${name}`, ...more });
    this.note = part("note", { "aria-live": "polite" });
    this.sentence = part("sentence", { "aria-live": "polite" });
    this.figures = part("figures");
    this.facts = part("facts");
    this.compare = part("compare");
    this.code = part("code");
    this.tried = make("div");
    this.unpin = button("Remove A", () => this.pin(null, "A is removed."));
    el.replaceChildren(this.root());
    if (this.live) this.listen();
    else this.follow();
    this.update();
  }

  root() {
    const pinned = "Pinned as A. Now change something: what you choose is B.";
    const actions = [
      button("Pin as A", () => this.pin({ ...this.choice }, pinned)),
      this.unpin,
      button("Reset", () => this.reset()),
      button("Copy code", () => this.copyCode()),
      ...(this.live ? [] : [button("Copy link", () => this.copy(location.href, "The link"))]),
    ];
    const again = make("summary", {}, "Python that does this run again");
    const how = make("summary", {}, "How the learning rate was chosen");
    const lists = [["Tasks ", this.tasks], ["Labels per class ", this.labels], ["Method ", this.methods]];
    const root = make(
      "section",
      { class: "tlx", "aria-label": "Explorer of frozen and fine-tuned layers", id: !this.live && this.name },
      make("div", { class: "tlx-controls" }, ...lists.map((parts) => make("label", {}, ...parts))),
      this.layers.node,
      this.layers.why,
      this.note,
      this.sentence,
      this.figures,
      this.facts,
      make("div", { class: "tlx-actions" }, ...actions),
      this.compare,
      this.live?.node ?? null,
      make("details", {}, again, this.code),
      make("details", {}, how, this.tried),
    );
    keepKeys(root);
    return root;
  }

  // A choice that is set in Python is followed here.
  listen() {
    this.model.on?.("change:choice", () => {
      const choice = this.model.get("choice");
      if (write(choice) === write(this.choice)) return;
      this.choice = { ...choice };
      this.update();
    });
  }

  // So is one in the page's address.
  follow() {
    const take = () => {
      const parts = String(fragments()[this.name] ?? "").split(",");
      const [choice, pinned = null] = parts.map((part) => this.records.read(part));
      if (!choice) return false;
      this.choice = choice;
      this.pinned = pinned;
      this.say("");
      return true;
    };
    if (take()) requestAnimationFrame(() => document.getElementById(this.name)?.scrollIntoView());
    addEventListener("hashchange", () => take() && this.update());
  }

  /** @param {Choice} choice */
  go(choice, note = "") {
    this.choice = choice;
    this.say(note);
    this.update();
    this.model.set("choice", { ...choice });
    if (this.live) return this.live.reach(() => this.model.save_changes());
    const pin = this.pinned ? `,${write(this.pinned)}` : "";
    const all = { ...fragments(), [this.name]: write(choice) + pin };
    history.replaceState(null, "", `#${Object.entries(all).map((part) => part.join("=")).join(";")}`);
  }

  /** @param {string} words */
  say(words) {
    if (this.note.textContent !== words) this.note.textContent = words;
  }

  /** @param {string} pair */
  takePair(pair) {
    const { method } = this.choice;
    const has = this.records.methods(pair).includes(method);
    const note = has ? "" : `${method} is not offered there: the rules speak of digits.`;
    this.go({ ...this.choice, pair, method: has ? method : "plain" }, note);
  }

  /** @param {string} method */
  takeMethod(method) {
    const all = this.records.statesOf(method);
    const same = all.includes(this.choice.states);
    const states = same ? this.choice.states : all[0];
    const note = same ? "" : `${method} goes with ${this.records.told(states)}; the layers follow.`;
    this.go({ ...this.choice, method, states }, note);
  }

  /**
   * @param {Choice | null} choice
   * @param {string} note
   */
  pin(choice, note) {
    this.pinned = choice;
    this.go(this.choice, note);
  }

  reset() {
    this.pinned = null;
    if (this.live) this.live.wanted = "";
    this.go(this.first, "Back to the beginning.");
  }

  copyCode() {
    const [{ of, which, code }] = this.codes();
    this.copy(code, `The code of ${of}${which}`);
  }

  /**
   * @param {string} text
   * @param {string} what
   */
  async copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      this.say(`${what} is copied.`);
    } catch {
      this.say(`The browser does not let this page copy. ${what}: ${text}`);
    }
  }

  update() {
    const { records, choice, pinned } = this;
    const run = records.of(choice);
    const other = pinned?.pair === choice.pair && pinned.labels !== choice.labels ? pinned : null;
    const besides = other ? ` (A: ${validated(records, other.pair, other.labels)})` : "";
    const tested = records.pair[choice.pair].tested.toLocaleString("en");
    const on = `${validated(records, choice.pair, choice.labels)} validation images${besides}`;
    const nodes = figures(this.series(run), records.quantile, { validated: on, tested });
    this.figures.replaceChildren(...nodes);
    this.showCode();
    this.live?.show(run);
    const told = JSON.stringify([choice, pinned]);
    if (told === this.told) return; // a point of the live curve came; what is read out or open stays as it is
    this.told = told;
    this.showChoice();
    this.sentence.replaceChildren(...(run ? [sentence(records, choice, run)] : this.unrecorded()));
    this.facts.textContent = run ? facts(run) : "";
    this.tried.replaceChildren(...tried(records, choice, run));
    this.unpin.hidden = !pinned;
    this.compare.replaceChildren(...(pinned ? comparison(records, pinned, choice) : []));
  }

  showChoice() {
    const { records, choice } = this;
    this.tasks.value = choice.pair;
    this.labels.value = String(choice.labels);
    const methods = records.methods(choice.pair);
    const options = records.allMethods().map((value) => {
      const off = !methods.includes(value);
      return { value, words: off ? `${value} (for digits only)` : value, off };
    });
    offer(this.methods, options, choice.method);
    this.layers.update();
  }

  /**
   * What is drawn: the choice, what is pinned, the two baselines, the run in the kernel.
   * @param {Run | null} run
   */
  series(run) {
    const { records, choice, pinned } = this;
    const { looks } = records;
    const recorded = (
      /** @type {Run | null} */ run,
      /** @type {string} */ name,
      look = looks[name],
      band = false,
    ) => {
      const told = `${run?.test.length} seeds, learning rate ${run?.rate}`;
      return run ? [{ name, told, look, band, run }] : [];
    };
    const live = this.live?.drawn();
    const arm = records.arm(choice);
    const other = pinned ? records.arm(pinned) : "";
    const drawn = [arm, SCRATCH_ARM, RANDOM_ARM]; // what is pinned may be one of these with other labels
    const pinnedLook = drawn.includes(other) ? looks.A : looks[other];
    const baseline = (/** @type {string} */ states, /** @type {string} */ name) => {
      const base = records.plain(choice, states);
      return base === run ? [] : recorded(base, name);
    };
    return [
      ...recorded(run, pinned ? "B" : "this", looks[arm], true),
      ...recorded(pinned?.pair === choice.pair ? records.of(pinned) : null, "A", pinnedLook, true),
      ...baseline(SCRATCH, SCRATCH_ARM),
      ...baseline(RANDOM, RANDOM_ARM),
      ...(live ? [this.liveSeries(live)] : []),
    ];
  }

  /**
   * @param {State} state
   * @returns {Series}
   */
  liveSeries({ seed, rate, steps, total, accuracy, test }) {
    const run = { steps, total, mean: accuracy, half: [], test: test === null ? [] : [test] };
    const told = `seed ${seed}, learning rate ${rate}`;
    return { name: "live", told, look: this.records.looks.live, band: false, run };
  }

  codes() {
    return codes(this.records.of(this.choice), this.live?.drawn() ?? null);
  }

  showCode() {
    const all = this.codes();
    const coded = JSON.stringify(all);
    if (coded === this.coded) return;
    this.coded = coded;
    const nodes = all.flatMap(({ of, which, code }) => {
      const words = { tabindex: 0, "aria-label": `Python code of ${of}` };
      return [make("p", {}, `The code of ${of}${which}:`), make("pre", words, code)];
    });
    this.code.replaceChildren(...nodes);
  }

  unrecorded() {
    const { records, choice } = this;
    const what = `${records.describe(choice)} with ${choice.labels} labels per class`;
    const kernel = ", and it cannot be trained here, since no learning rate was chosen for it";
    const words = `There is no record of ${what}, so nothing is shown for it${this.live ? kernel : ""}. `;
    const near = records.nearest(choice);
    if (!near) return [words];
    const offered = `${near.labels} labels per class, ${records.describe(near)}`;
    return [words, button(`Show the nearest: ${offered}`, () => this.go(near))];
  }
}

/** @param {Place} place */
function render(place) {
  new Explorer(place);
}

export default { render };
