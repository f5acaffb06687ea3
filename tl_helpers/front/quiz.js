// Questions with an answer at once and a reason for it. It stands behind common.js in one module.

class Quiz {
  constructor(model, el) {
    const { title, questions } = model.get("content");
    const root = make("section", { class: "tlx tlx-quiz", "aria-label": title }, ...questions.map((each) => this.ask(each, unique())));
    keepKeys(root);
    el.replaceChildren(root);
  }

  ask({ question, choices, right }, group) {
    const told = make("p", { class: "tlx-told", "aria-live": "polite" });
    const answer = (i) => {
      told.dataset.right = i === right;
      told.replaceChildren(i === right ? "Right. " : "Not quite. ", ...marked(choices[i][1]));
    };
    const choice = ([text], i) => make("label", {}, make("input", { type: "radio", name: group, onchange: () => answer(i) }), make("span", {}, ...marked(text)));
    return make("fieldset", {}, make("legend", {}, ...marked(question)), ...choices.map(choice), told);
  }
}

// Text between backticks is code.
function marked(text) {
  return text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part));
}

function render({ model, el }) {
  new Quiz(model, el);
}

export default { render };
