// What the explorer says of the recorded runs: sentences, tables, test images.

import { make } from "./common.js";
import { SCRATCH, write } from "./explorer_records.js";
import { difference, interval, mean, percent, points, signed } from "./numbers.js";

/** @import { State } from "./explorer_live.js" */
/** @import { Choice, Pair, Records, Run } from "./explorer_records.js" */

/** @param {{ mean: number, half: number }} interval in points */
const bounds = ({ mean, half }) => `[${signed(mean - half)}, ${signed(mean + half)}]`;

/**
 * How many validation images there are, in words: as many as training images.
 * @param {Records} records
 * @param {string} pair
 * @param {number} labels
 */
export const validated = (records, pair, labels) =>
  (labels * records.pair[pair].classes).toLocaleString("en");

/**
 * The number that the choice reached, and how it stands to training from scratch.
 * @param {Records} records
 * @param {Choice} choice
 * @param {Run} run
 */
export function sentence(records, choice, run) {
  const { mean: centre, half } = interval(run.test, records.quantile);
  const tested = records.pair[choice.pair].tested.toLocaleString("en");
  const reached = `${points(centre)} ± ${percent(half)} of the ${tested} test images right.`;
  const against = againstScratch(run, records.plain(choice, SCRATCH), records.quantile);
  return `With ${choice.labels} labels per class, ${records.describe(choice)}: ${reached} ${against}`;
}

/**
 * @param {Run} run
 * @param {Run | null} base
 * @param {number} quantile
 */
function againstScratch(run, base, quantile) {
  if (!base) return "Training from scratch was not recorded here.";
  if (base === run) return "This is training from scratch, the line that every transfer has to beat.";
  const gain = difference(run.test, base.test, quantile);
  const apart = gain.mean > 0 ? "ahead of" : "behind";
  const words = Math.abs(gain.mean) > gain.half
    ? apart
    : `which ${run.test.length} seeds do not tell apart from`;
  return `That is ${signed(gain.mean)} points ${bounds(gain)}, ${words} training from scratch.`;
}

/** @param {Run} run */
export function facts(run) {
  const chosen = run.tried.length ? `, chosen with ${run.triedAt} labels per class` : "";
  const parts = [
    `${run.parameters.toLocaleString("en")} trained numbers`,
    `${run.seconds} s to train (median)`,
    `learning rate ${run.rate}${chosen}`,
    `${run.test.length} seeds`,
  ];
  return parts.join(" · ");
}

/**
 * The learning rates that were tried for a run, and which was chosen.
 * @param {Records} records
 * @param {Choice} choice
 * @param {Run | null} run
 * @returns {(Node | string)[]}
 */
export function tried(records, choice, run) {
  if (!run) return ["No run of this was recorded."];
  if (!run.tried.length) return ["The rate is part of the recipe; none was chosen."];
  const settings = (/** @type {string} */ text) => (run.setting ? [text] : []); // most methods have none to choose
  const head = ["learning rate", ...settings("setting"), "validation accuracy, %", ""];
  const rows = run.tried.map(([rate, setting, score]) => {
    const chosen = rate === run.rate && setting === run.setting ? "chosen" : "";
    const texts = [String(rate), ...settings(setting), points(score), chosen];
    return make("tr", {}, ...texts.map((text) => make("td", {}, text)));
  });
  const names = make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)));
  const table = make("table", {}, make("thead", {}, names), make("tbody", {}, ...rows));
  return [make("p", {}, howTried(records, choice, run.triedAt)), table];
}

/**
 * @param {Records} records
 * @param {Choice} choice
 * @param {number} triedAt
 */
function howTried(records, { pair, labels }, triedAt) {
  const other = triedAt === labels
    ? []
    : [`It serves for ${labels} labels per class too, where nothing was tried.`];
  const parts = [
    `Tried with ${triedAt} labels per class.`,
    `The accuracy in this table is on ${
      validated(records, pair, triedAt)
    } validation images, the mean over five`,
    "development seeds, which are none of those shown; the best is chosen, of equals the lowest rate, and no test",
    "image was looked at.",
    ...other,
    `The accuracy in the figures is that of other seeds, with ${labels} labels per class.`,
  ];
  return parts.join(" ");
}

/**
 * The code of what is drawn, that of the run in the kernel first.
 * @param {Run | null} run
 * @param {State | null} live
 */
export function codes(run, live) {
  const list = [];
  if (live) {
    const which = ` (seed ${live.seed}, learning rate ${live.rate})`;
    list.push({ of: "the run in this kernel", which, code: live.code });
  }
  if (run) {
    list.push({ of: "the recorded run", which: ` (seed 0, learning rate ${run.rate})`, code: run.code });
  }
  const none = "There is no record, and so no code that it came from.";
  return list.length ? list : [{ of: "this choice", which: "", code: none }];
}

/**
 * A, which was pinned, beside B, which is chosen.
 * @param {Records} records
 * @param {Choice} first
 * @param {Choice} second
 */
export function comparison(records, first, second) {
  if (write(first) === write(second)) return [];
  const [a, b] = [records.of(first), records.of(second)];
  const row = (/** @type {string} */ name, /** @type {Choice} */ choice, /** @type {Run | null} */ run) => {
    const words = [records.whole(choice), run ? percent(mean(run.test)) : "no record"];
    return make("tr", {}, make("th", { scope: "row" }, name), ...words.map((text) => make("td", {}, text)));
  };
  const table = make("table", {}, make("tbody", {}, row("A", first, a), row("B", second, b)));
  const same = first.pair === second.pair;
  const words = make("p", { class: "tlx-difference" }, compared(a, b, same, records.quantile));
  const images = a && b && same ? gallery(records.pair[first.pair], a.answers, b.answers) : [];
  return [table, words, ...images];
}

/**
 * @param {Run | null} a
 * @param {Run | null} b
 * @param {boolean} same whether they learn the same tasks
 * @param {number} quantile
 */
function compared(a, b, same, quantile) {
  if (!a || !b) return "Without both records there is no difference to show.";
  if (!same) return "A and B learn different tasks, so no difference is formed.";
  const gain = difference(b.test, a.test, quantile);
  const ahead = gain.mean > 0 ? "B is ahead." : "A is ahead.";
  const words = Math.abs(gain.mean) > gain.half ? ahead : `${b.test.length} seeds do not tell them apart.`;
  return `B − A: ${signed(gain.mean)} points, 95 % interval of the paired differences ${
    bounds(gain)
  }. ${words}`;
}

/**
 * Test images that only one of two runs has right.
 * @param {Pair} pair
 * @param {string} a its answers
 * @param {string} b
 */
function gallery({ names, truth, picture }, a, b) {
  if (!a || !b) return [];
  if (!names || !truth || !picture) {
    const why = "this page was built without them";
    return [make("p", {}, `Test images that only one of them gets right are not shown: ${why}.`)];
  }
  const show = (/** @type {string} */ title, /** @type {string} */ yes, /** @type {string} */ no) => {
    const only = [...truth].map((_, i) => i).filter((i) => yes[i] === truth[i] && no[i] !== truth[i]);
    const tiles = only.slice(0, 12).map((i) =>
      tile(picture, i, names[Number(truth[i])], names[Number(no[i])])
    );
    const words = `${title}: ${only.length} of ${truth.length} test images (seed 0)`;
    return make("div", { class: "tlx-gallery" }, make("p", {}, words), make("div", {}, ...tiles));
  };
  return [show("Only A is right", a, b), show("Only B is right", b, a)];
}

/**
 * @param {string} picture ten test images a row
 * @param {number} i
 * @param {string} truth
 * @param {string} said
 */
function tile(picture, i, truth, said) {
  const place = `background-position: -${32 * (i % 10)}px -${32 * Math.floor(i / 10)}px`;
  const words = `${truth}, taken for ${said} by the other`;
  const style = `background-image: url(${picture}); ${place}`;
  const image = make("span", { role: "img", "aria-label": words, title: words, style });
  return make("figure", {}, image, make("figcaption", {}, `${truth} → ${said}`));
}
