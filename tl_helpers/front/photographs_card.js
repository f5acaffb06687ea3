// One class on the page: its name, the ways to add pictures to it, and its pictures, which can be chosen.

import { button, make, offer } from "./common.js";
import { several } from "./numbers.js";
import { picker } from "./pad.js";
import { LONGEST_NAME, MOST_PICTURES } from "./photographs_album.js";
import { Camera } from "./photographs_camera.js";
import { fromPicker, receives } from "./photographs_files.js";

/** @import { Picture } from "./photographs_album.js" */
/** @import { Collect } from "./photographs_collect.js" */

const DRAGGED = "application/x-tlx-pictures"; // what is dragged from one class to another
const IMAGES = "image/*,.heic,.heif";
const BURST = 10; // pictures, one every half a second
const STEPS = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1 });

/** @type {(node: HTMLElement, text: string) => void} */
const label = (node, text) => node.setAttribute("aria-label", text);

export class Card {
  /**
   * @param {Collect} page
   * @param {number} id of the class
   */
  constructor(page, id) {
    this.page = page;
    this.id = id;
    this.chosen = /** @type {Set<number>} */ (new Set()); // ids of pictures
    this.at = 0; // the picture that the keyboard is on
    this.shots = 0;
    this.timer = 0;
    this.name = make("input", { type: "text", maxlength: LONGEST_NAME, onchange: () => this.rename() });
    this.remove = button("×", () => page.removeClass(this.id));
    const title = make("div", { class: "tlx-name" }, this.name, this.remove);
    const add = (/** @type {File[]} */ files) => page.ways.add(fromPicker(files), this.id);
    this.files = picker("Files …", { accept: IMAGES, multiple: true }, add);
    this.phone = picker("Photograph …", { accept: "image/*", capture: "environment" }, add);
    this.one = button("Take a picture", () => this.shoot());
    this.ten = button(`Take ${BURST}`, () => this.burst());
    this.camera = new Camera("Camera", [this.one, this.ten]);
    const opened = () => page.closeCameras(this.camera);
    this.camera.opener.addEventListener("click", opened);
    const phone = matchMedia("(pointer: coarse)").matches ? [this.phone.opener, this.phone.input] : [];
    const ways = [this.files.opener, this.files.input, ...phone, this.camera.opener];
    this.count = make("span");
    this.hint = make("p", { class: "tlx-why" });
    this.thumbs = make("div", {
      class: "tlx-photos-thumbs",
      role: "listbox",
      "aria-multiselectable": "true",
    });
    this.told = make("span");
    this.target = make("select");
    this.moving = button("Move", () => this.move());
    this.delete = button("Delete", () => this.deleteChosen());
    this.bar = make(
      "div",
      { class: "tlx-photos-bar", hidden: true },
      this.told,
      this.delete,
      this.moving,
      this.target,
    );
    const actions = make("div", { class: "tlx-actions" }, ...ways);
    const parts = [title, actions, this.camera.panel, this.count, this.hint, this.thumbs, this.bar];
    this.node = make("div", { class: "tlx-class", role: "group", tabindex: -1 }, ...parts);
    this.listen();
  }

  listen() {
    const { node, thumbs } = this;
    thumbs.addEventListener("click", (event) => this.clicked(event));
    thumbs.addEventListener("keydown", (event) => this.pressed(event));
    thumbs.addEventListener("dragstart", (event) => this.drag(event));
    receives(node, (transfer) => {
      const ids = transfer?.getData(DRAGGED);
      if (ids) this.page.move(ids.split(",").map(Number), this.id);
      else this.page.ways.addTransfer(transfer, this.id);
    });
  }

  get label() {
    return this.page.album.classes.findIndex(({ id }) => id === this.id);
  }

  get title() {
    return this.page.album.names[this.label] ?? "";
  }

  get pictures() {
    return this.page.album.inClass(this.label);
  }

  rename() {
    if (this.label < 0) return;
    const { album } = this.page;
    album.rename(this.label, this.name.value);
    this.name.value = album.classes[this.label].name; // without needless spaces
  }

  // --- What it shows

  /** @param {boolean} few no class can be spared */
  update(few) {
    const { album } = this.page;
    const { title, pictures } = this;
    const number = this.label + 1;
    const { name } = album.classes[this.label];
    label(this.node, title);
    if (document.activeElement !== this.name) this.name.value = name; // else it is being typed
    label(this.name, `Name of class ${number}`);
    label(this.remove, `Remove class ${title}`);
    this.remove.disabled = few;
    label(this.files.opener, `Add image files to ${title}`);
    label(this.phone.opener, `Photograph something for ${title}`);
    label(this.camera.video, `What the camera sees, for ${title}`);
    label(this.one, `Take a picture for ${title}`);
    label(this.ten, `Take ${BURST} pictures in ${BURST / 2} seconds for ${title}`);
    label(this.thumbs, `Pictures of ${title}`);
    label(this.target, `Class to move the chosen pictures of ${title} to`);
    label(this.moving, `Move the chosen pictures of ${title}`);
    label(this.delete, `Delete the chosen pictures of ${title}`);
    this.count.textContent = several(pictures.length, "picture");
    const twice = name && album.classes.some((each, k) => each.name === name && k + 1 !== number);
    this.hint.textContent = !name ? "Give it a name." : twice ? "Another class has this name, too." : "";
    this.name.setAttribute("aria-invalid", String(!name || Boolean(twice)));
    this.arrange(pictures);
    this.choose();
  }

  /** @param {Picture[]} pictures */
  arrange(pictures) {
    const had = this.thumbs.contains(document.activeElement);
    const there = new Set(pictures.map(({ id }) => id));
    this.chosen = new Set([...this.chosen].filter((id) => there.has(id)));
    const wanted = pictures.map((each, i) => this.page.thumbOf(each, `picture ${i + 1}`));
    const nodes = new Set(wanted);
    for (const node of [...this.thumbs.children]) {
      if (!nodes.has(/** @type {HTMLElement} */ (node))) node.remove();
    }
    wanted.forEach((node, i) => {
      if (this.thumbs.children[i] !== node) this.thumbs.insertBefore(node, this.thumbs.children[i] ?? null);
    });
    this.at = Math.max(0, Math.min(this.at, wanted.length - 1));
    this.thumbs.hidden = !wanted.length;
    if (had && !this.thumbs.contains(document.activeElement)) (wanted[this.at] ?? this.files.opener).focus();
  }

  // Show which pictures are chosen, and what can be done with them.
  choose() {
    [...this.thumbs.children].forEach((node, i) => {
      const id = Number(/** @type {HTMLElement} */ (node).dataset.id);
      node.setAttribute("aria-selected", String(this.chosen.has(id)));
      node.setAttribute("tabindex", i === this.at ? "0" : "-1");
    });
    const { names, classes } = this.page.album;
    const others = names.map((name, k) => ({ value: classes[k].id, words: name })).filter(({ value }) =>
      value !== this.id
    );
    const wanted = others.find(({ value }) => String(value) === this.target.value) ?? others[0];
    offer(this.target, others, wanted.value);
    this.told.textContent = `${this.chosen.size} chosen`;
    const inside = this.bar.contains(document.activeElement);
    this.bar.hidden = !this.chosen.size;
    if (inside && this.bar.hidden) this.focusThumb();
  }

  focusThumb() {
    const node = /** @type {HTMLElement | undefined} */ (this.thumbs.children[this.at]);
    (node ?? this.files.opener).focus();
  }

  // --- Choosing

  /** @param {Event} event */
  placeOf(event) {
    const node = /** @type {HTMLElement} */ (event.target).closest("[data-id]");
    return node ? [...this.thumbs.children].indexOf(node) : -1;
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    const place = this.placeOf(event);
    if (place < 0) return;
    if (event.shiftKey) this.toggle(this.at, place, true);
    else this.toggle(place, place);
  }

  /**
   * Choose a picture, or no longer; or all from one to another.
   * @param {number} from
   * @param {number} to
   */
  toggle(from, to, all = false) {
    const ids = this.pictures.slice(Math.min(from, to), Math.max(from, to) + 1).map(({ id }) => id);
    for (const id of ids) {
      if (all || !this.chosen.has(id)) this.chosen.add(id);
      else this.chosen.delete(id);
    }
    this.at = to;
    this.choose();
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const { key } = event;
    const count = this.thumbs.children.length;
    const wide = this.acrossIn();
    const steps = { ...STEPS, ArrowUp: -wide, ArrowDown: wide, Home: -count, End: count };
    if (key === " " || key === "Enter") this.toggle(this.at, this.at);
    else if (key === "a" && (event.ctrlKey || event.metaKey)) this.toggle(0, count - 1, true);
    else if (key === "Escape") this.chosen.clear();
    else if (key === "Delete" || key === "Backspace") this.deleteChosen();
    else if (key in steps) {
      const next = this.at + steps[/** @type {keyof typeof steps} */ (key)];
      const last = key === "End" ? count - 1 : key === "Home" ? 0 : next;
      if (last >= 0 && last < count) this.at = last;
    } else return;
    event.preventDefault();
    this.choose();
    this.focusThumb();
  }

  // How many pictures stand beside each other.
  acrossIn() {
    const nodes = /** @type {HTMLElement[]} */ ([...this.thumbs.children]);
    const across = nodes.findIndex((node) => node.offsetTop !== nodes[0].offsetTop);
    return across > 0 ? across : Math.max(1, nodes.length);
  }

  /** @param {DragEvent} event */
  drag(event) {
    const place = this.placeOf(event);
    const { id } = this.pictures[place] ?? {};
    if (id === undefined) return;
    const ids = this.chosen.has(id) ? [...this.chosen] : [id];
    event.dataTransfer?.setData(DRAGGED, ids.join(","));
  }

  // The chosen pictures, or the one that the keyboard is on.
  ids() {
    if (this.chosen.size) return [...this.chosen];
    const one = this.pictures[this.at];
    return one ? [one.id] : [];
  }

  deleteChosen() {
    const ids = this.ids();
    if (ids.length) this.page.delete(ids);
    this.focusThumb();
  }

  move() {
    this.page.move(this.ids(), Number(this.target.value));
    this.focusThumb();
  }

  // --- The camera

  /** @param {object} step */
  shoot(step = {}) {
    const pixels = this.camera.frame();
    if (!pixels) return this.camera.say("The camera is not ready yet. Try again in a moment.");
    this.shots += 1;
    const { album } = this.page;
    const added = album.add(this.label, [{ pixels, name: `camera ${this.shots}` }], step);
    const words = added.length
      ? `Picture ${this.shots} is in “${this.title}”.`
      : `The page holds ${MOST_PICTURES} pictures; there is no room for another.`;
    this.camera.say(words);
  }

  burst() {
    clearInterval(this.timer);
    const step = {};
    let left = BURST;
    const next = () => {
      left -= 1;
      if (this.camera.on && this.label >= 0) this.shoot(step);
      if (!left || !this.camera.on) clearInterval(this.timer);
    };
    this.timer = setInterval(next, 500);
  }

  end() {
    clearInterval(this.timer);
    this.camera.close();
  }
}
