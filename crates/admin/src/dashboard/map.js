// The cluster: this node in the middle, the others around it.

import { byId, render, short, span, svg, tiny } from "./show.js";

/// Others that are drawn; those that answer first.
const DRAWN = 48;
/// Up to so many have their names beside them.
const NAMED = 16;
const TONES = { alive: "good", suspect: "warn", down: "bad", left: "wait", unknown: "wait" };

let picked;

export function showMap({ status, topology, convergence }) {
  const place = byId("map");
  const width = Math.max(280, place.clientWidth);
  const ranked = [...topology.peers].sort((a, b) => rank(a) - rank(b) || key(a).localeCompare(key(b)));
  const peers = ranked.slice(0, DRAWN).sort((a, b) => key(a).localeCompare(key(b)));
  const isNarrow = width < 520;
  const isNamed = peers.length <= NAMED;
  const height = peers.length === 0 ? 130 : isNarrow ? 360 : 340;
  const centre = { x: width / 2, y: height / 2 - (peers.length === 0 ? 12 : 0) };
  // Names stand outside of the ring.
  const reach = { x: Math.max(90, width / 2 - (isNarrow ? 62 : 110)), y: height / 2 - (isNamed ? 58 : 22) };
  const branches = new Map();
  for (const { namespace, to } of topology.branches) branches.set(to, [...(branches.get(to) ?? []), namespace]);
  const at = new Map(peers.map((peer, index) => {
    // Two lie to the left and to the right, four in the corners; of others the first is on top.
    const first = peers.length === 2 ? 0 : peers.length % 2 === 0 ? Math.PI / peers.length - Math.PI / 2 : -Math.PI / 2;
    const turn = first + (index / peers.length) * 2 * Math.PI;
    return [peer, { x: centre.x + reach.x * Math.cos(turn), y: centre.y + reach.y * Math.sin(turn) }];
  }));
  const ways = peers.flatMap((peer) => way(peer, centre, at.get(peer), branches.get(peer.node), isNamed && !isNarrow));
  const bodies = peers.map((peer) => body(peer, at.get(peer), centre, { isNamed, isNarrow }, place));
  const own = svg("g", { class: "own", transform: `translate(${centre.x} ${centre.y})`, "data-tone": "good" },
    svg("circle", { class: "body", r: 17 }), svg("circle", { class: "core", r: 5 }),
    labels(tiny(status.node), "this node", 35));
  const up = topology.peers.filter((peer) => peer.state === "alive").length;
  const summary = `This node and ${topology.peers.length} others, ${up} of them alive`;
  // An odd number leaves room below.
  const heights = [centre, ...at.values()].map(({ y }) => y);
  const [upper, lower] = [Math.min(...heights) - (isNamed && peers.length > 0 ? 56 : 24), Math.max(...heights) + (isNamed ? 54 : 24)];
  render(place, svg("svg", { viewBox: `0 ${upper} ${width} ${lower - upper}`, height: lower - upper, role: "group", "aria-label": summary }, ways, own, bodies));
  const rest = topology.peers.length - peers.length;
  const chosen = topology.peers.find((peer) => key(peer) === picked);
  byId("picked").textContent = chosen ? described(chosen, branches.get(chosen.node), convergence)
    : rest > 0 ? `${rest} more members are not drawn. Solid lines are the branches from this node alone.`
    : topology.peers.length === 0 ? "It knows of no other node yet. To add one: syncline cluster invite."
    : "Solid lines are the branches from this node; each node knows its own. Choose a node for more.";
}

const rank = (peer) => (peer.state === "alive" ? 0 : peer.state === "left" ? 2 : 1);
const key = (peer) => peer.node ?? peer.address;

function way(peer, from, to, namespaces, isTimed) {
  const lines = [svg("line", { class: "way", x1: from.x, y1: from.y, x2: to.x, y2: to.y })];
  if (namespaces) {
    const length = Math.hypot(to.x - from.x, to.y - from.y);
    const along = (distance) => ({ x: from.x + ((to.x - from.x) * distance) / length, y: from.y + ((to.y - from.y) * distance) / length });
    const [start, end] = [along(18), along(length - 24)];
    const turn = (Math.atan2(to.y - from.y, to.x - from.x) * 180) / Math.PI;
    lines.push(svg("path", { class: "branch", d: `M${start.x} ${start.y}L${end.x} ${end.y}` },
      svg("title", {}, `rumours of ${namespaces.join(", ")}`)));
    lines.push(svg("path", { class: "tip", d: "M-2-5.5L8 0L-2 5.5Z", transform: `translate(${end.x} ${end.y}) rotate(${turn})` }));
  }
  if (peer.round_trip_ms !== null && isTimed) {
    const middle = { x: from.x + (to.x - from.x) * 0.58, y: from.y + (to.y - from.y) * 0.58 };
    lines.push(svg("text", { class: "trip", x: middle.x, y: middle.y + 4, "text-anchor": "middle" }, span(peer.round_trip_ms / 1e3)));
  }
  return lines;
}

function body(peer, at, centre, { isNamed, isNarrow }, place) {
  const pick = () => {
    picked = picked === key(peer) ? undefined : key(peer);
    place.dispatchEvent(new CustomEvent("again", { bubbles: true }));
  };
  const label = `${short(key(peer))}, ${peer.state}${peer.zone ? `, ${peer.zone}` : ""}`;
  const group = svg("g", {
    transform: `translate(${at.x} ${at.y})`, "data-tone": TONES[peer.state] ?? "wait", "data-state": peer.state, "data-key": key(peer),
    tabindex: 0, role: "button", "aria-label": label, "aria-pressed": String(picked === key(peer)),
    onclick: pick,
    onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(); } },
  }, svg("title", {}, label), svg("circle", { class: "body", r: 14 }), svg("circle", { class: "core", r: 4.5 }));
  if (isNamed) {
    const told = [peer.state === "alive" ? null : peer.state, peer.zone || (peer.state === "alive" ? peer.address : null)];
    if (isNarrow && peer.round_trip_ms !== null) told.push(span(peer.round_trip_ms / 1e3));
    const isAbove = at.y < centre.y - 20;
    group.append(...labels(tiny(key(peer)), told.filter(Boolean).join(" · "), isAbove ? -39 : 31));
  }
  return group;
}

const labels = (name, below, y) => [
  svg("text", { class: "name mono", y, "text-anchor": "middle" }, name),
  svg("text", { class: "place", y: y + 15, "text-anchor": "middle" }, below),
];

function described(peer, branches, convergence) {
  const told = [`${short(key(peer))} at ${peer.address} is ${peer.state}`];
  if (peer.zone) told.push(`zone ${peer.zone}`);
  if (peer.version) told.push(`version ${peer.version}`);
  if (peer.round_trip_ms !== null) told.push(`round trip ${span(peer.round_trip_ms / 1e3)}`);
  if (peer.namespaces.length > 0) told.push(`carries ${peer.namespaces.join(", ")}`);
  if (branches) told.push(`gets rumours of ${branches.join(", ")} from here`);
  const differing = convergence.namespaces.filter(({ peers }) => peers.some((it) => it.node === peer.node && it.agreement === "no"));
  if (differing.length > 0) told.push(`differs in ${differing.map(({ name }) => name).join(", ")}`);
  return told.join("; ");
}
