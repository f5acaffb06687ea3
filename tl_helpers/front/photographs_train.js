// The second part of the page: the pictures are seen while they come, four networks train, and how good they are.

import { key } from "./charts.js";
import { button, make } from "./common.js";
import { seconds, several, whole } from "./numbers.js";
import { Asking } from "./photographs_asking.js";
import { Outcome } from "./photographs_outcome.js";
import { Report } from "./photographs_report.js";
import { Seeing } from "./photographs_seeing.js";
import { sizeOfWeights } from "./photographs_weights.js";

/** @import { Shared } from "./photographs.js" */
/** @import { Answer } from "./photographs_engine.js" */

const SEED = 0; // of folds and draws: the same pictures give the same numbers

/** @param {number} bytes */
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

export class Train {
  /** @param {Shared} shared */
  constructor(shared) {
    this.shared = shared;
    this.arms = shared.content.arms.map(({ name }) => name);
    this.runs = 0;
    this.wanted = false; // as soon as all pictures are seen
    this.begun = 0;
    this.current = /** @type {Outcome | null} */ (null); // that of the newest training, which may still run
    this.before = /** @type {Outcome | null} */ (null); // the last one that came to an end before it
    this.listeners = /** @type {(() => void)[]} */ ([]);
    const { album, engine } = shared;
    this.seeing = new Seeing(album, engine, () => this.proceed());
    this.asking = new Asking(engine);
    this.size = megabytes(sizeOfWeights(engine.model));
    this.fetch = button(`Load the network (${this.size})`, () => this.load());
    this.go = button("Train", () => this.press());
    this.go.className = "tlx-train";
    this.halt = button("Stop", () => this.stop());
    this.halt.disabled = true;
    this.again = make("input", { type: "checkbox", checked: true });
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "Training" });
    this.status = make("p", { class: "tlx-status", role: "status", "aria-live": "polite" });
    this.looked = make("p", { class: "tlx-facts" });
    this.report = new Report(this.arms, shared.content.looks);
    this.nodes = /** @type {HTMLElement[]} */ (this.parts());
    this.say(
      `The network's weights are not part of this page. They are loaded once, ${this.size}, when you press ` +
        "“Load the network” or “Train”. After that, nothing is loaded any more: you may go offline.",
    );
    album.listen(() => this.changed());
    engine.listen((answer) => this.hear(answer));
    this.showSeen();
  }

  parts() {
    const { looks } = this.shared.content;
    const told = [
      "has learned from 1.3 million photographs; only a new last layer is trained",
      "the same network, but it has learned nothing: its weights are random; only a last layer is trained",
      "no network: a last layer on the colours of 32 × 32 squares",
      "the first network; its last convolution is trained too",
    ];
    const items = this.arms.map((name, arm) =>
      make("li", {}, key(looks[name]), " ", make("strong", {}, name), `: ${told[arm]}`)
    );
    const again = make("label", {}, this.again, "train again when the pictures change");
    return [
      make("p", { class: "tlx-sentence" }, "2. Train four networks side by side"),
      make("ul", { class: "tlx-photos-arms" }, ...items),
      make("div", { class: "tlx-controls" }, this.fetch, this.go, this.halt, this.bar, again),
      this.status,
      this.looked,
      ...this.report.nodes,
    ];
  }

  /** @param {() => void} changed */
  listen(changed) {
    this.listeners.push(changed);
  }

  tell() {
    for (const changed of this.listeners) changed();
  }

  /** @param {string} words */
  say(words, status = "") {
    if (this.status.textContent !== words) this.status.textContent = words;
    this.status.dataset.status = status;
  }

  // Whether the networks of the newest training can be asked.
  get ready() {
    return Boolean(this.current?.results[0]) && this.seeing.worker === this.shared.engine.worker;
  }

  async load() {
    const { engine } = this.shared;
    if (engine.ready) return true;
    this.fetch.disabled = true;
    this.say(`Loading the network, ${this.size} …`);
    try {
      await engine.load((done, of) => {
        this.bar.value = done / of;
        this.looked.textContent = `${megabytes(done)} of ${megabytes(of)} loaded`;
      });
    } catch (error) {
      this.fetch.disabled = false;
      this.wanted = false;
      this.busy(false);
      this.say(error instanceof Error ? error.message : String(error), "error");
      this.showSeen();
      return false;
    }
    this.fetch.hidden = true;
    this.bar.value = 0;
    this.say("The network is here. It looks at each picture once, while you go on adding.");
    this.seeing.update();
    this.showSeen();
    return true;
  }

  async press() {
    const problem = this.shared.album.problem();
    if (problem) return this.say(problem, "error");
    this.wanted = true;
    this.busy(true);
    if (!await this.load()) return;
    this.seeing.retry();
    this.proceed();
  }

  // The pictures changed: forget and see; train again if that is wanted.
  changed() {
    const { current, shared: { album } } = this;
    if (current && current.pictures === album.pictures && current.names.length === album.names.length) {
      current.names = album.names; // classes were renamed, if anything
      this.report.show(current);
      this.tell();
      return this.showSeen();
    }
    if (this.again.checked && current && !album.problem()) this.wanted = true;
    this.proceed();
  }

  // Whether the pictures are others than those of the newest training.
  get stale() {
    return Boolean(this.current && this.current.pictures !== this.shared.album.pictures);
  }

  showSeen() {
    const { album, engine } = this.shared;
    const count = album.pictures.length;
    if (!engine.ready) {
      this.looked.textContent = "";
      return;
    }
    const each = this.seeing.seconds / Math.max(1, this.seeing.seen.size);
    const pace = this.seeing.seen.size ? `, ${Math.round(1000 * each)} ms each` : "";
    const stale = this.stale && !this.wanted && this.current?.ended;
    this.looked.textContent = `${this.seeing.count()} of ${several(count, "picture")} seen${pace}.` +
      (stale ? " The pictures have changed since the training below: press Train to train again." : "");
    if (this.wanted && count) this.bar.value = this.seeing.done() ? 0 : this.seeing.count() / count;
  }

  // Train, if that is wanted and all pictures are seen.
  proceed() {
    this.showSeen();
    if (!this.wanted) return;
    const { album } = this.shared;
    const problem = album.problem();
    if (problem) {
      this.wanted = false;
      this.busy(false);
      return this.say(problem, "error");
    }
    if (!this.seeing.done()) {
      this.busy(true);
      return this.say("Training begins as soon as all pictures are seen. You can go on adding.");
    }
    this.begin();
  }

  begin() {
    const { album, engine } = this.shared;
    this.wanted = false;
    if (this.current?.results[0]) this.before = this.current;
    this.current = new Outcome(this.runs += 1, album, this.arms);
    const rows = album.pictures.map(({ id, label }, i) => ({ id, label, group: album.groups[i] }));
    this.begun = performance.now();
    this.busy(true);
    this.say(`Training four networks on ${several(rows.length, "picture")} …`);
    engine.send({ do: "train", run: this.current.run, rows, classes: album.classes.length, seed: SEED });
  }

  stop() {
    this.wanted = false;
    if (this.shared.engine.ready && this.current && !this.current.ended) {
      this.shared.engine.send({ do: "stop" });
    } else this.say("Stopped. The pictures that were seen need not be seen again.");
    this.busy(false);
  }

  /** @param {boolean} training */
  busy(training) {
    this.go.disabled = training;
    this.halt.disabled = !training;
  }

  /** @param {Answer} answer */
  hear(answer) {
    if (answer.do === "failed") return this.failed(answer);
    const { current } = this;
    if (answer.do === "progress" && answer.ask === current?.run && !current.ended) {
      this.bar.value = answer.share;
      this.bar.setAttribute("aria-valuetext", `${whole(answer.share)}, ${answer.doing}`);
      return;
    }
    if (!current?.take(answer)) return;
    if (answer.do === "trained") this.finished(current);
    if (answer.do === "plan") return; // what was there before stays until there is something to show
    this.report.show(current);
    this.tell();
  }

  /** @param {Answer & { do: "failed" }} answer */
  failed({ about, ask, message }) {
    if (about === "see") {
      const name = this.shared.album.find(ask)?.name ?? "A picture";
      this.wanted = false;
      this.busy(false);
      return this.say(
        `${name} could not be seen: ${message}. Remove it, or press Train to try again.`,
        "error",
      );
    }
    if (about !== "train" && about !== "load") return;
    this.wanted = false;
    this.busy(false);
    this.say(
      `Training ended: ${message}. Your pictures are as they were; press Train to begin again.`,
      "error",
    );
  }

  /** @param {Outcome} outcome */
  finished(outcome) {
    this.busy(this.wanted);
    this.bar.value = outcome.stopped ? this.bar.value : 1;
    const took = seconds((performance.now() - this.begun) / 1000);
    if (outcome.stopped) return this.say(`Stopped after ${took}. What was reached is shown.`);
    this.say(`Done in ${took}. The networks that you try below were trained on all pictures.`);
  }
}
