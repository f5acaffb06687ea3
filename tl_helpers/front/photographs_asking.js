// Questions to the worker that have one answer, as promises.

/** @import { Answer, Question } from "./photographs_engine.js" */
/** @import { Link } from "./photographs_link.js" */
/** @typedef {Answer & ({ do: "named" } | { do: "occluded" } | { do: "exported" })} Reply */
/** @typedef {Question & ({ do: "name" } | { do: "occlude" } | { do: "export" })} Asked */
/** @typedef {(share: number) => void} Told */
/** @typedef {{ resolve: (reply: any) => void, reject: (error: Error) => void, progress: Told }} Open a question */

export class Asking {
  /** @param {Link} engine */
  constructor(engine) {
    this.engine = engine;
    this.count = 0;
    this.open = /** @type {Map<number, Open>} */ (new Map());
    engine.listen((answer) => this.hear(answer));
  }

  /**
   * @param {Omit<Question & { do: "name" }, "ask">} question
   * @returns {Promise<Answer & { do: "named" }>}
   */
  name(question) {
    return this.ask({ ...question, ask: this.count += 1 });
  }

  /**
   * @param {Omit<Question & { do: "occlude" }, "ask">} question
   * @param {(share: number) => void} progress
   * @returns {Promise<Answer & { do: "occluded" }>}
   */
  occlude(question, progress) {
    return this.ask({ ...question, ask: this.count += 1 }, progress);
  }

  /**
   * @param {Omit<Question & { do: "export" }, "ask">} question
   * @returns {Promise<Answer & { do: "exported" }>}
   */
  export(question) {
    return this.ask({ ...question, ask: this.count += 1 });
  }

  /**
   * @param {Asked} question
   * @param {(share: number) => void} progress
   * @returns {Promise<any>}
   */
  ask(question, progress = () => {}) {
    return new Promise((resolve, reject) => {
      this.open.set(question.ask, { resolve, reject, progress });
      try {
        this.engine.send(question);
      } catch (error) {
        this.open.delete(question.ask);
        reject(error);
      }
    });
  }

  /** @param {Answer} answer */
  hear(answer) {
    if (answer.do === "failed" && answer.about === "load") {
      for (const { reject } of this.open.values()) reject(new Error(answer.message));
      return this.open.clear();
    }
    if (!("ask" in answer)) return;
    if (answer.do === "failed" && !["name", "occlude", "export"].includes(answer.about)) return;
    const asked = this.open.get(answer.ask);
    if (!asked) return;
    if (answer.do === "progress") return asked.progress(answer.share);
    this.open.delete(answer.ask);
    if (answer.do === "failed") asked.reject(new Error(answer.message));
    else asked.resolve(answer);
  }
}
