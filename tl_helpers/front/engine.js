// The program of the worker, which trains so that the page stays responsive: it answers the page's messages.

import { unpacked } from "./network.js";
import { Trainer } from "./training.js";
import { Trunk } from "./trunk.js";

/** @import { Architecture } from "./trunk.js" */
/** @import { Message, Order } from "./training.js" */
/**
 * What the page sends; "load" comes first.
 * @typedef {{ do: "load", network: Architecture, weights: string }
 *   | { do: "train", order: Order, images: Uint8Array }
 *   | { do: "stop" }
 *   | { do: "name", image: Uint8Array, which: number }} Question
 */

/** @param {Message} message */
const tell = (message) => self.postMessage(message);

/** @type {Trainer | null} */
let trainer = null;

self.onmessage = async (/** @type {MessageEvent<Question>} */ { data }) => {
  try {
    if (data.do === "load") {
      const trunk = new Trunk(data.network);
      trainer = new Trainer(trunk, unpacked(trunk, data.weights), tell);
    }
    if (data.do === "train") await trainer?.train(data.order, data.images);
    if (data.do === "stop" && trainer) trainer.stopped = true;
    if (data.do === "name") trainer?.name(data.image, data.which);
  } catch (error) {
    tell({ do: "failed", message: error instanceof Error ? error.message : String(error) });
  }
};
