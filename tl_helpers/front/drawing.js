// Draw it, transfer it: pads, examples, four networks that train side by side in a worker, and what they say.
// It stands behind common.js and npz.js in one module; the worker runs engine.js. Nothing leaves the page.

const SIDE = 32;
const PIXELS = SIDE * SIDE * 3;
const PAPER = 256; // side of a pad, in its own pixels
const PEN = 18;
const STORE = "tlx-drawings";
const LEAST_CLASSES = 2;
const MOST_CLASSES = 6;
const MOST_DRAWINGS = 60; // of one class
const LONGEST_NAME = 40;
const LARGEST_FILE = 20e6; // bytes
const LARGEST_PICTURE = 40e6; // pixels
const BATCH = 32;
const POINTS = 20;
const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03];
const FROZEN = ["nothing", "conv1", "conv1 and conv2", "all but the head"];
const CONVOLUTIONS = [896, 18496, 36928]; // their weights and biases
const FEATURES = 1024;
const INK = ["var(--tlx-now)", "var(--tlx-pinned)", "var(--tlx-scratch)", "var(--tlx-random)"];
const DASH = ["", "7 3", "2 3", "9 3 2 3"];
const HELD = {
  third: "a third of each class",
  turns: "each drawing once, in three parts",
  each: "each drawing once, one at a time",
};

// --- Numbers --------------------------------------------------------------------------------------------------------

const sum = (values) => values.reduce((total, value) => total + value, 0);
const mean = (values) => sum(values) / values.length;
const several = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const times = (count) => (count === 0 ? "never" : count === 1 ? "once" : `${count} times`);
const seconds = (value) => `${value < 1 ? value.toFixed(2) : value.toFixed(1)}\u00a0s`;

// Wilson's 95 % interval of a share.
function wilson(right, count) {
  const square = 1.959964 ** 2;
  const centre = (right + square / 2) / (count + square);
  const half = (Math.sqrt(square) / (count + square)) * Math.sqrt((right * (count - right)) / count + square / 4);
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

// The chance that a fair coin divides as unevenly as this, or more so: the exact sign test, two-sided.
function coin(first, second) {
  const count = first + second;
  let [way, total] = [1, 0];
  for (let i = 0; i <= Math.min(first, second); i++) {
    total += way;
    way *= (count - i) / (i + 1);
  }
  return Math.min(1, (2 * total) / 2 ** count);
}

// --- Images ---------------------------------------------------------------------------------------------------------

const toText = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
const toBytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const fromGrey = (grey) => Uint8Array.from({ length: 3 * grey.length }, (_, i) => grey[Math.floor(i / 3)]);
const isPlain = (image) => image.every((value, i) => value === image[i % 3]);

function canvasOf(side) {
  const canvas = make("canvas", { width: side, height: side });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillRect(0, 0, side, side);
  return [canvas, context];
}

function shown(image, attributes = {}) {
  const canvas = make("canvas", { width: SIDE, height: SIDE, ...attributes });
  const data = new ImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) data.data.set([image[3 * i], image[3 * i + 1], image[3 * i + 2], 255], 4 * i);
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

// Shrink what a canvas shows to the network's input: the mean of each square.
function reduced(context, side) {
  const { data } = context.getImageData(0, 0, side, side);
  const [step, image] = [side / SIDE, new Float64Array(PIXELS)];
  for (let i = 0; i < side * side; i++) {
    const place = Math.floor(Math.floor(i / side) / step) * SIDE + Math.floor((i % side) / step);
    for (let c = 0; c < 3; c++) image[3 * place + c] += data[4 * i + c] / step ** 2;
  }
  return Uint8Array.from(image, Math.round);
}

// A file to an image, as data.to_source_format does: padded to a black square; 28 to 32 pixels are kept as they are.
async function imageOf(file) {
  if (file.size > LARGEST_FILE) throw new Error(`${file.name} has ${Math.round(file.size / 1e6)} MB; at most ${LARGEST_FILE / 1e6} are read. Shrink it first.`);
  const address = URL.createObjectURL(file);
  try {
    const picture = new Image();
    await new Promise((resolve, reject) => {
      picture.onload = resolve;
      picture.onerror = () => reject(new Error(`${file.name} cannot be read as an image. PNG and JPEG work.`));
      picture.src = address;
    });
    return await pixelsOf(picture, file.name);
  } finally {
    URL.revokeObjectURL(address);
  }
}

async function pixelsOf(picture, name) {
  const { naturalWidth: wide, naturalHeight: high } = picture;
  if (!wide || !high) throw new Error(`${name} has no size in pixels. Save it as PNG.`);
  if (wide * high > LARGEST_PICTURE) throw new Error(`${name} has ${wide} × ${high} pixels; at most ${LARGEST_PICTURE / 1e6} million are read. Shrink it first.`);
  await picture.decode().catch(() => {
    throw new Error(`${name} is damaged and cannot be read to its end. Save it again.`);
  });
  const [, context] = canvasOf(SIDE);
  const longer = Math.max(wide, high);
  const scale = longer >= 28 && longer <= SIDE ? 1 : SIDE / longer;
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, Math.floor((SIDE - wide * scale) / 2), Math.floor((SIDE - high * scale) / 2), wide * scale, high * scale);
  const image = reduced(context, SIDE);
  if (isPlain(image)) throw new Error(`${name} is of one colour: there is nothing to see in it.`);
  return image;
}

// What is drawn on: mouse, finger and pen alike.
class Pad {
  constructor(label, changed) {
    [this.canvas, this.context] = canvasOf(PAPER);
    this.changed = changed;
    this.pointer = null;
    this.empty = true;
    this.label(label);
    this.canvas.setAttribute("role", "img");
    this.canvas.className = "tlx-pad";
    this.canvas.addEventListener("pointerdown", (event) => this.begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.go(event));
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => (this.pointer = null));
  }

  label(text) {
    this.canvas.setAttribute("aria-label", text);
  }

  begin(event) {
    if (this.pointer !== null || event.button > 0) return;
    event.preventDefault();
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.go(event);
  }

  go(event) {
    if (event.pointerId !== this.pointer) return;
    const place = this.place(event);
    Object.assign(this.context, { strokeStyle: "#fff", lineWidth: PEN, lineCap: "round", lineJoin: "round" });
    this.context.beginPath();
    this.context.moveTo(...this.last);
    this.context.lineTo(...place);
    this.context.stroke();
    [this.last, this.empty] = [place, false];
    this.changed();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * PAPER, ((event.clientY - box.top) / box.height) * PAPER];
  }

  image() {
    return this.empty ? null : reduced(this.context, PAPER);
  }

  clear() {
    this.context.fillRect(0, 0, PAPER, PAPER);
    this.empty = true;
    this.changed();
  }

  show(image) {
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(shown(image), 0, 0, PAPER, PAPER);
    this.empty = false;
    this.changed();
  }
}

// --- The drawings ---------------------------------------------------------------------------------------------------

const texts = new WeakMap(); // of images, which never change

function textOf(image) {
  if (!texts.has(image)) texts.set(image, toText(image));
  return texts.get(image);
}

// Classes with their drawings. No state is changed in place, so undoing is going back to an earlier one.
class Drawings {
  constructor(changed) {
    Object.assign(this, { changed, past: [], count: 0, kept: true, told: null, alone: true });
    this.classes = this.restored() ?? ["first", "second"].map((name) => this.fresh(name));
  }

  fresh(name, images = []) {
    return { id: (this.count += 1), name, images };
  }

  to(classes) {
    this.past = [...this.past.slice(-49), this.classes];
    this.set(classes);
  }

  set(classes) {
    this.classes = classes;
    this.save();
    this.changed();
  }

  edit(id, edited) {
    this.to(this.classes.map((each) => (each.id === id ? { ...each, ...edited(each) } : each)));
  }

  undo() {
    if (this.past.length) this.set(this.past.pop());
  }

  // Add images to a class; return how many found no room.
  add(id, images) {
    const room = MOST_DRAWINGS - this.classes.find((each) => each.id === id).images.length;
    if (room > 0 && images.length) this.edit(id, (each) => ({ images: [...each.images, ...images.slice(0, room)] }));
    return Math.max(0, images.length - room);
  }

  save() {
    const told = JSON.stringify(this.classes.map(({ name, images }) => ({ name, images: images.map(textOf) })));
    try {
      this.alone = this.alone && localStorage.getItem(STORE) === this.told; // or another view has kept its own
      localStorage.setItem(STORE, told);
      [this.kept, this.told] = [true, told];
    } catch {
      this.kept = false; // private window, or full
    }
  }

  forget() {
    try {
      localStorage.removeItem(STORE);
      this.told = null;
    } catch {
      // nothing is kept there
    }
  }

  restored() {
    try {
      this.told = localStorage.getItem(STORE);
      const found = JSON.parse(this.told).slice(0, MOST_CLASSES).map(({ name, images }) => this.fresh(String(name), images.map(toBytes)));
      const whole = found.every(({ images }) => images.every((image) => image.length === PIXELS));
      return whole && found.length >= LEAST_CLASSES ? found : null;
    } catch {
      return null; // nothing was kept, or something else
    }
  }

  // Say what stands in the way of training, or nothing.
  problem() {
    const names = this.classes.map(({ name }) => name.trim());
    const unnamed = names.indexOf("");
    if (unnamed >= 0) return `Class ${unnamed + 1} has no name. Give it one.`;
    const twice = names.find((name, i) => names.indexOf(name) < i);
    if (twice) return `Two classes have the name “${twice}”. Give each its own.`;
    const few = this.classes.find(({ images }) => images.length < 2);
    if (few) return `“${few.name}” has ${several(few.images.length, "drawing")}; each class needs at least 2, one to train on and one to hold back. Draw, or press “Use the examples”.`;
    return "";
  }

  archive() {
    const images = this.classes.flatMap((each) => each.images);
    const labels = this.classes.flatMap((each, k) => each.images.map(() => k));
    return zipped({
      "images.npy": npy("|u1", [images.length, SIDE, SIDE, 3], joined(images)),
      "labels.npy": npy("<i4", [labels.length], packed("4".repeat(labels.length), labels)),
      "class_names.npy": npyOfStrings(this.classes.map(({ name }) => name)),
    });
  }

  // Read an archive into classes; return them with the number of drawings that found no room.
  async read(bytes) {
    const files = await unzipped(bytes);
    for (const name of ["images", "labels"]) if (!files[`${name}.npy`]) throw new Error(`it holds no array “${name}”`);
    const { dtype, shape, values } = unpackedNpy(files["images.npy"]);
    const grey = shape.length === 3;
    if (dtype !== "u1" || shape[1] !== SIDE || shape[2] !== SIDE || !(grey || (shape.length === 4 && shape[3] === 3))) throw new Error(`its images are ${dtype} of shape (${shape.join(", ")}); expected uint8 of shape (N, 32, 32, 3)`);
    const labels = unpackedNpy(files["labels.npy"]).values;
    if (labels.length !== shape[0]) throw new Error(`it holds ${several(shape[0], "image")} and ${several(labels.length, "label")}`);
    const names = files["class_names.npy"] ? unpackedNpy(files["class_names.npy"]).values : [...new Set(labels)].sort().map(String);
    const numbers = files["class_names.npy"] ? names.map((_, k) => k) : names.map((name) => labels.find((label) => String(label) === name));
    if (names.length < LEAST_CLASSES || names.length > MOST_CLASSES) throw new Error(`it has ${several(names.length, "class").replace("classs", "classes")}; here ${LEAST_CLASSES} to ${MOST_CLASSES} are drawn`);
    if (![...labels].every((label) => numbers.includes(label))) throw new Error("a label in it names no class");
    const size = values.length / shape[0];
    const image = (i) => (grey ? fromGrey(values.subarray(i * size, (i + 1) * size)) : values.slice(i * size, (i + 1) * size));
    const rows = numbers.map((number) => [...labels.keys()].filter((i) => labels[i] === number));
    const classes = rows.map((its, k) => this.fresh(String(names[k]).slice(0, LONGEST_NAME), its.slice(0, MOST_DRAWINGS).map(image)));
    return { classes, left: sum(rows.map((its) => Math.max(0, its.length - MOST_DRAWINGS))) };
  }
}

// A button that opens the file picker.
function picker(words, attributes, chosen) {
  const input = make("input", { type: "file", hidden: true, "aria-label": words, ...attributes });
  input.addEventListener("change", () => {
    chosen([...input.files]);
    input.value = ""; // the same file can be chosen again
  });
  return [make("button", { type: "button", onclick: () => input.click() }, words), input];
}

function dropped(node, taken) {
  node.addEventListener("dragover", (event) => {
    event.preventDefault();
    node.classList.add("tlx-over");
  });
  node.addEventListener("dragleave", () => node.classList.remove("tlx-over"));
  node.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    node.classList.remove("tlx-over");
    taken([...event.dataTransfer.files]);
  });
}

// One class: its name, its pad, its drawings. It stays while its drawings change, so that nothing on its pad is lost.
class Card {
  constructor(page, id) {
    Object.assign(this, { page, id });
    this.pad = new Pad("", () => {});
    this.name = make("input", { type: "text", maxlength: LONGEST_NAME, onchange: () => page.drawings.edit(id, () => ({ name: this.name.value.trim() })) });
    this.remove = make("button", { type: "button", class: "tlx-small", onclick: () => page.removeClass(id) }, "×");
    this.thumbs = make("div", { class: "tlx-thumbs" });
    this.count = make("span", {});
    this.addition = make("button", { type: "button", onclick: () => page.addDrawing(this) }, "Add");
    this.cleaning = make("button", { type: "button", onclick: () => this.pad.clear() }, "Clear");
    this.files = picker("Files …", { accept: "image/*", multiple: true }, (files) => page.addFiles(this, files));
    const buttons = make("div", { class: "tlx-actions" }, this.addition, this.cleaning, ...this.files);
    this.node = make("div", { class: "tlx-class", role: "group" }, make("div", { class: "tlx-name" }, this.name, this.remove), this.pad.canvas, buttons, this.count, this.thumbs);
    dropped(this.node, (files) => page.addFiles(this, files));
  }

  update({ name, images }, number, few) {
    const title = name || `class ${number}`;
    this.node.setAttribute("aria-label", title);
    this.name.value = name;
    this.name.setAttribute("aria-label", `Name of class ${number}`);
    this.pad.label(`Drawing pad of ${title}. Draw with mouse, finger or pen; without one, add image files or use the examples.`);
    for (const [button, words] of [[this.addition, "Add the drawing to"], [this.cleaning, "Clear the pad of"], [this.files[0], "Add image files to"], [this.remove, "Remove class"]]) button.setAttribute("aria-label", `${words} ${title}`);
    this.remove.disabled = few;
    this.count.textContent = several(images.length, "drawing");
    const at = [...this.thumbs.children].indexOf(document.activeElement);
    this.thumbs.replaceChildren(...images.map((image, i) => this.thumb(image, i, title)));
    if (at >= 0) (this.thumbs.children[Math.min(at, images.length - 1)] ?? this.addition).focus();
  }

  thumb(image, i, title) {
    const drop = () => this.page.drawings.edit(this.id, ({ images }) => ({ images: images.filter((_, j) => j !== i) }));
    return make("button", { type: "button", class: "tlx-thumb", title: "Delete", "aria-label": `Delete drawing ${i + 1} of ${title}`, onclick: drop }, shown(image));
  }
}

// --- What is held back ----------------------------------------------------------------------------------------------

function mixed(values, seed) {
  let state = seed + 1;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  for (let i = 0; i < 10; i++) random(); // small seeds begin alike
  return values.map((value) => [random(), value]).sort((a, b) => a[0] - b[0]).map(([, value]) => value);
}

// Divide drawings into what is trained on and what is held back; a last part without anything held back trains on all.
function partsOf(labels, held, seed) {
  const rows = [...labels.keys()];
  const without = (test) => ({ train: rows.filter((row) => !test.includes(row)), test });
  const byClass = [...new Set(labels)].map((label) => mixed(rows.filter((row) => labels[row] === label), seed));
  if (held === "third") return [without(byClass.flatMap((its) => its.slice(0, Math.max(1, Math.floor(its.length / 3)))))];
  const tests = held === "each" ? rows.map((row) => [row]) : [0, 1, 2].map((turn) => byClass.flatMap((its) => its.filter((_, i) => i % 3 === turn)));
  return [...tests.filter((test) => test.length).map(without), without([])];
}

// What was told while networks trained: by network, by part, the points of its curve.
class Session {
  constructor(order, names) {
    Object.assign(this, { order, names, points: order.arms.map(() => order.parts.map(() => [])), told: 0 });
  }

  take({ arm, part, ...point }) {
    this.points[arm][part].push(point);
    this.told += 1;
  }

  share() {
    return this.told / (this.order.arms.length * this.order.parts.length * Math.min(POINTS, this.order.steps));
  }

  // The curves of a network: the mean over the parts that have come so far, but for the one that holds nothing back.
  curve(arm) {
    const tested = this.points[arm].map((points, part) => ({ points, part })).filter(({ part }) => this.order.parts[part].test.length);
    const longest = Math.max(...tested.map(({ points }) => points.length));
    return Array.from({ length: longest }, (_, i) => {
      const there = tested.map(({ points, part }) => ({ point: points[i], part })).filter(({ point }) => point);
      const right = there.flatMap(({ point, part }) => this.rights(point, part));
      return { step: there[0].point.step, loss: mean(there.map(({ point }) => point.loss)), share: mean(right) };
    });
  }

  rights({ answers }, part) {
    return answers.map((answer, i) => Number(answer === this.order.labels[this.order.parts[part].test[i]]));
  }

  // For each drawing that was held back, whether a network had it right in the end: 0, 1, or nothing yet. Of several
  // parts, one that was stopped on its way does not count.
  right(arm) {
    const { parts, steps } = this.order;
    const ended = (points) => points.length && (parts.length === 1 || points.at(-1).step === steps);
    return this.points[arm].flatMap((points, part) => (ended(points) ? this.rights(points.at(-1), part) : this.order.parts[part].test.map(() => null)));
  }

  seconds(arm) {
    const times = this.points[arm].filter((points) => points.length).map((points) => points.at(-1).seconds);
    return times.length ? mean(times) : null;
  }

  // Each network in words: what it got right, what that may be worth, and whether it is told apart from scratch.
  words() {
    const lines = this.order.arms.map(({ name }, arm) => {
      const right = this.right(arm).filter((each) => each !== null);
      if (!right.length) return `${name}: nothing yet.`;
      const [low, high] = wilson(sum(right), right.length).map((value) => Math.round(100 * value));
      return `${name}: ${sum(right)} of ${several(right.length, "held-back drawing")} right. So in the long run it may get between ${low} and ${high} of 100 right (95 % interval).${this.against(arm)}`;
    });
    return [...lines, `Guessing gets 1 of ${this.names.length} right.`];
  }

  against(arm) {
    const base = this.order.arms.findIndex(({ name }) => name === "from scratch");
    if (base < 0 || base === arm) return "";
    const scratch = this.right(base);
    const pairs = this.right(arm).map((right, i) => [right, scratch[i]]).filter(([ours, theirs]) => ours !== null && theirs !== null);
    const [alone, other] = [pairs.filter(([ours, theirs]) => ours > theirs).length, pairs.filter(([ours, theirs]) => ours < theirs).length];
    if (alone + other === 0) return " Right and wrong on the same drawings as from scratch.";
    const chance = coin(alone, other);
    const verdict = chance >= 0.05 ? "not told apart" : alone > other ? "ahead on these drawings" : "behind on these drawings";
    return ` Only it is right ${times(alone)}, only from scratch ${times(other)}: ${verdict}, since a fair coin divides as unevenly in ${Math.max(1, Math.round(100 * chance))} of 100 tries.`;
  }
}

// --- Figures --------------------------------------------------------------------------------------------------------

function key(arm) {
  const svg = draw("svg", { width: 30, height: 10, "aria-hidden": "true" });
  svg.append(draw("line", { x1: 1, x2: 29, y1: 5, y2: 5, stroke: INK[arm], "stroke-dasharray": DASH[arm], "stroke-width": 2.5 }));
  return svg;
}

function axes(title, high, steps, words) {
  const [wide, tall, left, right, top, bottom] = [340, 200, 40, 330, 10, 168];
  const svg = draw("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": words });
  const x = (step) => left + (step / steps) * (right - left);
  const y = (value) => bottom - (value / high) * (bottom - top);
  for (const tick of ticks(0, high)) {
    svg.append(draw("line", { x1: left, x2: right, y1: y(tick), y2: y(tick), class: "tlx-grid" }));
    svg.append(draw("text", { x: left - 5, y: y(tick) + 4, "text-anchor": "end" }, String(Number(tick.toPrecision(3)))));
  }
  for (const tick of ticks(0, steps)) svg.append(draw("text", { x: x(tick), y: bottom + 16, "text-anchor": "middle" }, String(tick)));
  svg.append(draw("text", { x: (left + right) / 2, y: tall - 4, "text-anchor": "middle" }, "training step"));
  return [make("figure", {}, make("figcaption", {}, title), svg), svg, x, y];
}

function curves(session, value, title, high) {
  const all = session.order.arms.map((arm, i) => ({ ...arm, points: session.curve(i) }));
  const words = all.filter(({ points }) => points.length).map(({ name, points }) => `${name} ${points.at(-1)[value].toFixed(2)}`);
  const [figure, svg, x, y] = axes(title, high ?? Math.max(0.1, ...all.flatMap(({ points }) => points.map((point) => point[value]))), session.order.steps, `${title}, now: ${words.join(", ")}`);
  for (const { number, points } of all) {
    const line = points.filter((point) => Number.isFinite(point[value])).map((point) => `${x(point.step)},${y(point[value])}`);
    svg.append(draw("polyline", { points: line.join(" "), stroke: INK[number], "stroke-dasharray": DASH[number], class: "tlx-line", "data-series": number }));
  }
  return figure;
}

// The share of held-back drawings that each network has right, with its interval.
function shares(session) {
  const [left, right, row] = [112, 330, 32];
  const svg = draw("svg", { viewBox: "0 0 340 200", role: "img", "aria-label": "Share of held-back drawings right, with 95 % intervals; the same numbers stand below in words." });
  const x = (share) => left + share * (right - left);
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(draw("line", { x1: x(tick), x2: x(tick), y1: 10, y2: 150, class: "tlx-grid" }));
    svg.append(draw("text", { x: x(tick), y: 168, "text-anchor": "middle" }, String(tick)));
  }
  svg.append(draw("line", { x1: x(1 / session.names.length), x2: x(1 / session.names.length), y1: 10, y2: 150, stroke: "var(--tlx-text)", "stroke-dasharray": "1 4" }));
  svg.append(draw("text", { x: (left + right) / 2, y: 190, "text-anchor": "middle" }, "share right (dots: guessing)"));
  session.order.arms.forEach(({ name, number }, i) => {
    const found = session.right(i).filter((each) => each !== null);
    const y = 26 + i * row;
    svg.append(draw("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, name));
    if (!found.length) return;
    const [low, high] = wilson(sum(found), found.length);
    svg.append(draw("line", { x1: x(low), x2: x(high), y1: y, y2: y, stroke: INK[number], class: "tlx-bar" }));
    svg.append(draw("circle", { cx: x(mean(found)), cy: y, r: 5.5, fill: INK[number] }));
  });
  return make("figure", {}, make("figcaption", {}, "Held back, in the end: share right, 95 % interval"), svg);
}

// All maps of a layer in one picture, each as bright as its activations; the brightest of the layer is white.
function maps({ name, side, count, values }) {
  const columns = side > 20 ? 8 : 16;
  const [wide, high] = [columns * (side + 1) - 1, (count / columns) * (side + 1) - 1];
  const picture = new ImageData(wide, high);
  picture.data.fill(120);
  const top = Math.max(...values) || 1;
  for (let i = 0; i < values.length; i++) {
    const [map, place] = [i % count, Math.floor(i / count)];
    const x = (map % columns) * (side + 1) + (place % side);
    const y = Math.floor(map / columns) * (side + 1) + Math.floor(place / side);
    const bright = (255 * values[i]) / top;
    picture.data.set([bright, bright, bright, 255], 4 * (y * wide + x));
  }
  const active = Array.from({ length: count }, (_, map) => map).filter((map) => values.some((value, i) => i % count === map && value > 0)).length;
  const words = `${name}: ${count} maps of ${side} × ${side}, ${active} of them active`;
  const canvas = make("canvas", { width: wide, height: high, role: "img", "aria-label": words });
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return make("figure", {}, make("figcaption", {}, words), canvas);
}

// --- The page -------------------------------------------------------------------------------------------------------

class Draw {
  constructor(model, el) {
    Object.assign(this, { content: model.get("content"), engine: model.get("engine"), cards: new Map(), worker: null, session: null, training: false, naming: false, waiting: false });
    this.drawings = new Drawings(() => this.update());
    this.examples = this.unpackedExamples();
    this.root = make("section", { class: "tlx tlx-draw", "aria-label": "Draw it, transfer it" }, ...this.first(), ...this.second(), ...this.third(), ...this.fourth());
    keepKeys(this.root);
    this.root.addEventListener("change", () => (this.code.textContent = this.python()));
    dropped(this.root, () => this.say("Drop images on one of the classes, or on the pad to try."));
    el.replaceChildren(this.root);
    this.update();
    const found = sum(this.drawings.classes.map(({ images }) => images.length));
    if (found) this.say(`${several(found, "drawing")} of your last visit are here again.`);
  }

  unpackedExamples() {
    const { images, labels, names, start } = this.content.examples;
    const all = toBytes(images);
    const rows = names.map((_, k) => [...labels.keys()].filter((i) => labels[i] === k));
    const image = (i) => fromGrey(all.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE));
    return { names, start: rows.map((its) => its.slice(0, start).map(image)), test: rows.flatMap((its) => its.slice(start).map(image)) };
  }

  say(words, status = "") {
    this.status.textContent = words;
    this.status.dataset.status = status;
  }

  // 1. Draw
  first() {
    const button = (words, pressed) => make("button", { type: "button", onclick: pressed }, words);
    this.grid = make("div", { class: "tlx-classes" });
    this.another = button("Another class", () => this.addClass());
    this.back = button("Undo", () => this.drawings.undo());
    this.status = make("p", { class: "tlx-status", role: "status", "aria-live": "polite" });
    this.memory = make("p", { class: "tlx-note", "aria-live": "polite" });
    const files = picker("Import …", { accept: ".npz" }, ([file]) => this.take(file));
    const row = [this.another, button("Use the examples", () => this.useExamples()), this.back, button("Export", () => this.give()), ...files, button("Clear all", () => this.clear())];
    return [make("p", { class: "tlx-sentence" }, "1. Draw a few of each"), this.grid, make("div", { class: "tlx-actions" }, ...row), this.status, this.memory];
  }

  update() {
    const { classes, past } = this.drawings;
    for (const [i, each] of classes.entries()) {
      if (!this.cards.has(each.id)) this.cards.set(each.id, new Card(this, each.id));
      this.cards.get(each.id).update(each, i + 1, classes.length <= LEAST_CLASSES);
    }
    const wanted = classes.map(({ id }) => this.cards.get(id).node);
    if (wanted.some((node, i) => this.grid.children[i] !== node) || this.grid.children.length > wanted.length) this.grid.replaceChildren(...wanted);
    this.another.disabled = classes.length >= MOST_CLASSES;
    this.back.disabled = !past.length;
    this.code.textContent = this.python();
    const { kept, alone } = this.drawings;
    if (!kept) this.memory.textContent = "This browser keeps nothing for this page. Export your drawings if you want to see them again.";
    else this.memory.textContent = alone ? "" : "These drawings are also open elsewhere in this browser, which keeps one set for the next visit: that of the place changed last. Export what you want to see again.";
  }

  addClass() {
    const { drawings } = this;
    const taken = drawings.classes.map(({ name }) => name);
    const name = ["third", "fourth", "fifth", "sixth", "first", "second"].find((each) => !taken.includes(each));
    drawings.to([...drawings.classes, drawings.fresh(name)]);
  }

  removeClass(id) {
    this.drawings.to(this.drawings.classes.filter((each) => each.id !== id));
    this.say("The class is gone. Undo brings it back.");
    this.back.focus();
  }

  useExamples() {
    const { drawings, examples } = this;
    drawings.to(examples.names.map((name, k) => drawings.fresh(name, examples.start[k])));
    this.say(`${several(sum(examples.start.map((its) => its.length)), "example")} are here. Undo brings back what was here before.`);
  }

  clear() {
    this.drawings.to(["first", "second"].map((name) => this.drawings.fresh(name)));
    this.drawings.forget();
    this.say("All drawings are gone, here and in this browser's memory. Undo brings them back.");
  }

  addDrawing(card) {
    const image = card.pad.image();
    const { name } = this.drawings.classes.find(({ id }) => id === card.id);
    if (!image) return this.say(`The pad of “${name}” is empty. Draw on it first.`);
    if (this.drawings.add(card.id, [image])) return this.say(this.full(name, 1));
    card.pad.clear();
    this.say(`A drawing of “${name}” was added.`);
  }

  full(name, left) {
    return `“${name}” is full: a class holds ${MOST_DRAWINGS} drawings, and ${several(left, "image")} found no room.`;
  }

  async addFiles(card, files) {
    const { images, wrong } = await this.readImages(files);
    const entry = this.drawings.classes.find(({ id }) => id === card.id);
    if (!entry) return;
    const left = this.drawings.add(card.id, images);
    const said = [`${several(images.length - left, "image")} added to “${entry.name}”.`, left ? this.full(entry.name, left) : "", ...wrong.slice(0, 3), wrong.length > 3 ? `So it is with ${wrong.length - 3} more.` : ""];
    this.say(said.filter(Boolean).join(" "), wrong.length ? "error" : "");
  }

  async readImages(files) {
    const [images, wrong] = [[], []];
    for (const file of files) {
      try {
        images.push(await imageOf(file));
      } catch (error) {
        wrong.push(error.message);
      }
    }
    return { images, wrong };
  }

  give() {
    const few = this.drawings.classes.find(({ images }) => images.length < 3);
    if (this.drawings.classes.every(({ images }) => !images.length)) return this.say("There is nothing to export yet. Draw, or press “Use the examples”.");
    const address = URL.createObjectURL(new Blob([this.drawings.archive()]));
    make("a", { href: address, download: "drawings.npz" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    this.say(few ? `drawings.npz is yours. data.from_arrays will ask for 3 drawings of each class; “${few.name}” has ${few.images.length}.` : "drawings.npz is yours. The Python lines at the end read it.");
  }

  async take(file) {
    try {
      if (file.size > LARGEST_FILE) throw new Error(`it has ${Math.round(file.size / 1e6)} MB; at most ${LARGEST_FILE / 1e6} are read`);
      const { classes, left } = await this.drawings.read(new Uint8Array(await file.arrayBuffer()));
      this.drawings.to(classes);
      const count = sum(classes.map(({ images }) => images.length));
      this.say(`${several(count, "drawing")} of ${classes.length} classes imported. Undo brings back what was here before.${left ? ` ${left} more found no room: a class holds ${MOST_DRAWINGS}.` : ""}`);
    } catch (error) {
      const words = error instanceof RangeError ? "it is cut short or damaged" : error.message;
      this.say(`${file.name} was not imported: ${words}. Your drawings are as they were.`, "error");
    }
  }

  // 2. Train
  second() {
    const select = (options, value) => {
      const node = make("select", {}, ...options.map(([each, words]) => make("option", { value: each }, words)));
      node.value = value;
      return node;
    };
    this.arms = this.content.arms.map((arm, i) => {
      const wanted = make("input", { type: "checkbox", checked: true, "aria-label": `Train ${arm.name}` });
      const rate = select(RATES.map((each) => [each, String(each)]), arm.rate);
      const frozen = arm.name === "fine-tuned" ? select(FROZEN.map((words, k) => [k, words]), arm.frozen) : null;
      const facts = make("p", { class: "tlx-facts" });
      const fields = [make("label", {}, "learning rate ", rate), frozen ? make("label", {}, "frozen: ", frozen) : make("span", {}, `frozen: ${arm.frozen ? FROZEN[3] : FROZEN[0]}`)];
      const node = make("div", { class: "tlx-arm", role: "group", "aria-label": arm.name }, make("label", { class: "tlx-title" }, wanted, key(i), arm.name), ...fields, facts);
      return { ...arm, number: i, wanted, rate, frozenBy: frozen, facts, node };
    });
    this.held = select(Object.entries(HELD), "third");
    this.steps = select([30, 60, 120, 240].map((each) => [each, each]), 60);
    this.seed = make("input", { type: "number", min: 0, max: 999, step: 1, value: 0 });
    this.go = make("button", { type: "button", class: "tlx-train", onclick: () => this.train() }, "Train");
    this.halt = make("button", { type: "button", disabled: true, onclick: () => this.worker?.postMessage({ do: "stop" }) }, "Stop");
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "Training" });
    this.said = make("p", { class: "tlx-status", role: "status", "aria-live": "polite" }, "Press Train: all that follows happens in this browser.");
    this.figures = make("div", { class: "tlx-figures" });
    this.verdict = make("ul", { class: "tlx-verdict" });
    const chosen = [make("label", {}, "Hold back ", this.held), make("label", {}, "steps ", this.steps), make("label", {}, "seed ", this.seed)];
    return [make("p", { class: "tlx-sentence" }, "2. Train four networks side by side"), make("div", { class: "tlx-arms" }, ...this.arms.map(({ node }) => node)), make("div", { class: "tlx-controls" }, ...chosen, this.go, this.halt, this.bar), this.said, this.figures, this.verdict];
  }

  chosenArms() {
    return this.arms
      .filter(({ wanted }) => wanted.checked)
      .map(({ name, number, random, standardise, rate, frozen, frozenBy }) => ({ name, number, random, standardise, rate: Number(rate.value), frozen: Number(frozenBy?.value ?? frozen) }))
      .map((arm) => (arm.name === "fine-tuned" && arm.frozen === CONVOLUTIONS.length ? { ...arm, name: "copied, frozen" } : arm)); // nothing is tuned then
  }

  tell(words, status = "") {
    this.said.textContent = words;
    this.said.dataset.status = status;
  }

  train() {
    const arms = this.chosenArms();
    const problem = this.drawings.problem() || (arms.length ? "" : "No network is chosen. Tick at least one.");
    if (problem) return this.tell(problem, "error");
    const seed = seedIn(this.seed);
    if (seed === null) return this.tell(noSeed(this.seed), "error");
    const { classes } = this.drawings;
    const images = classes.flatMap((each) => each.images);
    const labels = classes.flatMap((each, k) => each.images.map(() => k));
    const parts = partsOf(labels, this.held.value, seed);
    const order = { do: "train", arms, labels, parts, seed, classes: classes.length, steps: Number(this.steps.value), batch: BATCH, points: POINTS };
    this.session = new Session(order, classes.map(({ name }) => name));
    const left = classes.filter(({ id }) => !this.cards.get(id).pad.empty).map(({ name }) => `“${name}”`);
    this.verdict.replaceChildren();
    this.busy(true);
    this.tell(`Training ${several(arms.length, "network")}, ${several(parts.length, "time")} each, on ${several(images.length, "drawing")} …${left.length ? ` What is on the pad of ${left.join(", ")} was not added and is left out.` : ""}`);
    this.begun = performance.now();
    this.start().postMessage({ ...order, images: joined(images) });
  }

  busy(training) {
    this.training = training;
    this.go.disabled = training;
    this.halt.disabled = !training;
    this.which.replaceChildren(...(this.session?.order.arms ?? []).map(({ name }, i) => make("option", { value: i }, name)));
  }

  // The worker, made when it is first needed: only then are the weights decoded.
  start() {
    if (this.worker) return this.worker;
    const address = URL.createObjectURL(new Blob([`${this.engine}\nserve(self);`], { type: "text/javascript" }));
    this.worker = new Worker(address);
    URL.revokeObjectURL(address);
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = (event) => this.failed(event.message);
    this.worker.postMessage({ do: "load", weights: this.content.weights });
    return this.worker;
  }

  hear(message) {
    if (message.do === "point") this.point(message);
    if (message.do === "done") this.done(message);
    if (message.do === "named") this.named(message);
    if (message.do === "failed") this.failed(message.message);
  }

  failed(words) {
    this.worker?.terminate();
    this.worker = null;
    this.naming = false;
    this.busy(false);
    this.tell(`Training ended: ${words}. Your drawings are as they were; press Train to begin again.`, "error");
  }

  point(message) {
    this.session.take(message);
    this.bar.value = this.session.share();
    if (message.arm === this.session.order.arms.length - 1) this.show();
    this.ask();
  }

  show() {
    const { session } = this;
    this.figures.replaceChildren(curves(session, "loss", "Training loss"), curves(session, "share", "Held back: share right", 1), shares(session));
    for (const { facts } of this.arms) facts.textContent = "";
    session.order.arms.forEach(({ number, frozen }, i) => {
      const head = (FEATURES + 1) * session.names.length;
      const trained = head + sum(CONVOLUTIONS.slice(frozen));
      const time = session.seconds(i);
      this.arms[number].facts.textContent = `${several(trained, "trained number")}${time === null ? "" : `, ${seconds(time)}`}`;
    });
  }

  done({ stopped }) {
    this.busy(false);
    this.bar.value = stopped ? this.session.share() : 1;
    this.show();
    this.verdict.replaceChildren(...this.session.words().map((words) => make("li", {}, words)));
    const took = seconds((performance.now() - this.begun) / 1000);
    const all = this.session.order.parts.length > 1 ? "The networks below were trained on all drawings." : "The networks below were trained on the drawings that were not held back.";
    this.tell(stopped ? `Stopped after ${took}. What was reached is kept and shown.` : `Done in ${took}. ${all}`);
    this.ask();
  }

  // 3. Try
  third() {
    const button = (words, pressed) => make("button", { type: "button", onclick: pressed }, words);
    this.pad = new Pad("Pad for a symbol to be named. Draw with mouse, finger or pen; without one, take an example or an image file.", () => this.ask());
    this.tried = 0;
    const files = picker("Image …", { accept: "image/*" }, (chosen) => this.tryFile(chosen));
    const place = make("div", { class: "tlx-class" }, this.pad.canvas, make("div", { class: "tlx-actions" }, button("Another example", () => this.tryExample()), ...files, button("Clear", () => this.pad.clear())));
    dropped(place, (chosen) => this.tryFile(chosen));
    this.chances = make("div", { class: "tlx-arms" });
    this.top = make("p", { "aria-live": "polite" }, "Train first: then the networks name what you draw here.");
    this.which = make("select", { onchange: () => this.ask() });
    this.layers = make("div", { class: "tlx-maps" });
    const looked = make("details", { ontoggle: () => this.ask() }, make("summary", {}, "What it sets off in the layers"), make("label", {}, "in the network ", this.which), this.layers);
    return [make("p", { class: "tlx-sentence" }, "3. Draw one more, and watch"), make("div", { class: "tlx-try" }, place, make("div", {}, this.top, this.chances)), looked];
  }

  tryExample() {
    const { test, start } = this.examples;
    const all = test.length ? test : start.flat();
    this.pad.show(all[this.tried % all.length]);
    this.tried += 1;
  }

  async tryFile([file]) {
    if (!file) return;
    const { images, wrong } = await this.readImages([file]);
    if (images.length) this.pad.show(images[0]);
    else this.top.textContent = wrong[0];
  }

  // Ask the worker for names, one question at a time; of those that wait, only the newest counts.
  ask() {
    if (!this.worker || !this.session) return;
    if (this.naming) return (this.waiting = true);
    const image = this.pad.image();
    if (!image) {
      this.chances.replaceChildren();
      this.layers.replaceChildren();
      this.top.textContent = "The pad is empty. Draw, and the networks say what they see.";
      return;
    }
    this.naming = true;
    this.worker.postMessage({ do: "name", image, which: Number(this.which.value) });
  }

  named({ chances, maps: found }) {
    const { names, order } = this.session;
    this.naming = false;
    if (chances.length === order.arms.length && chances[0].length === names.length) {
      const bars = (its) => names.map((name, k) => make("div", { class: "tlx-chance" }, make("span", {}, name), make("meter", { min: 0, max: 1, value: its[k], "aria-label": name }), make("span", {}, `${Math.round(100 * its[k])} %`)));
      this.chances.replaceChildren(...order.arms.map(({ name, number }, i) => make("div", { class: "tlx-arm" }, make("span", { class: "tlx-title" }, key(number), name), ...bars(chances[i]))));
      const tops = chances.map((its) => names[its.indexOf(Math.max(...its))]);
      const words = order.arms.map(({ name }, i) => `${name}: ${tops[i]}`).join("; ");
      if (this.top.textContent !== words) this.top.textContent = words;
      if (this.layers.parentNode.open) this.layers.replaceChildren(...found.map(maps));
    }
    if (this.waiting) {
      this.waiting = false;
      this.ask();
    }
  }

  // 4. Go on in Python
  fourth() {
    this.code = make("pre", { tabindex: 0, "aria-label": "Python" });
    return [make("details", {}, make("summary", {}, "4. Go on in Python"), make("p", {}, "Export, put drawings.npz beside the notebook, and run:"), this.code)];
  }

  python() {
    const least = Math.min(...this.drawings.classes.map(({ images }) => images.length));
    const seed = seedIn(this.seed);
    if (seed === null) return "# The seed is no whole number from 0 to 999.";
    if (least < 3) return "# data.from_arrays asks for 3 drawings of each class: one to train, one to validate, one to test.";
    const each = Math.floor((least - Math.floor(least / 3)) / 2);
    const [frozen, tuned, scratch, random] = this.arms.map(({ rate }) => `learning_rate=${rate.value}, steps=${this.steps.value}`);
    return `import numpy as np

from tl_helpers import data, models, transfer

file = np.load("drawings.npz")
drawings = data.from_arrays(file["images"], file["labels"], class_names=file["class_names"], name="my drawings")
split = data.few_shot(drawings, per_class=${each}, seed=${seed})
source = models.pretrained()
arms = {
    "source features": transfer.feature_extraction(source, split, ${frozen}),
    "fine-tuned": transfer.parameter_transfer(source, split, freeze=${this.arms[1].frozenBy.value}, ${tuned}),
    "from scratch": transfer.from_scratch(split, ${scratch}),
    "random features": transfer.feature_extraction(source, split, initialisation="random", ${random}),
}
for name, arm in arms.items():
    print(f"{name}: {arm.evaluate(split.test).accuracy:.2f} of the {len(split.test)} test drawings right")`;
  }
}

function render({ model, el }) {
  const page = new Draw(model, el);
  return () => page.worker?.terminate();
}

export default { render };
