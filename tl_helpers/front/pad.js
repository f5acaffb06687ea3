// What is drawn on, and how files come to it.

import { button, make } from "./common.js";
import { blackSquare, reduced, shown } from "./images.js";

/** @import { Picture } from "./images.js" */

const PAPER = 256; // side of a pad, in its own pixels
const PEN = 18;

// Mouse, finger and pen alike.
export class Pad {
  /**
   * @param {string} label
   * @param {() => void} changed
   */
  constructor(label, changed) {
    const { canvas, context } = blackSquare(PAPER);
    Object.assign(context, { strokeStyle: "#fff", lineWidth: PEN, lineCap: "round", lineJoin: "round" });
    this.canvas = canvas;
    this.context = context;
    this.changed = changed;
    this.pointer = /** @type {number | null} */ (null);
    this.last = /** @type {[number, number]} */ ([0, 0]);
    this.empty = true;
    this.label(label);
    canvas.setAttribute("role", "img");
    canvas.className = "tlx-pad";
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.go(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => (this.pointer = null));
    }
  }

  /** @param {string} text */
  label(text) {
    this.canvas.setAttribute("aria-label", text);
  }

  /** @param {PointerEvent} event */
  begin(event) {
    if (this.pointer !== null || event.button > 0) return;
    event.preventDefault();
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.go(event);
  }

  /** @param {PointerEvent} event */
  go(event) {
    if (event.pointerId !== this.pointer) return;
    const place = this.place(event);
    this.context.beginPath();
    this.context.moveTo(...this.last);
    this.context.lineTo(...place);
    this.context.stroke();
    this.last = place;
    this.empty = false;
    this.changed();
  }

  /**
   * @param {PointerEvent} event
   * @returns {[number, number]}
   */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * PAPER,
      ((event.clientY - box.top) / box.height) * PAPER,
    ];
  }

  image() {
    return this.empty ? null : reduced(this.context, PAPER);
  }

  clear() {
    this.context.fillRect(0, 0, PAPER, PAPER);
    this.empty = true;
    this.changed();
  }

  /** @param {Picture} image */
  show(image) {
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(shown(image), 0, 0, PAPER, PAPER);
    this.empty = false;
    this.changed();
  }
}

/**
 * A button that opens the file picker, and the field behind it.
 * @param {string} words
 * @param {Record<string, string | boolean>} attributes
 * @param {(files: File[]) => void} chosen
 */
export function picker(words, attributes, chosen) {
  const input = make("input", { type: "file", hidden: true, "aria-label": words, ...attributes });
  input.addEventListener("change", () => {
    chosen([...(input.files ?? [])]);
    input.value = ""; // the same file can be chosen again
  });
  return { opener: button(words, () => input.click()), input };
}

/**
 * Take files that are dropped on an element.
 * @param {HTMLElement} node
 * @param {(files: File[]) => void} taken
 */
export function dropped(node, taken) {
  node.addEventListener("dragover", (event) => {
    event.preventDefault();
    node.classList.add("tlx-over");
  });
  node.addEventListener("dragleave", () => node.classList.remove("tlx-over"));
  node.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    node.classList.remove("tlx-over");
    taken([...(event.dataTransfer?.files ?? [])]);
  });
}
