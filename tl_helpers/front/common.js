// What the widgets share: making elements and axes. Each widget's module is this file with its own behind it.

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

// Round places for the marks of an axis, at most six.
function ticks(low, high) {
  const power = 10 ** Math.floor(Math.log10(high - low) - 1);
  const step = [2, 5, 10, 20, 50].map((each) => each * power).find((each) => (high - low) / each <= 6);
  const count = Math.floor((high + 1e-9) / step) - Math.ceil((low - 1e-9) / step) + 1;
  return Array.from({ length: count }, (_, i) => (Math.ceil((low - 1e-9) / step) + i) * step);
}
