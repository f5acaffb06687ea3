// Which pictures the worker has seen: each new one is sent to it, a few at a time, while the reader goes on adding.

/** @import { Album } from "./photographs_album.js" */
/** @import { Answer } from "./photographs_engine.js" */
/** @import { Link } from "./photographs_link.js" */

const AT_ONCE = 2; // pictures on their way: one that is seen and one that waits

export class Seeing {
  /**
   * @param {Album} album
   * @param {Link} engine
   * @param {() => void} changed
   */
  constructor(album, engine, changed) {
    this.album = album;
    this.engine = engine;
    this.changed = changed;
    this.worker = engine.worker;
    this.sent = /** @type {Set<number>} */ (new Set()); // and not yet answered
    this.seen = /** @type {Set<number>} */ (new Set());
    this.refused = /** @type {Set<number>} */ (new Set()); // that the worker could not see
    this.seconds = 0;
    album.listen(() => this.update());
    engine.listen((answer) => this.hear(answer));
  }

  // A worker that has seen nothing yet.
  begin() {
    this.worker = this.engine.worker;
    this.sent.clear();
    this.seen.clear();
    this.refused.clear();
    this.seconds = 0;
  }

  count() {
    return this.album.pictures.filter(({ id }) => this.seen.has(id)).length;
  }

  done() {
    return this.engine.ready && this.count() === this.album.pictures.length;
  }

  // Ask once more for what could not be seen.
  retry() {
    this.refused.clear();
    this.update();
  }

  // Forget what is gone, ask for what is new.
  update() {
    if (this.worker !== this.engine.worker) this.begin();
    if (!this.engine.ready) return;
    const here = new Set(this.album.pictures.map(({ id }) => id));
    const gone = [...this.seen].filter((id) => !here.has(id));
    if (gone.length) this.engine.send({ do: "forget", ids: gone });
    for (const id of gone) this.seen.delete(id);
    for (const { id, pixels } of this.album.pictures) {
      if (this.sent.size >= AT_ONCE) break;
      if ([this.seen, this.sent, this.refused].some((ids) => ids.has(id))) continue;
      this.sent.add(id);
      this.engine.send({ do: "see", id, pixels });
    }
  }

  /** @param {Answer} answer */
  hear(answer) {
    if (answer.do === "loaded") this.update();
    if (answer.do === "failed" && answer.about === "see") {
      this.sent.delete(answer.ask);
      this.refused.add(answer.ask);
      this.update();
    }
    if (answer.do !== "seen") return;
    this.sent.delete(answer.id);
    this.seen.add(answer.id);
    this.seconds += answer.seconds;
    this.update();
    this.changed();
  }
}
