// Questions with an answer at once and a reason for it.

import { keepKeys, make, unique } from "./common.js";

/** @typedef {{ question: string, choices: [string, string][], right: number }} Question */

/**
 * Text between backticks is code.
 * @param {string} text
 */
function marked(text) {
  return text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part));
}

/** @param {Question} question */
function ask({ question, choices, right }) {
  const group = unique();
  const told = make("p", { class: "tlx-told", "aria-live": "polite" });
  const options = choices.map(([text, reason], i) => {
    const answer = () => {
      told.dataset.right = String(i === right);
      told.replaceChildren(i === right ? "Right. " : "Not quite. ", ...marked(reason));
    };
    const input = make("input", { type: "radio", name: group, onchange: answer });
    return make("label", {}, input, make("span", {}, ...marked(text)));
  });
  return make("fieldset", {}, make("legend", {}, ...marked(question)), ...options, told);
}

/** @param {import("./common.js").Place} place */
function render({ model, el }) {
  const { title, questions } = model.get("content");
  const root = make("section", { class: "tlx tlx-quiz", "aria-label": title }, ...questions.map(ask));
  keepKeys(root);
  el.replaceChildren(root);
}

export default { render };
