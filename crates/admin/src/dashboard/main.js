// The page: who it is, how it is, and whether that is still so.

import { showCharts } from "./charts.js";
import { listenToConflicts, offerNamespaces } from "./conflicts.js";
import { Feed } from "./feed.js";
import { showMap } from "./map.js";
import { showSyncs } from "./ranges.js";
import { ago, byId, bytes, clock, count, el, plural, render, short, span, table } from "./show.js";

const AGREEMENT = { yes: ["All agree", "good"], no: ["Differ", "warn"], unknown: ["Not known", "wait"] };
const DAY = 86400e3;

let state;
let counting;

function link(text, tone) {
  const pill = byId("link");
  if (pill.textContent !== text) pill.textContent = text;
  pill.dataset.tone = tone;
  document.body.dataset.link = tone === "bad" ? "lost" : "live";
}

function live() {
  clearInterval(counting);
  link("Live", "good");
  byId("lost").hidden = true;
}

function lost(error, retryAt) {
  clearInterval(counting);
  link("Disconnected", "bad");
  const banner = byId("lost");
  const since = state ? `What is shown is from ${clock(state.at)}.` : "Nothing is known yet.";
  const tell = () => {
    const left = Math.max(0, Math.ceil((retryAt - Date.now()) / 1e3));
    banner.textContent = `The node does not answer. ${since} Trying again ${left > 0 ? `in ${left} s` : "now"}.`;
  };
  tell();
  banner.hidden = false;
  banner.title = error.message;
  counting = setInterval(tell, 1000);
}

function told(news) {
  state = { ...news, at: Date.now() };
  show();
  offerNamespaces(state);
}

function show() {
  if (!state) return;
  const { status } = state;
  document.title = `${status.agreement === "no" ? "≠ " : ""}${status.warnings.length > 0 ? `(${status.warnings.length}) ` : ""}Syncline ${short(status.node)}`;
  render(byId("who"), el("span", { class: "mono", title: status.node }, short(status.node)), ` of cluster ${short(status.cluster)}${status.listen ? ` at ${status.listen}` : ""}`);
  byId("foot").textContent = `syncline ${status.version}, up ${span(status.uptime_seconds)}, data in ${status.data}`;
  byId("warnings").hidden = status.warnings.length === 0;
  render(byId("warnings"), status.warnings.map((warning) => el("p", { class: "banner", "data-tone": "warn" }, warning)));
  showTiles(state);
  showMap(state);
  showAgreement(state);
  showCharts(state);
  showSyncs(state);
  showNamespaces(state);
}

function showTiles({ status, topology, convergence, samples }) {
  const [agreement, tone] = AGREEMENT[status.agreement] ?? AGREEMENT.unknown;
  const there = topology.peers.filter(({ state }) => state !== "left");
  const down = there.filter(({ state }) => state !== "alive");
  const [last, before] = [samples.at(-1), samples.at(-6) ?? samples[0]];
  const rate = (of) => {
    const seconds = last && before ? (last.at_ms - before.at_ms) / 1e3 : 0;
    return seconds > 0 ? Math.max(0, of(last) - of(before)) / seconds : null;
  };
  const days = Math.floor((status.trust.expires_ms - Date.now()) / DAY);
  const gaps = convergence.namespaces.flatMap(({ peers }) => peers).filter(({ up }) => up);
  const longest = Math.max(0, ...gaps.flatMap(({ behind, ahead }) => [behind.seconds ?? 0, ahead.seconds ?? 0]));
  const { space } = status;
  const tile = (name, big, small, tone) => el("dl", { class: "tile" }, el("dt", {}, name), el("dd", { class: "big", "data-tone": tone }, big), el("dd", { class: "small", title: small }, small));
  render(byId("tiles"),
    tile("Agreement", agreement, plural(convergence.namespaces.length, "namespace"), tone),
    tile("Members up", `${there.length - down.length + 1} of ${there.length + 1}`, down.length === 0 ? "this node included" : down.map(({ node, address, state }) => `${short(node ?? address)} ${state}`).join(", "), down.length === 0 ? null : "warn"),
    tile("Lag", last ? count(Math.max(last.behind, last.ahead)) : "–", longest > 0 ? `mutations, for ${span(longest)}` : "mutations", longest > 60 ? "warn" : null),
    tile("Writes", rate((it) => it.transactions) === null ? "–" : `${count(rate((it) => it.transactions))} /s`, `${rate((it) => it.arrivals) === null ? "–" : count(rate((it) => it.arrivals))} /s from peers`, status.read_only ? "bad" : null),
    tile("Disk", space ? bytes(space.free) : "In memory", space ? (space.state === "plenty" ? "free" : `free: ${space.state}`) : "nothing lies on disk", space && space.state !== "plenty" ? "warn" : null),
    tile("Certificate", days >= 0 ? plural(days, "day") : "ended", status.trust.renewal_error ?? (status.trust.expires_soon ? "ends soon" : "renews by itself"), status.trust.expires_soon || status.trust.renewal_error ? "warn" : null));
}

function showAgreement({ convergence, topology }) {
  const { namespaces } = convergence;
  const peers = [...new Set(namespaces.flatMap(({ peers }) => peers.map(({ node }) => node)))].sort();
  if (peers.length === 0) return render(byId("agreement"), el("p", { class: "empty" }, "Nobody else carries what this node does."));
  const known = new Map(topology.peers.map((peer) => [peer.node, peer]));
  const rows = peers.map((peer) => [
    el("span", {}, el("span", { class: "mono" }, short(peer)), el("span", { class: "under" }, known.get(peer)?.zone || known.get(peer)?.address || "")),
    ...namespaces.map((namespace) => standing(namespace.peers.find(({ node }) => node === peer))),
  ]);
  render(byId("agreement"), table([{ name: "Peer" }, ...namespaces.map(({ name }) => ({ name }))], rows));
}

function standing(peer) {
  if (!peer) return el("span", { class: "under" }, "–");
  const pill = (text, tone) => el("span", { class: "pill", "data-tone": tone }, text);
  const under = peer.agreed_ms ? `agreed ${ago(peer.agreed_ms)}` : peer.heard_ms ? `heard ${ago(peer.heard_ms)}` : "not heard yet";
  const gap = (gap, word) => (gap.dots > 0 ? `${count(gap.dots)} ${word}` : null);
  const lacks = [gap(peer.behind, "behind"), gap(peer.ahead, "ahead")].filter(Boolean).join(", ");
  const label = !peer.up ? pill("gone", "bad")
    : peer.agreement === "yes" ? pill("✓ agrees", "good")
    : peer.agreement === "no" ? pill(lacks || "≠ differs", "warn")
    : pill("not known", "wait");
  return el("span", {}, label, el("span", { class: "under" }, under));
}

function showNamespaces({ status }) {
  if (status.namespaces.length === 0) return render(byId("namespaces"), el("p", { class: "empty" }, "The node carries none yet: syncline node --namespace NAME."));
  const columns = [{ name: "Name" }, ...["Keys", "Rows", "Size", "Carriers", "Unstable", "Writers", "Intervals"].map((name) => ({ name, number: true })), { name: "Root" }];
  render(byId("namespaces"), table(columns, status.namespaces.map((it) => it.error ? [it.name, "–", "–", "–", "–", "–", "–", "–", it.error] : [
    it.name, count(it.keys), count(it.rows), bytes(it.bytes), count(it.carriers.counted), count(it.carriers.unstable_dots),
    count(it.context.writers), count(it.context.intervals), el("span", { class: "mono", title: it.root }, short(it.root.split(":").at(-1))),
  ])));
}

listenToConflicts();
document.addEventListener("again", show);
let settling;
window.addEventListener("resize", () => {
  clearTimeout(settling);
  settling = setTimeout(show, 100);
});
new Feed({ told, live, lost }).start();
