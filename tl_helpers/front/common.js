// What the widgets share: making elements, names and axes. Each widget's module is this file with its own behind it.

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function draw(tag, attributes = {}, text = "") {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

// A name that no other view has: JupyterLab shows several notebooks in one document, and one widget several times.
const unique = () => `tlx-${Array.from(crypto.getRandomValues(new Uint32Array(2)), (part) => part.toString(36)).join("")}`;

// Keep keys from JupyterLab, which would take the arrows for its cells, but for the one that saves the notebook.
function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    if (!((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s")) event.stopPropagation();
  });
}

// Give a list its options, { value, words, off }; an open list is left alone where nothing changes.
function offer(select, options, value) {
  const told = JSON.stringify(options);
  if (select.dataset.options !== told) {
    select.replaceChildren(...options.map(({ value: each, words, off = false }) => make("option", { value: each, disabled: off }, words)));
    select.dataset.options = told;
  }
  if (select.value !== String(value)) select.value = value;
}

// The seed in a field, or null where it holds none.
function seedIn(input) {
  const seed = Number(input.value);
  const whole = input.value.trim() !== "" && Number.isInteger(seed) && seed >= 0 && seed <= Number(input.max);
  input.setAttribute("aria-invalid", !whole);
  return whole ? seed : null;
}

function noSeed(input) {
  const found = input.value.trim() || (input.validity.badInput ? "something else" : "nothing");
  return `A seed is a whole number from 0 to ${Number(input.max).toLocaleString("en")}; the field holds ${found}. Change it, then press Train.`;
}

// Round places for the marks of an axis, at most six.
function ticks(low, high) {
  const power = 10 ** Math.floor(Math.log10(high - low) - 1);
  const step = [2, 5, 10, 20, 50].map((each) => each * power).find((each) => (high - low) / each <= 6);
  const count = Math.floor((high + 1e-9) / step) - Math.ceil((low - 1e-9) / step) + 1;
  return Array.from({ length: count }, (_, i) => (Math.ceil((low - 1e-9) / step) + i) * step);
}
