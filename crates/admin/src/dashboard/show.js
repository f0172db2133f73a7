// Making elements, and writing numbers. Nothing here, or anywhere on this page, makes markup of text: what comes from data goes in as text.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

function make(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

export const el = (tag, attributes, ...children) => make(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => make(document.createElementNS(SVG, tag), attributes, children);

/// Puts children into a place, and the focus back on whatever had it there before.
export function render(place, ...children) {
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset?.key : undefined;
  place.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (focused === undefined) return;
  for (const candidate of place.querySelectorAll("[data-key]")) {
    if (candidate.dataset.key === focused) return candidate.focus({ preventScroll: true });
  }
}

export const short = (id) => (id ?? "").slice(0, 12);
export const tiny = (id) => (id ?? "").slice(0, 8);

export function count(number) {
  if (number === null || number === undefined) return "?";
  const abs = Math.abs(number);
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (abs >= size) return `${digits(number / (size === 1e4 ? 1e3 : size))} ${unit}`;
  }
  if (abs >= 1000) return Math.round(number).toLocaleString("en").replaceAll(",", "\u202f");
  return digits(number);
}

export function digits(number) {
  const abs = Math.abs(number);
  if (Number.isInteger(number) || abs >= 100) return String(Math.round(number));
  return number.toFixed(abs >= 10 ? 1 : 2).replace(/\.?0+$/, "");
}

export function bytes(number) {
  if (number === null || number === undefined) return "?";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) { number /= 1024; unit += 1; }
  return `${digits(number)} ${units[unit]}`;
}

export function span(seconds) {
  if (seconds < 1e-3) return `${digits(seconds * 1e6)} µs`;
  if (seconds < 1) return `${digits(seconds * 1e3)} ms`;
  if (seconds < 120) return `${digits(Math.floor(seconds * 10) / 10)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

export const ago = (ms) => {
  const passed = Math.max(0, Date.now() - ms) / 1e3;
  return passed < 2 ? "just now" : `${span(Math.floor(passed))} ago`;
};

export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function table(columns, rows) {
  const cell = (tag) => (value, index) => el(tag, { class: columns[index].number ? "number" : null, scope: tag === "th" ? "col" : null }, value);
  return el("table", {},
    el("thead", {}, el("tr", {}, columns.map((column) => column.name).map(cell("th")))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell("td"))))));
}
