// What the widgets share: making elements, names, lists and fields.

/**
 * What anywidget gives to a widget; on a page without a kernel there is no `on` and no `send`.
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(name: string, value: unknown) => void} set
 * @property {() => void} save_changes
 * @property {(name: string, heard: (message: any) => void) => void} [on]
 * @property {(message: unknown) => void} [send]
 */
/** @typedef {{ model: Model, el: HTMLElement }} Place */
/** @typedef {string | number | boolean | null | ((event: any) => void)} Attribute */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, Attribute>} attributes a function listens, `false` and `null` are left out
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number>} attributes
 * @returns {SVGElementTagNameMap[T]}
 */
export function draw(tag, attributes = {}, text = "") {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.textContent = text;
  return node;
}

/** @type {(words: string, pressed: () => void) => HTMLButtonElement} */
export const button = (words, pressed) => make("button", { type: "button", onclick: pressed }, words);

// A name that no other view has: JupyterLab shows several notebooks in one document, and one widget several times.
export function unique() {
  const parts = Array.from(crypto.getRandomValues(new Uint32Array(2)), (part) => part.toString(36));
  return `tlx-${parts.join("")}`;
}

/**
 * Keep keys from JupyterLab, which would take the arrows for its cells, but for the one that saves the notebook.
 * @param {HTMLElement} root
 */
export function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    if (!((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s")) event.stopPropagation();
  });
}

/**
 * A list to choose from.
 * @param {[value: string | number, words: string | number][]} options
 * @param {string | number} [value]
 * @param {(value: string) => void} [pick]
 */
export function listOf(options, value, pick) {
  const nodes = options.map(([each, words]) => make("option", { value: each }, String(words)));
  const select = make("select", { onchange: () => pick?.(select.value) }, ...nodes);
  if (value !== undefined) select.value = String(value);
  return select;
}

/**
 * Give a list its options; an open list is left alone where nothing changes.
 * @param {HTMLSelectElement} select
 * @param {{ value: string | number, words: string, off?: boolean }[]} options
 * @param {string | number} value
 */
export function offer(select, options, value) {
  const told = JSON.stringify(options);
  if (select.dataset.options !== told) {
    const nodes = options.map(({ value, words, off = false }) =>
      make("option", { value, disabled: off }, words)
    );
    select.replaceChildren(...nodes);
    select.dataset.options = told;
  }
  if (select.value !== String(value)) select.value = String(value);
}

/**
 * The seed in a field, or null where it holds none.
 * @param {HTMLInputElement} input
 */
export function seedIn(input) {
  const seed = Number(input.value);
  const whole = input.value.trim() !== "" && Number.isInteger(seed) && seed >= 0 && seed <= Number(input.max);
  input.setAttribute("aria-invalid", String(!whole));
  return whole ? seed : null;
}

/** @param {HTMLInputElement} input */
export function noSeed(input) {
  const typed = input.value.trim() || (input.validity.badInput ? "something else" : "nothing");
  const range = `from 0 to ${Number(input.max).toLocaleString("en")}`;
  return `A seed is a whole number ${range}; the field holds ${typed}. Change it, then press Train.`;
}
