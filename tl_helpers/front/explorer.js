// The explorer: choose what is copied, frozen and trained; see what was recorded; train it where there is a kernel.
// It stands behind common.js in one module. In JupyterLab anywidget calls render(); the static page does it itself.

const WORDS = {
  F: "copied, frozen",
  T: "copied, trained",
  R: "random, trained",
  Z: "random, frozen",
};
const SCRATCH = "RRR";
const RANDOM = "ZZZ";
const INK = {
  now: { colour: "var(--tlx-now)", dash: "", name: "B", band: true },
  pinned: { colour: "var(--tlx-pinned)", dash: "7 3", name: "A", band: true },
  scratch: { colour: "var(--tlx-scratch)", dash: "2 3", name: "from scratch" },
  random: { colour: "var(--tlx-random)", dash: "9 3 2 3", name: "random, frozen" },
  live: { colour: "var(--tlx-text)", dash: "", name: "live" },
};
const RATES = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2];
const PATIENCE = 5; // seconds that the kernel has to answer
const SILENT = `The kernel has not answered for ${PATIENCE} seconds. If it was restarted, run this cell again. If another cell is running, wait until it ends.`;
const GONE = "The kernel that this explorer trained in is gone: it was restarted or stopped. To train, run this cell again. What is drawn here was computed before.";

// --- Numbers --------------------------------------------------------------------------------------------------------

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const points = (value) => (100 * value).toFixed(1);
const percent = (value) => `${points(value)}\u00a0%`;
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(1);

// Mean and half the 95 % interval, as measures.paired_interval does it.
export function interval(values, quantile) {
  const centre = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return { mean: centre, half: quantile * Math.sqrt(squares / (values.length - 1) / values.length) };
}

export function difference(first, second, quantile) {
  return interval(first.map((value, i) => 100 * (value - second[i])), quantile);
}

// What becomes of the layers when one of them takes a state: what is copied, and what is frozen, is a beginning.
export function cascade(states, index, state) {
  return [...states]
    .map((old, i) => {
      if (i === index) return state;
      if (i < index) {
        if (state === "F" || state === "Z") return state;
        return state === "T" && old !== "F" && old !== "T" ? "T" : old;
      }
      if (state === "R") return "R";
      if (state === "Z") return old === "Z" ? "Z" : "R";
      if (old === "Z") return "R";
      return state === "T" && old === "F" ? "T" : old;
    })
    .join("");
}

// The states that a click leads to, of those that a method goes with; null where it goes with none of that kind.
export function reached(states, index, state, allowed) {
  const wanted = cascade(states, index, state);
  return allowed.includes(wanted) ? wanted : (allowed.find((each) => each[index] === state) ?? null);
}

// "conv1–conv2 copied, frozen; conv3 random, trained"
export function told(states, layers) {
  const parts = [];
  for (let begin = 0, end; begin < states.length; begin = end) {
    for (end = begin + 1; states[end] === states[begin]; ) end += 1;
    const names = end - begin > 1 ? `${layers[begin].name}–${layers[end - 1].name}` : layers[begin].name;
    parts.push(`${names} ${WORDS[states[begin]]}`);
  }
  return parts.join("; ");
}

// --- What was recorded -----------------------------------------------------------------------------------------------

class Records {
  constructor(payload) {
    Object.assign(this, payload);
    this.pair = Object.fromEntries(payload.pairs.map((pair) => [pair.name, pair]));
  }

  number(method, states) {
    return this.settings.findIndex((setting) => setting.method === method && setting.states === states);
  }

  of(choice) {
    return this.runs[`${choice.pair}|${choice.labels}|${this.number(choice.method, choice.states)}`] ?? null;
  }

  plain(choice, states) {
    return this.of({ ...choice, method: "plain", states });
  }

  methods(pair) {
    return [...new Set(this.settings.filter((each) => each.pairs.includes(pair)).map((each) => each.method))];
  }

  allMethods() {
    return [...new Set(this.settings.map((each) => each.method))];
  }

  statesOf(method) {
    return this.settings.filter((each) => each.method === method).map((each) => each.states);
  }

  describe(choice) {
    const method = choice.method === "plain" ? "" : `${choice.method}, `;
    return `${method}${told(choice.states, this.layers)}`;
  }

  whole(choice) {
    return `${this.pair[choice.pair].title}, ${choice.labels} labels per class, ${this.describe(choice)}`;
  }

  isChoice(choice) {
    const setting = this.settings[this.number(choice.method, choice.states)];
    return this.labels.includes(choice.labels) && Boolean(setting?.pairs.includes(choice.pair));
  }

  // The recorded choice of the same pair that differs least: labels first, then layers, then the method.
  nearest(choice) {
    const cost = (other) =>
      Math.abs(this.labels.indexOf(other.labels) - this.labels.indexOf(choice.labels)) +
      2 * [...other.states].filter((state, i) => state !== choice.states[i]).length +
      (other.method === choice.method ? 0 : 5);
    return Object.keys(this.runs)
      .map((key) => key.split("|"))
      .filter(([pair]) => pair === choice.pair)
      .map(([pair, labels, i]) => {
        const { method, states } = this.settings[i];
        return { pair, labels: Number(labels), method, states };
      })
      .sort((a, b) => cost(a) - cost(b))[0];
  }
}

// --- The fragment of the address -------------------------------------------------------------------------------------

const write = ({ pair, labels, method, states }) => [pair, labels, encodeURIComponent(method), states].join(".");

function read(text, records) {
  const [pair, labels, method, states] = text.split(".");
  if (states === undefined) return null;
  const known = records.allMethods().find((each) => encodeURIComponent(each) === method || each === method);
  const choice = { pair, labels: Number(labels), method: known, states };
  return records.isChoice(choice) ? choice : null;
}

function fragments() {
  const parts = location.hash.slice(1).split(";").filter((part) => part.includes("="));
  return Object.fromEntries(parts.map((part) => part.split("=")));
}

// --- Figures ---------------------------------------------------------------------------------------------------------

const WIDE = 340;

function range(values) {
  const low = Math.max(0, Math.floor(20 * Math.min(...values)) / 20);
  return [low, Math.min(1, Math.max(Math.ceil(20 * Math.max(...values)) / 20, low + 0.1))];
}

function curves(series) {
  const high = 230;
  const box = { left: 40, right: WIDE - 10, top: 8, bottom: high - 36 };
  const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${high}`, role: "img", class: "tlx-curves" });
  const [low, top] = range(series.flatMap(({ run, ink }) => run.mean.flatMap((m, i) => (ink.band ? [m - run.half[i], m + run.half[i]] : [m]))));
  const last = Math.max(...series.map(({ run }) => run.total ?? run.steps.at(-1)));
  const x = (step) => box.left + (step / last) * (box.right - box.left);
  const y = (value) => box.bottom - ((value - low) / (top - low)) * (box.bottom - box.top);
  for (const tick of ticks(low, top)) {
    svg.append(draw("line", { x1: box.left, x2: box.right, y1: y(tick), y2: y(tick), class: "tlx-grid" }));
    svg.append(draw("text", { x: box.left - 5, y: y(tick) + 4, "text-anchor": "end" }, tick.toFixed(2)));
  }
  for (const step of [0, last / 2, last]) {
    const anchor = step === last ? "end" : "middle";
    svg.append(draw("text", { x: x(step), y: box.bottom + 15, "text-anchor": anchor }, String(Math.round(step))));
  }
  svg.append(draw("text", { x: (box.left + box.right) / 2, y: high - 4, "text-anchor": "middle" }, "training steps"));
  for (const { run, ink } of series) {
    if (ink.band) {
      const edge = (sign) => run.steps.map((s, i) => `${x(s)},${y(run.mean[i] + sign * run.half[i])}`);
      svg.append(draw("polygon", { points: [...edge(1), ...edge(-1).reverse()].join(" "), fill: ink.colour, opacity: 0.18 }));
    }
    svg.append(
      draw("polyline", {
        points: run.steps.map((step, i) => `${x(step)},${y(run.mean[i])}`).join(" "),
        stroke: ink.colour,
        "stroke-dasharray": ink.dash,
        class: "tlx-line",
        "data-series": ink.name,
        "data-values": run.mean.join(" "),
      }),
    );
  }
  return svg;
}

function dots(series, quantile) {
  const high = 30 * series.length + 44;
  const box = { left: 104, right: WIDE - 16, bottom: high - 36 };
  const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${high}`, role: "img", class: "tlx-dots" });
  const found = series.map(({ run }) => (run.test.length > 1 ? interval(run.test, quantile) : { mean: run.test[0], half: 0 }));
  const [low, top] = range(series.flatMap(({ run }, i) => [...run.test, found[i].mean - found[i].half, found[i].mean + found[i].half]));
  const x = (value) => box.left + ((value - low) / (top - low)) * (box.right - box.left);
  for (const tick of ticks(low, top)) {
    svg.append(draw("line", { x1: x(tick), x2: x(tick), y1: 2, y2: box.bottom, class: "tlx-grid" }));
    svg.append(draw("text", { x: x(tick), y: box.bottom + 15, "text-anchor": "middle" }, tick.toFixed(2)));
  }
  svg.append(draw("text", { x: (box.left + box.right) / 2, y: high - 4, "text-anchor": "middle" }, "test accuracy"));
  series.forEach(({ run, ink }, i) => {
    const y = 18 + 30 * i;
    svg.append(draw("text", { x: box.left - 8, y: y + 4, "text-anchor": "end" }, ink.name));
    for (const value of run.test) svg.append(draw("circle", { cx: x(value), cy: y + 8, r: 1.8, fill: ink.colour, opacity: 0.6 }));
    const { mean: centre, half } = found[i];
    svg.append(draw("line", { x1: x(centre - half), x2: x(centre + half), y1: y, y2: y, stroke: ink.colour, class: "tlx-bar" }));
    svg.append(draw("circle", { cx: x(centre), cy: y, r: 4.5, fill: ink.colour, "data-series": ink.name, "data-mean": centre }));
  });
  return svg;
}

// --- The explorer ----------------------------------------------------------------------------------------------------

class Explorer {
  constructor(model, el) {
    this.model = model;
    this.records = new Records(model.get("payload"));
    this.name = model.get("name");
    this.first = { ...model.get("choice") };
    this.choice = { ...this.first };
    this.pinned = null;
    this.hasKernel = model.get("live") !== null;
    this.note = "";
    Object.assign(this, { asked: null, lost: "", refusal: "", wanted: "", told: "", coded: "" });
    this.build(el);
    if (this.hasKernel) this.listen();
    else this.follow();
    this.update();
  }

  build(el) {
    const { records } = this;
    const choose = (label, values, words, pick) => {
      const select = make("select", { onchange: () => pick(select.value) }, ...values.map((v, i) => make("option", { value: v }, words[i])));
      return [make("label", {}, label, select), select];
    };
    const set = (changes) => this.go({ ...this.choice, ...changes });
    const [pair, pairSelect] = choose("Tasks ", records.pairs.map((p) => p.name), records.pairs.map((p) => p.title), (v) => this.takePair(v));
    const [labels, labelsSelect] = choose("Labels per class ", records.labels, records.labels.map(String), (v) => set({ labels: Number(v) }));
    this.methodSelect = make("select", { onchange: (event) => this.takeMethod(event.target.value) });
    this.selects = { pairSelect, labelsSelect };
    this.layers = records.layers.map((layer, index) => this.buildLayer(layer, index));
    this.head = make("button", { type: "button", class: "tlx-box", "data-state": "R", onclick: () => this.say("The head is always new: its outputs are the classes of the target, which the source does not know. It starts at zero and is trained.") });
    this.parts = Object.fromEntries(["note", "sentence", "figures", "facts", "compare", "live", "why", "code"].map((n) => [n, make("div", { class: `tlx-${n}` })]));
    for (const name of ["note", "sentence"]) this.parts[name].setAttribute("aria-live", "polite");
    const action = (text, act) => make("button", { type: "button", onclick: act }, text);
    this.tried = make("div", {});
    const root = make(
      "section",
      { class: "tlx", "aria-label": "Explorer of frozen and fine-tuned layers", id: this.hasKernel ? false : this.name },
      make("div", { class: "tlx-controls" }, pair, labels, make("label", {}, "Method ", this.methodSelect)),
      make("div", { class: "tlx-network", role: "group", "aria-label": "Layers, from the image to the classes" },
        ...this.layers.map(({ column }) => column),
        make("div", { class: "tlx-layer" }, this.head, make("span", { class: "tlx-fixed" }, "always new")),
      ),
      this.parts.why,
      this.parts.note,
      this.parts.sentence,
      this.parts.figures,
      this.parts.facts,
      make("div", { class: "tlx-actions" },
        action("Pin as A", () => this.pin()),
        (this.unpin = action("Remove A", () => { this.pinned = null; this.go(this.choice, "A is removed."); })),
        action("Reset", () => { [this.pinned, this.wanted] = [null, ""]; this.go(this.first, "Back to the beginning."); }),
        action("Copy code", () => this.copyCode()),
        this.hasKernel ? null : action("Copy link", () => this.copy(location.href, "The link")),
      ),
      this.parts.compare,
      this.hasKernel ? this.buildLive() : null,
      make("details", {}, make("summary", {}, "Python that does this run again"), this.parts.code),
      make("details", {}, make("summary", {}, "How the learning rate was chosen"), this.tried),
    );
    keepKeys(root);
    el.replaceChildren(root);
  }

  buildLayer(layer, index) {
    const take = (state) => this.takeLayer(index, state);
    const next = () => {
      const at = "FTRZ".indexOf(this.choice.states[index]);
      const state = [1, 2, 3].map((step) => "FTRZ"[(at + step) % 4]).find((each) => this.reached(index, each));
      if (state) take(state);
      else this.say(this.whyFixed());
    };
    const box = make("button", { type: "button", class: "tlx-box", onclick: next });
    const select = make("select", { "aria-label": `State of ${layer.name}`, onchange: () => take(select.value) });
    return { column: make("div", { class: "tlx-layer" }, box, select), box, select };
  }

  buildLive() {
    const seed = make("input", { type: "number", min: 0, max: 2 ** 31 - 1, step: 1, value: 0, oninput: () => { this.refusal = ""; this.update(); } });
    this.rate = make("select", { onchange: () => { this.wanted = this.rate.value; } });
    const start = () => {
      const found = seedIn(seed);
      this.refusal = found === null ? noSeed(seed) : "";
      if (found === null) return this.update();
      this.ask({ do: "train", ...this.choice, seed: found, rate: this.wanted === "" ? null : Number(this.wanted) });
    };
    this.train = make("button", { type: "button", class: "tlx-train", onclick: start }, "Train");
    this.stop = make("button", { type: "button", onclick: () => this.ask({ do: "stop" }) }, "Stop");
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "Training progress" });
    this.status = make("p", { class: "tlx-status", "aria-live": "polite" });
    this.parts.live.append(
      make("div", { class: "tlx-actions" }, make("label", {}, "Seed ", seed), make("label", {}, "Learning rate ", this.rate), this.train, this.stop, this.bar),
      this.status,
    );
    return this.parts.live;
  }

  listen() {
    this.model.on("change:live", () => this.settle());
    this.model.on("msg:custom", (message) => { if (message.heard) this.settle(); });
    this.model.on("comm_live_update", () => this.ask({ do: "answer" })); // the kernel restarts, or comes back
    this.model.on("change:choice", () => {
      const choice = this.model.get("choice");
      if (write(choice) !== write(this.choice)) {
        this.choice = { ...choice };
        this.update();
      }
    });
  }

  // Send a message; a kernel that was restarted knows nothing of this widget, and says nothing.
  ask(message) {
    clearTimeout(this.asked);
    this.asked = setTimeout(() => this.settle(SILENT), 1000 * PATIENCE);
    this.reach(() => this.model.send(message));
    this.update();
  }

  // JupyterLab refuses to send once it knows that the kernel was restarted or stopped.
  reach(send) {
    try {
      send();
    } catch {
      this.settle(GONE);
    }
  }

  settle(lost = "") {
    clearTimeout(this.asked);
    [this.asked, this.lost] = [null, lost];
    this.update();
  }

  // --- Choosing ---

  go(choice, note = "") {
    this.choice = choice;
    this.note = note;
    this.update();
    this.model.set("choice", { ...choice });
    this.reach(() => this.model.save_changes());
    if (this.hasKernel) return;
    const pin = this.pinned ? `,${write(this.pinned)}` : "";
    const all = { ...fragments(), [this.name]: write(choice) + pin };
    history.replaceState(null, "", `#${Object.entries(all).map((part) => part.join("=")).join(";")}`);
  }

  follow() {
    const take = () => {
      const [choice, pinned] = (fragments()[this.name] ?? "").split(",").map((part) => read(part, this.records));
      if (choice) [this.choice, this.pinned, this.note] = [choice, pinned ?? null, ""];
      return Boolean(choice);
    };
    if (take()) requestAnimationFrame(() => document.getElementById(this.name)?.scrollIntoView());
    window.addEventListener("hashchange", () => take() && this.update());
  }

  say(text) {
    this.note = text;
    this.parts.note.textContent = text;
  }

  takePair(pair) {
    const { method } = this.choice;
    const has = this.records.methods(pair).includes(method);
    const note = has ? "" : `${method} is not offered there: the rules speak of digits.`;
    this.go({ ...this.choice, pair, method: has ? method : "plain" }, note);
  }

  takeMethod(method) {
    const all = this.records.statesOf(method);
    const states = all.includes(this.choice.states) ? this.choice.states : all[0];
    const note = states === this.choice.states ? "" : `${method} goes with ${told(states, this.records.layers)}; the layers follow.`;
    this.go({ ...this.choice, method, states }, note);
  }

  takeLayer(index, state) {
    const { states, method } = this.choice;
    const { layers } = this.records;
    const wanted = this.reached(index, state);
    const moved = layers.filter((_, i) => i !== index && wanted[i] !== states[i]).map(({ name }) => name);
    if (method !== "plain") return this.go({ ...this.choice, states: wanted }, `${moved.join(" and ")} follow. ${this.whyFixed()}`);
    const rule = `${state === "F" || state === "Z" ? "Frozen" : "Copied"} layers are always the first ones: what a layer has learned fits the input that it learned it on.`;
    const note = moved.length ? `${moved.join(" and ")} ${moved.length > 1 ? "follow" : "follows"}. ${rule}` : "";
    this.go({ ...this.choice, states: wanted }, note);
  }

  reached(index, state) {
    return reached(this.choice.states, index, state, this.records.statesOf(this.choice.method));
  }

  // Why layers cannot take every state; nothing where they can.
  whyFixed() {
    const { method } = this.choice;
    if (method === "plain") return "";
    const forms = this.records.statesOf(method).map((each) => told(each, this.records.layers));
    return `${method} goes with ${forms.join(", or with ")}. Choose the method “plain” to set single layers.`;
  }

  pin() {
    this.pinned = { ...this.choice };
    this.go(this.choice, "Pinned as A. Now change something: what you choose is B.");
  }

  copyCode() {
    const [{ of, which, code }] = this.codes();
    this.copy(code, `The code of ${of}${which}`);
  }

  async copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      this.say(`${what} is copied.`);
    } catch {
      this.say(`The browser does not let this page copy. ${what}: ${text}`);
    }
  }

  // --- Showing ---

  update() {
    const { records, choice } = this;
    const run = records.of(choice);
    if (this.parts.note.textContent !== this.note) this.parts.note.textContent = this.note;
    this.showFigures(this.series(run, this.drawn()));
    this.showCode();
    if (this.hasKernel) this.showLive(run, this.model.get("live"));
    const told = JSON.stringify([choice, this.pinned]);
    if (told === this.told) return; // a point of the live curve came; what is read out or open stays as it is
    this.told = told;
    this.selects.pairSelect.value = choice.pair;
    this.selects.labelsSelect.value = choice.labels;
    const methods = records.methods(choice.pair);
    const offered = records.allMethods().map((method) => ({ method, off: !methods.includes(method) }));
    offer(this.methodSelect, offered.map(({ method, off }) => ({ value: method, words: off ? `${method} (for digits only)` : method, off })), choice.method);
    this.showLayers();
    this.showSentence(run);
    this.showFacts(run);
    this.showCompare(run);
  }

  // The live run, if it is one of what is chosen and has points to draw.
  drawn() {
    const live = this.model.get("live");
    return live?.steps.length && write(live.choice) === write(this.choice) ? live : null;
  }

  // The code of what is drawn, the live run first.
  codes() {
    const [run, live] = [this.records.of(this.choice), this.drawn()];
    const found = [];
    if (live) found.push({ of: "the run in this kernel", which: ` (seed ${live.seed}, learning rate ${live.rate})`, code: live.code });
    if (run) found.push({ of: "the recorded run", which: ` (seed 0, learning rate ${run.rate})`, code: run.code });
    return found.length ? found : [{ of: "this choice", which: "", code: "There is no record, and so no code that it came from." }];
  }

  showCode() {
    const codes = this.codes();
    if (JSON.stringify(codes) === this.coded) return;
    this.coded = JSON.stringify(codes);
    this.parts.code.replaceChildren(...codes.flatMap(({ of, which, code }) => [make("p", {}, `The code of ${of}${which}:`), make("pre", { tabindex: 0, "aria-label": `Python code of ${of}` }, code)]));
  }

  showLayers() {
    const { layers, pair } = this.records;
    this.layers.forEach(({ box, select }, i) => {
      const state = this.choice.states[i];
      fill(box, state, layers[i].name, layers[i].output, layers[i].parameters, WORDS[state]);
      const states = Object.entries(WORDS).map(([value, words]) => ({ value, words, off: !this.reached(i, value) }));
      offer(select, states.map((each) => (each.off ? { ...each, words: `${each.words} (not with ${this.choice.method})` } : each)), state);
      select.disabled = states.filter(({ off }) => !off).length === 1;
      select.title = this.whyFixed();
    });
    this.parts.why.textContent = this.whyFixed();
    const { head, classes } = pair[this.choice.pair];
    fill(this.head, "R", "head", String(classes), head, "new, trained");
  }

  series(run, live) {
    const { records, choice, pinned } = this;
    const found = [];
    const add = (run, ink) => found.push({ run, ink: { ...ink, told: `${run.test.length} seeds, learning rate ${run.rate}` } });
    if (run) add(run, { ...INK.now, name: pinned ? "B" : "this" });
    const a = pinned && records.of(pinned);
    if (a && pinned.pair === choice.pair) add(a, INK.pinned);
    for (const [states, ink] of [[SCRATCH, INK.scratch], [RANDOM, INK.random]]) {
      const base = records.plain(choice, states);
      if (base) add(base, ink);
    }
    if (live) {
      const point = { steps: live.steps, total: live.total, mean: live.accuracy, half: live.accuracy.map(() => 0) };
      found.push({ run: { ...point, test: live.test === null ? [] : [live.test] }, ink: { ...INK.live, told: `seed ${live.seed}, learning rate ${live.rate}` } });
    }
    return found;
  }

  showSentence(run) {
    const { records, choice } = this;
    const node = this.parts.sentence;
    if (!run) {
      const near = records.nearest(choice);
      const words = near ? `${near.labels} labels per class, ${records.describe(near)}` : "";
      node.replaceChildren(
        `There is no record of ${records.describe(choice)} with ${choice.labels} labels per class, so nothing is shown for it${this.hasKernel ? ", and it cannot be trained here, since no learning rate was chosen for it" : ""}. `,
        ...(near ? [make("button", { type: "button", onclick: () => this.go(near) }, `Show the nearest: ${words}`)] : []),
      );
      return;
    }
    const { mean: centre, half } = interval(run.test, records.quantile);
    node.replaceChildren(
      `With ${choice.labels} labels per class, ${records.describe(choice)}: ${points(centre)} ± ${percent(half)} of the ${records.pair[choice.pair].tested.toLocaleString("en")} test images right. `,
      this.against(run, choice),
    );
  }

  against(run, choice) {
    const base = this.records.plain(choice, SCRATCH);
    if (!base) return "Training from scratch was not recorded here.";
    if (base === run) return "This is training from scratch, the line that every transfer has to beat.";
    const { mean: gain, half } = difference(run.test, base.test, this.records.quantile);
    const words = gain - half > 0 ? "ahead of" : gain + half < 0 ? "behind" : `which ${run.test.length} seeds do not tell apart from`;
    return `That is ${signed(gain)} points [${signed(gain - half)}, ${signed(gain + half)}], ${words} training from scratch.`;
  }

  showFigures(series) {
    if (!series.length) return this.parts.figures.replaceChildren();
    const figure = (svg, title, words) => {
      svg.setAttribute("aria-label", words);
      return make("figure", {}, make("figcaption", {}, title), svg);
    };
    const tested = series.filter(({ run }) => run.test.length);
    const means = tested.map(({ run, ink }) => `${ink.name} ${percent(mean(run.test))}`).join(", ");
    const ends = series.map(({ run, ink }) => `${ink.name} ends at ${percent(run.mean.at(-1))}`).join(", ");
    this.parts.figures.replaceChildren(
      figure(curves(series), `While it trains: accuracy on ${this.validated(this.choice.labels)} validation images${this.besides()}`, `Curves of validation accuracy: ${ends}.`),
      figure(dots(tested, this.records.quantile), `In the end: accuracy on ${this.records.pair[this.choice.pair].tested.toLocaleString("en")} test images; mean, 95 % interval, seeds`, `Test accuracy: ${means}.`),
      make("p", { class: "tlx-legend" }, ...series.map(({ ink }) => legend(ink))),
    );
  }

  besides() {
    const { pinned, choice } = this;
    return pinned?.pair === choice.pair && pinned.labels !== choice.labels ? ` (A: ${this.validated(pinned.labels)})` : "";
  }

  // How many validation images there are: as many as training images.
  validated(labels) {
    return (labels * this.records.pair[this.choice.pair].classes).toLocaleString("en");
  }

  showFacts(run) {
    if (!run) {
      this.tried.textContent = "No run of this was recorded.";
      return this.parts.facts.replaceChildren();
    }
    const facts = [`${run.parameters.toLocaleString("en")} trained numbers`, `${run.seconds} s to train (median)`, `learning rate ${run.rate}${run.tried.length ? `, chosen with ${run.triedAt} labels per class` : ""}`, `${run.test.length} seeds`];
    this.parts.facts.textContent = facts.join(" · ");
    const isChosen = (rate, settings) => rate === run.rate && settings === run.setting;
    const cells = (name, texts) => texts.filter((text) => text !== null).map((text) => make(name, name === "th" ? { scope: "col" } : {}, text));
    const set = (text) => (run.setting ? text : null); // most methods have none to choose
    const rows = run.tried.map(([rate, settings, score]) => make("tr", {}, ...cells("td", [String(rate), set(settings), points(score), isChosen(rate, settings) ? "chosen" : ""])));
    const head = cells("th", ["learning rate", set("setting"), "validation accuracy, %", ""]);
    this.tried.replaceChildren(
      ...(rows.length
        ? [make("p", {}, this.howTried(run)), make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows))]
        : ["The rate is part of the recipe; none was chosen."]),
    );
  }

  howTried({ triedAt }) {
    const { labels } = this.choice;
    const other = triedAt === labels ? "" : ` It serves for ${labels} labels per class too, where nothing was tried.`;
    return `Tried with ${triedAt} labels per class. The accuracy in this table is on ${this.validated(triedAt)} validation images, the mean over five development seeds, which are none of those shown; the best is chosen, of equals the lowest rate, and no test image was looked at.${other} The accuracy in the figures is that of other seeds, with ${labels} labels per class.`;
  }

  showCompare(run) {
    this.unpin.hidden = !this.pinned;
    const { records, choice, pinned } = this;
    const other = pinned && records.of(pinned);
    if (!pinned || write(pinned) === write(choice)) return this.parts.compare.replaceChildren();
    const row = (name, each, its) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, records.whole(each)), make("td", {}, its ? percent(mean(its.test)) : "no record"));
    const table = make("table", {}, make("tbody", {}, row("A", pinned, other), row("B", choice, run)));
    this.parts.compare.replaceChildren(table, make("p", { class: "tlx-difference" }, this.compared(run, other)), ...this.gallery(run, other));
  }

  compared(run, other) {
    if (!run || !other) return "Without both records there is no difference to show.";
    if (this.pinned.pair !== this.choice.pair) return "A and B learn different tasks, so no difference is formed.";
    const { mean: gain, half } = difference(run.test, other.test, this.records.quantile);
    const words = Math.abs(gain) > half ? (gain > 0 ? "B is ahead." : "A is ahead.") : `${run.test.length} seeds do not tell them apart.`;
    return `B − A: ${signed(gain)} points, 95 % interval of the paired differences [${signed(gain - half)}, ${signed(gain + half)}]. ${words}`;
  }

  gallery(run, other) {
    const pair = this.records.pair[this.choice.pair];
    if (!run?.answers || !other?.answers || this.pinned.pair !== this.choice.pair) return [];
    if (!pair.picture) return [make("p", {}, "Test images that only one of them gets right are not shown: this page was built without them.")];
    const right = (answers, i) => answers[i] === pair.truth[i];
    const all = [...pair.truth].map((_, i) => i);
    const show = (title, yes, no) => {
      const which = all.filter((i) => right(yes, i) && !right(no, i));
      const tiles = which.slice(0, 12).map((i) => tile(pair, i, pair.names[no[i]]));
      return make("div", { class: "tlx-gallery" }, make("p", {}, `${title}: ${which.length} of ${all.length} test images (seed 0)`), make("div", {}, ...tiles));
    };
    return [show("Only A is right", other.answers, run.answers), show("Only B is right", run.answers, other.answers)];
  }

  showLive(run, live) {
    const waiting = this.asked !== null;
    const busy = (live.status === "loading" || live.status === "training") && !this.lost;
    this.train.disabled = busy || waiting || !run;
    this.stop.disabled = !busy || waiting;
    this.bar.value = live.steps.length ? live.steps.at(-1) / live.total : 0;
    const rates = [...new Set([...RATES, ...(run ? [run.rate] : [])])].sort((a, b) => a - b);
    const options = rates.map((rate) => (rate === run?.rate ? { value: "", words: `${rate} (recorded)` } : { value: rate, words: String(rate) }));
    offer(this.rate, options, Number(this.wanted) === run?.rate ? "" : this.wanted);
    const [words, status] = this.said(live, waiting);
    this.status.textContent = words;
    this.status.dataset.status = status;
  }

  said(live, waiting) {
    if (this.refusal) return [this.refusal, "error"];
    if (this.lost) return [this.lost, "error"];
    if (waiting) return ["Waiting for the kernel …", "loading"];
    const elsewhere = live.choice && write(live.choice) !== write(this.choice);
    return [live.message + (elsewhere ? ` This was: ${this.records.whole(live.choice)}.` : ""), live.status];
  }
}

function fill(box, state, name, output, parameters, words) {
  box.dataset.state = state;
  box.replaceChildren(
    make("strong", {}, name),
    make("span", {}, output),
    make("span", {}, `${parameters.toLocaleString("en")} weights`),
    make("em", {}, words),
  );
}

function legend(ink) {
  const line = draw("svg", { width: 34, height: 10, "aria-hidden": "true" });
  line.append(draw("line", { x1: 1, x2: 33, y1: 5, y2: 5, stroke: ink.colour, "stroke-dasharray": ink.dash, "stroke-width": 2.5 }));
  return make("span", {}, line, ` ${ink.name}: ${ink.told}`);
}

function tile(pair, i, said) {
  const truth = pair.names[pair.truth[i]];
  const place = `background-image: url(${pair.picture}); background-position: -${32 * (i % 10)}px -${32 * Math.floor(i / 10)}px`;
  const words = `${truth}, taken for ${said} by the other`;
  return make("figure", {}, make("span", { role: "img", "aria-label": words, title: words, style: place }), make("figcaption", {}, `${truth} → ${said}`));
}

function render({ model, el }) {
  new Explorer(model, el);
}

export default { render };
