// A box for the answer to an exercise. It says what tl_base/replies.py says; a test holds the two together.

import { button, keepKeys, listOf, make } from "./common.js";

/**
 * What an exercise asks, or a part of one.
 * @typedef {object} Asked
 * @property {string} asks
 * @property {string} [why]
 * @property {string} [holds]
 * @property {[number, number]} [number]
 * @property {boolean} [share]
 * @property {string[]} [word]
 * @property {string[]} [choices]
 * @property {(string | number)[]} [set]
 * @property {Record<string, Asked>} [parts]
 * @property {any[]} [wrong]
 * @property {string} [other]
 * @property {string} [extra]
 * @property {string} [missing]
 */

/** @param {string | number} one */
function term(one) {
  const name = String(one).toLowerCase().split("/").at(-1) ?? "";
  return name.replaceAll("_", " ").replace(/^[ .!?'"`]+|[ .!?'"`]+$/g, "").replace(/\s+/g, " ");
}

/**
 * What is said to a wrong answer; nothing if it is right.
 * @param {Asked} asked
 * @param {string} text
 */
function hint(asked, text) {
  const wrong = asked.wrong ?? [];
  if (asked.number) {
    const typed = text.replace(/^[ %]+|[ %]+$/g, "");
    const value = Number(typed);
    if (!typed || !Number.isFinite(value)) return `\`${text}\` is no number. Expected: ${asked.asks}.`;
    if (asked.share && Math.abs(value) > 1) {
      return "A share lies between -1 and 1. Divide percent, or points, by 100.";
    }
    const [low, high] = asked.number;
    if (low <= value && value <= high) return "";
    return wrong.find(([first, last]) => first <= value && value <= last)?.[2] ?? asked.other ?? "";
  }
  if (asked.word) {
    const word = term(text);
    return wrong.find(([words]) => words.some((/** @type {string} */ each) => term(each) === word))?.[1] ??
      "";
  }
  const given = new Set(text.split(",").map(term));
  const right = new Set((asked.set ?? []).map(term));
  if ([...given].some((each) => !right.has(each))) return asked.extra ?? "";
  return given.size < right.size ? asked.missing ?? "" : "";
}

/**
 * A field for one answer: a list of words, or a line of text.
 * @param {Asked} asked
 */
function field(asked) {
  if (!asked.word) return make("input", { type: "text", size: asked.set ? 24 : 8, autocomplete: "off" });
  const firsts = [asked.word[0], ...(asked.wrong ?? []).map(([several]) => several[0])];
  const words = asked.choices ?? firsts.sort();
  return listOf([["", "choose"], ...words.map((word) => /** @type {[string, string]} */ ([word, word]))], "");
}

/**
 * Text between backticks is code.
 * @param {string} text
 */
const marked = (text) => text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part));

/** @param {import("./common.js").Place} place */
function render({ model, el }) {
  const { exercise, asked, told: unanswered } = model.get("content");
  const parts = /** @type {[string, Asked][]} */ (Object.entries(asked.parts ?? { [asked.asks]: asked }));
  const fields = parts.map(([, part]) => field(part));
  const told = make("p", { class: "tlx-told", "aria-live": "polite" });
  const reply = () => {
    const texts = fields.map((each) => each.value.trim());
    const hints = parts.map(([, part], i) => hint(part, texts[i]));
    const right = hints.every((each) => !each);
    const each = parts.map(([name], i) => `\`${name}\`: ${hints[i] || "right."}`).join(" ");
    const note = asked.holds ? ` This check is for ${asked.holds}.` : "";
    const lacking = parts.filter((_, i) => !texts[i]).map(([name]) => name);
    told.dataset.right = String(right && !lacking.length);
    if (lacking.length) told.replaceChildren(`There is nothing for ${lacking.join(", ")} yet.`);
    else if (right) told.replaceChildren("Right. ", ...marked(asked.why));
    else told.replaceChildren("Not yet. ", ...marked((asked.parts ? each : hints[0]) + note));
  };
  const labels = parts.map(([name], i) => make("label", {}, make("span", {}, name), fields[i]));
  // A page without a kernel gives each widget a name; there nobody can put anything into `answer`.
  const intro = model.get("name")
    ? "Your answer, worked out on paper or in JupyterLab:"
    : `${unanswered} Or try it here:`;
  const press = make("form", { class: "tlx-actions" }, ...labels, button("Check", reply));
  press.addEventListener("submit", (event) => event.preventDefault());
  press.addEventListener("keydown", (event) => event.key === "Enter" && reply());
  const title = `Answer to exercise ${exercise}`;
  const root = make(
    "section",
    { class: "tlx tlx-exercise", "aria-label": title },
    make("p", {}, ...marked(intro)),
  );
  root.append(press, told);
  keepKeys(root);
  el.replaceChildren(root);
}

export default { render };
