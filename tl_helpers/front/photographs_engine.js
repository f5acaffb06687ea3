// The program of the page's worker: it sees pictures, trains on them, names them, and answers the page's messages.
//
// The page owns the pictures; the worker keeps, by the picture's id, what its networks make of each ("see"), so that
// no large array travels twice. A question with `ask` or `run` is answered with the same number. Questions are
// answered in the order in which they come; while it trains or covers a picture, the worker pauses often enough that
// "see", "name", "stop" and "forget" are answered in between. A new "train" ends one that still runs, and so does a new
// "occlude".

import { Networks } from "./photographs_networks.js";

/**
 * What to build: `tl_base/efficientnet.py`, in numbers. Names of layers follow from it, as they do there.
 * @typedef {object} Network
 * @property {number} size side of the pictures in pixels, 128
 * @property {number} middle 127: pixels become (pixel - middle) / spread
 * @property {number} spread 128
 * @property {number} epsilon of every BatchNormalization, 0.001
 * @property {number} most 6, where ReLU6 cuts
 * @property {number} stem channels of the first convolution, 32 (3 by 3, stride 2)
 * @property {{ blocks: number, stride: number, kernel: number, expansion: number, channels: number }[]} stages
 * @property {number} features channels of the last convolution, 1280
 */
/** @typedef {{ name: string, shape: number[] }[]} Layout the arrays of source_imagenet.npz in their order */
/**
 * What the networks make of one picture. The page may keep it with the picture and give it back by "know".
 * @typedef {object} Features
 * @property {Float32Array<ArrayBuffer>} trained 1280 pooled features of the trained network
 * @property {Float32Array<ArrayBuffer>} random 1280 pooled features of the same network at random weights
 * @property {Float32Array<ArrayBuffer>} pixels 32 * 32 * 3 mean values, 0 to 255
 * @property {Float32Array<ArrayBuffer>} last 4 * 4 * 320 activations before the trained network's last convolution
 */
/** @typedef {{ id: number, label: number, group: number }} Row a picture to train on; equal groups stay on one side */
/**
 * The networks, in this order: 0 "ImageNet features", 1 "random features", 2 "pixels", 3 "last stage fine-tuned".
 * A picture is named by `id` if it was seen, otherwise by its `pixels` (128 * 128 * 3 bytes).
 * @typedef {{ id: number } | { pixels: Uint8Array }} Which
 */
/**
 * What the page sends; "load" comes first.
 * @typedef {{ do: "load", network: Network, numbers: Uint16Array | ArrayBuffer, layout: Layout, seed: number,
 *     path?: Path }
 *   | { do: "see", id: number, pixels: Uint8Array }
 *   | { do: "know", id: number, features: Features }
 *   | { do: "forget", ids: number[] }
 *   | { do: "train", run: number, rows: Row[], classes: number, seed: number }
 *   | { do: "stop" }
 *   | { do: "name", ask: number, of: Which, nearest: number }
 *   | { do: "occlude", ask: number, of: { id: number, pixels: Uint8Array }, arm: number, label: number }
 *   | { do: "export", ask: number, arm: number }} Question
 */
/** @typedef {"wasm" | "plain"} Path WebAssembly, or plain JavaScript, which every browser can do */
/**
 * What was held back, and when: every picture once, in the fold `parts[row]`.
 * @typedef {object} Plan
 * @property {number} folds 2 to 10; 0 if nothing can be held back
 * @property {boolean} one of each class, one picture (or group of like pictures) is held back at a time
 * @property {number[]} parts the fold in which each row is held back; -1: never, as its class has one group alone
 * @property {number} groups how many groups of pictures there are
 */
/**
 * How one network fared.
 * @typedef {object} Result
 * @property {number} arm
 * @property {Float32Array<ArrayBuffer>} shares rows * classes: what it said of each picture when it was held back
 * @property {number[]} answers the class it named then, by row; -1 if it was never held back
 * @property {number} right how many of them are right
 * @property {number} of how many were held back
 * @property {number} folds as in the plan; the fine-tuned network has 5 at most: the fold modulo that number
 * @property {number} seconds that its heads took
 * @property {number} steps of the solver, or of training, for the network trained on all pictures
 */
/**
 * One point of the learning curve: a mean over draws of test pictures and of `perClass` others to train on.
 * @typedef {object} CurvePoint
 * @property {number} arm 0 or 1
 * @property {number} perClass
 * @property {number} share of test pictures that are named rightly
 * @property {number} draws
 * @property {number} spread standard deviation over the draws
 */
/**
 * What a network says of a picture.
 * @typedef {object} Named
 * @property {number[][]} shares by arm and class; empty for an arm whose head is not trained (yet)
 * @property {{ id: number, similarity: number }[]} nearest training pictures by the cosine of the ImageNet features,
 *   the most similar first; of a training picture those of other groups
 * @property {number} distance 1 - similarity to the nearest: 0 (the same) to 1 (nothing in common)
 * @property {number} farther share of the training pictures whose own distance to the nearest picture of another group
 *   is smaller; 1: this one is farther than all of them
 */
/**
 * What the worker answers. `distances` are what a limit for "none of these" is read from: for each training picture
 * the distance to the nearest of another group, the smallest first. A picture is none of these if its `distance` is
 * larger than the limit; `distances[Math.floor(0.95 * n)]` is a good one to begin with.
 * "occluded": a grey square of `patch` pixels covers the picture at `side` * `side` places, `stride` pixels apart;
 * `drops[place]` is how much the share of the class fell (rows from the top), `share` what it is with nothing covered.
 * `heldBack`: the network is the one from which this picture was held back; otherwise the one trained on all.
 * A "curve" holds all points so far; there is none if a class has one group of pictures alone. "failed": `ask` is what
 * the question had as `ask`, `run` or `id`; an occlusion that another one or "stop" ends has failed, too.
 * "progress" of a training: `share` of the work that is done, `doing` in words; of an occlusion the same.
 * @typedef {{ do: "loaded", path: Path, seconds: number }
 *   | { do: "seen", id: number, features: Features, seconds: number }
 *   | { do: "progress", ask: number, share: number, doing: string }
 *   | { do: "plan", run: number, plan: Plan }
 *   | { do: "result", run: number, result: Result }
 *   | { do: "curve", run: number, points: CurvePoint[] }
 *   | { do: "trained", run: number, stopped: boolean, seconds: number, distances: number[] }
 *   | { do: "named", ask: number, named: Named }
 *   | { do: "occluded", ask: number, heldBack: boolean, share: number, side: number, patch: number, stride: number,
 *     drops: Float32Array }
 *   | { do: "exported", ask: number, arm: number, arrays: Record<string, { shape: number[], values: Float32Array }> }
 *   | { do: "failed", about: Question["do"], ask: number, message: string }} Answer
 */

/** @param {Answer} answer */
const tell = (answer) => self.postMessage(answer);

/**
 * @param {Question["do"]} about
 * @param {number} ask
 * @param {unknown} error
 */
function failed(about, ask, error) {
  tell({ do: "failed", about, ask, message: error instanceof Error ? error.message : String(error) });
}

/** @type {Networks | null} */
let networks = null;

/** @param {Question} question */
async function answer(question) {
  if (question.do === "load") {
    const begin = performance.now();
    networks = new Networks(question, tell);
    return tell({ do: "loaded", path: networks.kernels.path, seconds: (performance.now() - begin) / 1000 });
  }
  if (!networks) throw new Error("the network's weights are not loaded yet");
  if (question.do === "see") networks.see(question);
  if (question.do === "know") networks.known.set(question.id, question.features);
  if (question.do === "forget") question.ids.forEach((id) => networks?.known.delete(id));
  if (question.do === "train") networks.train(question);
  if (question.do === "stop") networks.stop();
  if (question.do === "name") networks.name(question);
  if (question.do === "occlude") await networks.occlude(question);
  if (question.do === "export") networks.export(question);
}

self.onmessage = (/** @type {MessageEvent<Question>} */ { data }) => {
  const ask = "ask" in data ? data.ask : "run" in data ? data.run : "id" in data ? data.id : -1;
  answer(data).catch((error) => failed(data.do, ask, error));
};
