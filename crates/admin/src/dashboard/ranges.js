// Syncs, and where in the key range they exchanged rows.

import { get } from "./feed.js";
import { ago, byId, bytes, count, digits, el, plural, render, short, span, svg } from "./show.js";

/// Sessions that are listed.
const LISTED = 8;
const TONES = { running: "wait", agreed: "good", differed: "warn", failed: "bad" };

let chosen;
let resting;

export function showSyncs({ sessions, status }) {
  const listed = sessions.slice(0, LISTED);
  const shown = listed.find((it) => name(it) === chosen) ?? listed.find((it) => it.parts.length > 0);
  if (shown) render(byId("range"), picture(shown));
  else rest(status);
  render(byId("syncs"), listed.length === 0
    ? el("p", { class: "empty" }, "No session has exchanged anything lately. Those that find nothing to do are not listed.")
    : listed.map((it) => row(it, it === shown)));
}

const name = (session) => `${session.began_ms} ${session.peer} ${session.namespace}`;

function picture(session) {
  const { parts } = session;
  if (parts.length === 0) return el("p", { class: "empty" }, session.state === "failed" ? "It failed before a row was exchanged." : "No rows were exchanged.");
  const differing = parts.filter((part) => part.sent + part.received > 0).length;
  const what = `${session.namespace} with ${short(session.peer)}: rows moved in ${differing} of ${plural(parts.length, "part")} of the key range`;
  return el("div", {}, el("p", { class: "what" }, what), strip(parts, what, 44), ends(parts));
}

function ends(parts) {
  return el("div", { class: "ends" }, el("span", { class: "mono" }, parts[0].key || "first key"), el("span", { class: "mono" }, `from ${parts.at(-1).key || "first key"} on`));
}

/// A column for each part, as wide as it has rows. What was sent grows from the top, what was received from the bottom.
function strip(parts, label, height) {
  const width = 1000;
  const rows = parts.reduce((sum, part) => sum + Math.max(1, part.rows), 0);
  const gap = Math.min(2.5, width / parts.length / 4);
  let left = 0;
  const columns = parts.map((part) => {
    const wide = (Math.max(1, part.rows) / rows) * width;
    const x = left;
    left += wide;
    const share = (moved) => (moved === 0 ? 0 : 0.22 + 0.28 * Math.min(1, moved / Math.max(1, part.rows)));
    const [sent, received] = [share(part.sent ?? 0) * height, share(part.received ?? 0) * height];
    const box = { x, width: Math.max(1, wide - gap) };
    const told = `from ${part.key || "the first key"}: ${plural(part.rows, "row")}, ${count(part.sent ?? 0)} sent, ${count(part.received ?? 0)} received`;
    return svg("g", {}, svg("title", {}, told),
      svg("rect", { ...box, class: "cell", y: 0, height }),
      sent > 0 ? svg("rect", { ...box, class: "sent", y: 0, height: sent }) : null,
      received > 0 ? svg("rect", { ...box, class: "received", y: height - received, height: received }) : null);
  });
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, height, preserveAspectRatio: "none", role: "img", "aria-label": label }, columns);
}

/// Nothing has been exchanged: the parts as they are, asked for now and then.
function rest(status) {
  const namespace = status.namespaces.find((it) => it.rows > 0)?.name;
  if (namespace === undefined) return render(byId("range"));
  if (resting?.namespace === namespace && Date.now() - resting.at < 30e3) return;
  resting = { namespace, at: Date.now() };
  get(`/v1/ranges?namespace=${encodeURIComponent(namespace)}`).then(({ parts }) => {
    if (parts.length === 0) return;
    const what = `${namespace}: ${plural(parts.length, "part")} of the key range, nothing moves`;
    render(byId("range"), el("div", {}, el("p", { class: "what" }, what), strip(parts, what, 44), ends(parts)));
  }).catch(() => { resting = undefined; });
}

function row(session, isShown) {
  const { cost, state } = session;
  const told = [session.began_here ? "begun here" : "begun there"];
  if (state === "running") told.push(`for ${span(session.seconds)}`);
  else told.push(ago(session.began_ms + session.seconds * 1e3), `took ${span(session.seconds)}`);
  if (cost) {
    told.push(`${plural(cost.rows_sent, "row")} sent, ${count(cost.rows_received)} received`);
    told.push(bytes(cost.bytes_sent + cost.bytes_received), plural(Number(digits(cost.round_trips)), "round trip"));
  }
  if (session.error) told.push(session.error);
  return el("button", {
    class: "sync", type: "button", "data-key": name(session), "aria-pressed": String(isShown),
    onclick: (event) => { chosen = name(session); event.currentTarget.dispatchEvent(new CustomEvent("again", { bubbles: true })); },
  },
  el("span", {}, `${session.namespace} `, el("span", { class: "mono" }, short(session.peer))),
  el("span", { class: "pill", "data-tone": TONES[state] ?? "wait" }, state),
  el("span", { class: "under" }, told.join(" · ")));
}
