// Movable: a figure of lines or bars whose controls pick one of the frames that were computed beforehand.
// It stands behind common.js in one module.

const PLACE = { wide: 340, high: 220, left: 64, right: 334, top: 10, bottom: 178 };
const INKS = ["var(--tlx-now)", "var(--tlx-scratch)", "var(--tlx-random)", "var(--tlx-pinned)"];
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];

// A value of a control as it is read: 0.30000000000000004 is 0.3.
const plain = (value) => (typeof value === "number" ? String(Number(value.toPrecision(10))) : value);
const short = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));

class Movable {
  constructor(model, el) {
    Object.assign(this, model.get("content"));
    this.places = Object.fromEntries(this.controls.map(({ name, start }) => [name, start]));
    this.figure = make("div", { class: "tlx-figures" });
    this.told = make("p", { "aria-live": "polite" });
    const root = make(
      "section",
      { class: "tlx tlx-movable", "aria-label": this.title },
      make("p", { class: "tlx-sentence" }, this.title),
      make("div", { class: "tlx-controls" }, ...this.controls.map((control) => this.control(control))),
      this.figure,
      this.told,
    );
    keepKeys(root);
    el.replaceChildren(root);
    this.update();
  }

  // Numbers get a slider, words and yes-or-no a list.
  control({ name, values, start }) {
    const take = (place) => {
      this.places[name] = Number(place);
      this.update();
    };
    if (typeof values[0] !== "number") {
      const select = make("select", { onchange: () => take(select.value) }, ...values.map((word, i) => make("option", { value: i }, String(word))));
      select.value = start;
      return make("label", {}, `${name} `, select);
    }
    const output = make("output", {}, plain(values[start]));
    const slider = make("input", { type: "range", min: 0, max: values.length - 1, step: 1, value: start, "aria-valuetext": plain(values[start]) });
    slider.addEventListener("input", () => {
      output.textContent = plain(values[slider.value]);
      slider.setAttribute("aria-valuetext", output.textContent);
      take(slider.value);
    });
    return make("label", {}, `${name} `, slider, output);
  }

  update() {
    const frame = this.frames[this.controls.map(({ name }) => this.places[name]).join("|")];
    if (typeof frame === "string") {
      this.figure.replaceChildren();
      this.told.textContent = frame;
      return;
    }
    const svg = this.kind === "lines" ? this.lines(frame.values) : this.bars(frame.values);
    svg.setAttribute("aria-label", this.series.map((name, i) => `${name}: ${frame.values[i].map(short).join(", ")}`).join("; "));
    const keys = this.series.map((name, i) => make("span", {}, this.key(i), ` ${name}`));
    this.figure.replaceChildren(make("figure", {}, svg), ...(keys.length > 1 ? [make("p", { class: "tlx-legend" }, ...keys)] : []));
    this.told.textContent = frame.told;
  }

  key(i) {
    const svg = draw("svg", { width: 26, height: 12, "aria-hidden": "true" });
    if (this.kind === "lines") svg.append(draw("line", { x1: 1, x2: 25, y1: 6, y2: 6, stroke: INKS[i], "stroke-dasharray": DASHES[i], "stroke-width": 2.5 }));
    else svg.append(draw("rect", { x: 2, y: 1, width: 20, height: 10, ...this.look(i) }));
    return svg;
  }

  look(i) {
    return { fill: INKS[i], "fill-opacity": i ? 0.15 : 0.85, stroke: INKS[i], "stroke-dasharray": DASHES[i], "stroke-width": 1.6 };
  }

  frame(low, high) {
    const { wide, high: tall, left, right, top, bottom } = PLACE;
    const svg = draw("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img" });
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
    for (const tick of ticks(low, high)) {
      svg.append(draw("line", { x1: left, x2: right, y1: y(tick), y2: y(tick), class: "tlx-grid" }));
      svg.append(draw("text", { x: left - 5, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
    }
    svg.append(draw("text", { x: (left + right) / 2, y: tall - 6, "text-anchor": "middle" }, this.xlabel));
    svg.append(draw("text", { x: 12, y: (top + bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(top + bottom) / 2})` }, this.ylabel));
    return [svg, y];
  }

  lines(values) {
    const { left, right, bottom } = PLACE;
    const [svg, y] = this.frame(...this.limits);
    const [first, last] = [this.x[0], this.x.at(-1)];
    const x = (value) => left + ((value - first) / (last - first)) * (right - left);
    for (const tick of ticks(first, last)) svg.append(draw("text", { x: x(tick), y: bottom + 16, "text-anchor": "middle" }, short(tick)));
    const inside = (value) => Math.min(Math.max(value, this.limits[0]), this.limits[1]);
    values.forEach((line, i) => {
      const points = line.map((value, k) => `${x(this.x[k])},${y(inside(value))}`).join(" ");
      svg.append(draw("polyline", { points, stroke: INKS[i], "stroke-dasharray": DASHES[i], class: "tlx-line", "data-values": line.join(" ") }));
    });
    return svg;
  }

  bars(values) {
    const { left, right, bottom } = PLACE;
    const [svg, y] = this.frame(...this.limits);
    const slot = (right - left) / this.x.length;
    const width = (0.8 * slot) / values.length;
    this.x.forEach((name, k) => {
      svg.append(draw("text", { x: left + slot * (k + 0.5), y: bottom + 16, "text-anchor": "middle" }, name));
      values.forEach((bars, i) => {
        const height = bottom - y(Math.min(bars[k], this.limits[1]));
        const place = { x: left + slot * (k + 0.1) + i * width, y: bottom - height, width: width - 2, height };
        svg.append(draw("rect", { ...place, ...this.look(i), "data-value": bars[k] }));
      });
    });
    return svg;
  }
}

function render({ model, el }) {
  new Movable(model, el);
}

export default { render };
