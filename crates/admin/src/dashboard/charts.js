// Lines over the last half an hour.

import { byId, bytes, clock, count, digits, el, render, span, svg } from "./show.js";

const HEIGHT = 132;
const EDGE = { left: 54, right: 6, top: 8, bottom: 20 };
/// Samples further apart are not joined by a line: the node was not there in between.
const GAP = 8000;
const SHOWN = 30 * 60e3;
const LEAST = 20e3;

/// Rates between neighbouring samples. Where a count fell, the node was started anew.
function rates(samples, of) {
  return samples.slice(1).map((sample, index) => {
    const before = samples[index];
    const grown = of(sample) - of(before);
    const seconds = (sample.at_ms - before.at_ms) / 1e3;
    return { at: sample.at_ms, value: grown < 0 || seconds <= 0 ? null : grown / seconds };
  });
}

const values = (samples, of) => samples.map((sample) => ({ at: sample.at_ms, value: of(sample) }));

/// The time within which so much of the transactions between two samples were answered: the bound of the bucket.
function quantiles(samples, share) {
  return samples.slice(1).map((sample, index) => {
    const before = samples[index].transaction_ms;
    const grown = sample.transaction_ms.map(([bound, counted], bucket) => [bound, counted - (before[bucket]?.[1] ?? 0)]);
    const all = grown.reduce((sum, [, counted]) => sum + counted, 0);
    let seen = 0;
    for (const [bound, counted] of grown) {
      seen += counted;
      if (all > 0 && seen >= all * share) return { at: sample.at_ms, value: bound ?? 10000 };
    }
    return { at: sample.at_ms, value: null };
  });
}

export function showCharts({ samples }) {
  chart("lag", [
    { name: "others lack of ours", points: values(samples, (it) => it.behind) },
    { name: "we lack of others", points: values(samples, (it) => it.ahead) },
  ], count, Math.max);
  chart("throughput", [
    { name: "writes", points: rates(samples, (it) => it.transactions) },
    { name: "from peers", points: rates(samples, (it) => it.arrivals) },
    { name: "reads", points: rates(samples, (it) => it.reads) },
  ], count);
  chart("latency", [
    { name: "half within", points: quantiles(samples, 0.5) },
    { name: "99 % within", points: quantiles(samples, 0.99) },
  ], digits, Math.max);
  chart("traffic", [
    { name: "sent", points: rates(samples, (it) => it.bytes_sent) },
    { name: "received", points: rates(samples, (it) => it.bytes_received) },
  ], bytes);
}

/// The least of 1, 2, 5, 10, … that is not less; for bytes, of powers of two.
function ceiling(most, inBytes) {
  if (most <= 0) return 1;
  if (inBytes) return 2 ** Math.ceil(Math.log2(Math.max(most, 64)));
  const size = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * size).find((step) => step >= most * 0.999);
}

const mean = (...all) => all.reduce((sum, one) => sum + one, 0) / all.length;

/// No more points than there is room for. Bounds lie at fixed times, so that a line does not tremble as it moves on.
function thinned(points, step, gather) {
  const bins = new Map();
  for (const { at, value } of points) {
    const bin = Math.floor(at / step);
    if (!bins.has(bin)) bins.set(bin, []);
    bins.get(bin).push({ at, value });
  }
  return [...bins.values()].map((bin) => {
    const known = bin.map(({ value }) => value).filter((value) => value !== null);
    return { at: bin.at(-1).at, value: known.length === 0 ? null : gather(...known) };
  });
}

function chart(id, told, write, gather = mean) {
  const place = byId(id);
  const width = Math.max(200, place.clientWidth);
  const inner = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const times = told.flatMap(({ points }) => points.map(({ at }) => at));
  const last = times.reduce((a, b) => Math.max(a, b), 0) || Date.now();
  const first = Math.max(times.reduce((a, b) => Math.min(a, b), last - LEAST), last - SHOWN);
  const step = Math.max(1, Math.ceil((last - first) / 2000 / (inner.width / 2.5))) * 2000;
  const series = told.map(({ name, points }) => ({ name, points: thinned(points.filter(({ at }) => at >= first), step, gather) }));
  const known = series.flatMap(({ points }) => points).filter(({ value }) => value !== null);
  const top = ceiling(Math.max(...known.map(({ value }) => value), 0), write === bytes);
  const x = (at) => EDGE.left + ((at - first) / (last - first)) * inner.width;
  const y = (value) => EDGE.top + (1 - value / top) * inner.height;
  const rules = [0, 0.5, 1].map((share) => [
    svg("line", { class: "rule", x1: EDGE.left, x2: width - EDGE.right, y1: y(top * share), y2: y(top * share) }),
    svg("text", { class: "tick", x: EDGE.left - 8, y: y(top * share) + 4, "text-anchor": "end" }, write(top * share)),
  ]);
  const past = span(Math.round((last - first) / 1e3));
  const ends = [
    svg("text", { class: "tick", x: EDGE.left, y: HEIGHT - 4 }, `${past} ago`),
    svg("text", { class: "tick", x: width - EDGE.right, y: HEIGHT - 4, "text-anchor": "end" }, "now"),
  ];
  const lines = series.map(({ points }, index) => {
    const runs = joined(points, GAP + step);
    const line = (run) => run.map(({ at, value }) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
    const area = (run) => `M${x(run[0].at).toFixed(1)} ${y(0)}L${line(run)}L${x(run.at(-1).at).toFixed(1)} ${y(0)}Z`;
    return svg("g", { class: `series-${index}` },
      index === 0 && runs.length > 0 ? svg("path", { class: "area", d: runs.map(area).join("") }) : null,
      svg("path", { class: "line", d: runs.map((run) => `M${line(run)}${run.length === 1 ? "h.1" : ""}`).join("") }));
  });
  const cursor = svg("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
  const legend = el("ul", { class: "keys" });
  const tell = (at) => {
    const keys = series.map(({ name, points }, index) => {
      const value = at === undefined ? points.at(-1)?.value : nearest(points, at);
      return el("li", { class: `series-${index}` }, el("i"), `${name} `, el("b", {}, value === null || value === undefined ? "–" : write(value)));
    });
    legend.replaceChildren(...keys, ...(at === undefined ? [] : [el("li", {}, clock(at))]));
  };
  tell();
  const peaks = series.map(({ name, points }) => `${name} ${write(Math.max(0, ...points.map(({ value }) => value ?? 0)))}`);
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: "img", "aria-label": `Over ${past}, at most: ${peaks.join(", ")}`,
    onpointermove: (event) => {
      const share = (event.offsetX - EDGE.left) / inner.width;
      if (share < 0 || share > 1) return;
      const at = first + share * (last - first);
      for (const end of ["x1", "x2"]) cursor.setAttribute(end, x(at));
      cursor.setAttribute("visibility", "visible");
      tell(at);
    },
    onpointerleave: () => { cursor.setAttribute("visibility", "hidden"); tell(); },
  }, rules, ends, lines, cursor);
  // While somebody points at it, it stands still.
  if (!place.matches(":hover") || place.childElementCount === 0) render(place, picture, legend);
}

/// What belongs to one line.
function joined(points, gap) {
  const runs = [];
  let before;
  for (const point of points) {
    if (point.value !== null) {
      if (before && point.at - before.at <= gap) runs.at(-1).push(point);
      else runs.push([point]);
    }
    before = point.value === null ? undefined : point;
  }
  return runs;
}

function nearest(points, at) {
  let best = null;
  for (const point of points) {
    if (best === null || Math.abs(point.at - at) < Math.abs(best.at - at)) best = point;
  }
  return best?.value;
}
