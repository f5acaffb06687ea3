// The page's end of the worker, which is made when it is first needed: it holds the networks and keeps the page free.

import { loadWeights } from "./photographs_weights.js";

/** @import { Model } from "./common.js" */
/** @import { Answer, Question } from "./photographs_engine.js" */

export class Link {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.worker = /** @type {Worker | null} */ (null);
    this.loading = /** @type {Promise<void> | null} */ (null);
    this.ready = false;
    this.listeners = /** @type {((answer: Answer) => void)[]} */ ([]);
  }

  /** @param {(answer: Answer) => void} heard */
  listen(heard) {
    this.listeners.push(heard);
  }

  /**
   * Load the weights, once; after a failure one can ask again.
   * @param {Parameters<typeof loadWeights>[1]} onProgress
   */
  load(onProgress) {
    this.loading ??= this.loaded(onProgress).catch((error) => {
      this.end();
      throw error;
    });
    return this.loading;
  }

  /** @param {Parameters<typeof loadWeights>[1]} onProgress */
  async loaded(onProgress) {
    const { numbers, layout } = await loadWeights(this.model, onProgress);
    const address = URL.createObjectURL(new Blob([this.model.get("engine")], { type: "text/javascript" }));
    const worker = new Worker(address);
    URL.revokeObjectURL(address);
    this.worker = worker;
    await new Promise((resolve, reject) => {
      worker.onerror = (event) => {
        const message = event.message || "the worker did not start";
        this.tell({ do: "failed", about: "load", ask: -1, message });
        reject(new Error(message));
      };
      worker.onmessage = ({ data }) => {
        if (data.do === "loaded") resolve(data);
        if (data.do === "failed" && data.about === "load") reject(new Error(data.message));
        if (data.do === "loaded") this.ready = true;
        this.tell(data);
      };
      const { network } = this.model.get("content");
      const question = /** @type {Question} */ ({ do: "load", network, numbers, layout, seed: 0 });
      this.send(question, [numbers instanceof ArrayBuffer ? numbers : numbers.buffer]);
    });
  }

  /** @param {Answer} answer */
  tell(answer) {
    for (const heard of this.listeners) heard(answer);
  }

  /**
   * @param {Question} question
   * @param {Transferable[]} moved what goes over without being copied
   */
  send(question, moved = []) {
    if (!this.worker) throw new Error("The networks are not here yet: load them first.");
    this.worker.postMessage(question, moved);
  }

  end() {
    this.worker?.terminate();
    this.worker = null;
    this.loading = null;
    this.ready = false;
  }
}
