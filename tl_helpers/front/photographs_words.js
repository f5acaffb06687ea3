// What a training says, in sentences: how sure one can be, what was held back, what more pictures would tell.

import { several, signed, whole } from "./numbers.js";
import { neededAgainst, SURE } from "./photographs_outcome.js";

/** @import { CurvePoint } from "./photographs_engine.js" */
/** @import { Contrast, Outcome } from "./photographs_outcome.js" */
/** @typedef {{ against: number, ahead: string, open: string, behind: string }} Asked the first network or another */

const MANY = 5000; // pictures, above which a number is no plan

/** @type {Asked[]} */
const ASKED = [
  {
    against: 1,
    ahead: "What the network learned from ImageNet helps here",
    open: "Whether what it learned from ImageNet helps here cannot be told yet",
    behind: "What the network learned from ImageNet harms here",
  },
  {
    against: 2,
    ahead: "Its features are worth more than the pixels",
    open: "Whether its features are worth more than the pixels cannot be told yet",
    behind: "The pixels are worth more than its features",
  },
  {
    against: 3,
    ahead: "Fine-tuning the last stage harms here",
    open: "Whether fine-tuning the last stage changes anything cannot be told yet",
    behind: "Fine-tuning the last stage helps here",
  },
];

/** @param {number} share */
export const ofHundred = (share) => Math.round(100 * share);

/** @param {string[]} words */
function listing(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

/**
 * How many pictures it would take to tell; nothing where that cannot be said.
 * @param {number | null} needed
 * @param {Outcome} outcome
 */
function more(needed, { pictures, names }) {
  if (needed === null) return "";
  const all = Math.max(needed, pictures.length + names.length);
  if (all > MANY) {
    return ` The difference is so small that ${MANY.toLocaleString("en")} pictures would not do.`;
  }
  const each = Math.ceil(all / names.length);
  return ` If it goes on like this, about ${each} different pictures a class would tell (a rough guess).`;
}

/**
 * A network's share, its interval, and whether that is more than guessing.
 * @param {Outcome} outcome
 */
function againstGuessing(outcome) {
  const found = outcome.counted(0);
  if (!found) return [];
  const fixed = outcome.largest();
  const guess = `always naming the largest class, which gets ${ofHundred(fixed)} of 100 right`;
  const start = `${outcome.arms[0]}: ${found.right} of ${several(found.of, "held-back picture")} right. ` +
    "On pictures like these, in the long run, it may get between " +
    `${ofHundred(found.low)} and ${ofHundred(found.high)} of 100 right (95 % interval).`;
  if (found.low > fixed) return [`${start} That is better than ${guess}.`];
  if (found.high < fixed) return [`${start} That is worse than ${guess}.`];
  const needed = neededAgainst(found.share, fixed);
  return [`${start} That cannot be told yet from ${guess}.${more(needed, outcome)}`];
}

/**
 * @param {Outcome} outcome
 * @param {Contrast} contrast
 * @param {Asked} asked
 */
function between(outcome, { only, other, chance, needed }, { against, ahead, open, behind }) {
  const [first, second] = [outcome.arms[0], outcome.arms[against]];
  if (!only && !other) return `${open}: ${first} and ${second} are right on the same pictures.`;
  const sure = chance < SURE;
  const times = chance < 0.1 ? (100 * chance).toFixed(1) : String(ofHundred(chance));
  const odds = chance < 0.001 ? "fewer than 0.1 of 100 tries" : `${times} of 100 tries`;
  const counts = `Right with ${first} alone: ${several(only, "picture")}; with ${second} alone: ${other}. ` +
    `A fair coin divides as unevenly in ${odds}.`;
  return `${sure ? (only > other ? ahead : behind) : open}. ${counts}${sure ? "" : more(needed, outcome)}`;
}

/**
 * For each comparison that matters, what it says.
 * @param {Outcome} outcome
 */
export function verdicts(outcome) {
  const lines = againstGuessing(outcome);
  for (const asked of ASKED) {
    const contrast = outcome.contrast(0, asked.against);
    if (contrast) lines.push(between(outcome, contrast, asked));
  }
  return lines;
}

/**
 * What was held back, and how.
 * @param {Outcome} outcome
 */
export function heldBack({ plan, pictures, groups, torn, results, arms }) {
  if (!plan) return "";
  const count = pictures.length;
  const different = new Set(groups).size;
  if (!plan.folds) {
    return "Nothing was held back, because the pictures of a class are all nearly the same. So how good the " +
      "networks are cannot be said. Add pictures of other things, places and days.";
  }
  const held = plan.parts.filter((part) => part >= 0).length;
  const each = held < count
    ? `${held} of the ${count} pictures were held back once; the others are of a class whose pictures are all alike`
    : `Each of the ${count} pictures was held back once`;
  const way = plan.one ? ", one of each class at a time" : "";
  const tuned = results.find((result) => result && result.folds < plan.folds);
  const fewer = tuned ? ` (${arms[tuned.arm]}: ${tuned.folds})` : "";
  const lines = [
    `${each}: in ${plan.folds} turns${fewer}${way}, the networks trained on the pictures that were left.`,
  ];
  if (different < count) {
    const alike = groups.filter((group, i) => groups.some((other, j) => i !== j && group === other)).length;
    lines.push(
      `${
        several(alike, "picture")
      } are the same as others or nearly. Those stay on one side: a network that has ` +
        `seen one of them has seen the other. So there are ${different} different pictures, and the intervals ` +
        "are wider.",
    );
  }
  for (const pair of torn) {
    lines.push(
      `Pictures in ${listing(pair.map((name) => `“${name}”`))} are nearly the same: is one label wrong?`,
    );
  }
  return lines.join(" ");
}

/**
 * Whether the last pictures of a learning curve helped.
 * @param {CurvePoint} before
 * @param {CurvePoint} end
 * @param {string} arm
 */
function lastStep(before, end, arm) {
  const gain = 100 * (end.share - before.share);
  const error = 100 * Math.sqrt(before.spread ** 2 / before.draws + end.spread ** 2 / end.draws);
  const step = `From ${before.perClass} to ${several(end.perClass, "picture")} a class, ${arm} changed by ` +
    `${signed(gain)} points`;
  if (gain > 2 * error) return `${step}: more pictures are likely to help.`;
  return `${step}, no more than what the draws differ by: whether more pictures help cannot be told.`;
}

/**
 * What the learning curve says: what transfer is worth in labels, and whether more pictures still help.
 * @param {CurvePoint[]} points
 * @param {string[]} arms
 */
export function worth(points, arms) {
  const [ours, theirs] = [0, 1].map((arm) => {
    return points.filter((point) => point.arm === arm).sort((a, b) => a.perClass - b.perClass);
  });
  if (!ours.length || !theirs.length) return "";
  const last = theirs[theirs.length - 1];
  const early = ours.find(({ share }) => share >= last.share);
  const lines = [];
  if (!early) {
    lines.push(
      `${arms[0]} are nowhere as good as ${arms[1]} with ${several(last.perClass, "picture")} a class.`,
    );
  } else if (early.perClass < last.perClass) {
    lines.push(
      `With ${several(early.perClass, "picture")} a class, ${arms[0]} are at least as good as ${
        arms[1]
      } with ` +
        `${last.perClass} (${whole(early.share)} and ${whole(last.share)}): here the transfer saves about ` +
        `${several(last.perClass - early.perClass, "label")} a class.`,
    );
  } else {
    lines.push(
      `With ${several(last.perClass, "picture")} a class, ${arms[0]} get ${whole(early.share)} right and ${
        arms[1]
      } ` +
        `${whole(last.share)}. With more pictures it will show how many labels that is worth.`,
    );
  }
  if (ours.length > 1) lines.push(lastStep(ours[ours.length - 2], ours[ours.length - 1], arms[0]));
  return lines.join(" ");
}

/**
 * What changed from one training to the next, on the pictures that are in both.
 * @param {Outcome} before
 * @param {Outcome} after
 * @param {number} arm
 */
export function moved(before, after, arm) {
  const [was, is] = [before.counted(arm), after.counted(arm)];
  if (!was || !is) return "";
  const [first, second] = [before.results[arm]?.answers ?? [], after.results[arm]?.answers ?? []];
  const others = after.pictures.flatMap(({ id }, row) => {
    const place = before.rowOf(id);
    return place >= 0 && before.names[first[place]] !== after.names[second[row]] ? [row] : [];
  });
  const changed = others.length
    ? `${several(others.length, "picture")} got another answer`
    : "no picture got another answer";
  return `Since the training before: ${after.arms[arm]} had ${was.right} of ${was.of} right and now have ` +
    `${is.right} of ${is.of}; ${changed}.`;
}
