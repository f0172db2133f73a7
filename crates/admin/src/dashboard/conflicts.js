// What concurrency decided, and what lost: looked for when somebody asks, since it reads the rows.

import { get } from "./feed.js";
import { byId, bytes, el, render } from "./show.js";

const PAGE = 20;
/// Answers without a conflict after which somebody has to ask again: each has read many rows.
const EMPTY_PAGES = 5;

let asked = 0;

export function offerNamespaces({ status }) {
  const select = byId("conflicts-namespace");
  const names = status.namespaces.map(({ name }) => name);
  if ([...select.options].map(({ value }) => value).join("\n") === names.join("\n")) return;
  const before = select.value;
  select.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  if (names.includes(before)) select.value = before;
  if (asked === 0 && names.length > 0) look();
}

export function listenToConflicts() {
  byId("ask-conflicts").addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  byId("conflicts-namespace").addEventListener("change", look);
}

async function look() {
  asked += 1;
  const [mine, namespace, prefix] = [asked, byId("conflicts-namespace").value, byId("conflicts-prefix").value];
  const place = byId("conflicts");
  if (!namespace) return;
  const found = [];
  const more = async (after) => {
    let pages = 0;
    do {
      const query = new URLSearchParams({ namespace, prefix, limit: PAGE, ...(after ? { after } : {}) });
      let answer;
      try {
        answer = await get(`/v1/conflicts?${query}`);
      } catch (error) {
        if (mine === asked) render(place, el("p", { class: "empty" }, `Not known: ${error.message}`));
        return;
      }
      if (mine !== asked) return;
      found.push(...answer.conflicts);
      [after, pages] = [answer.next, answer.conflicts.length === 0 ? pages + 1 : EMPTY_PAGES];
    } while (after && pages < EMPTY_PAGES);
    show(place, found, after && (() => more(after)), prefix);
  };
  await more();
}

function show(place, found, more, prefix) {
  const none = more ? "None so far; there is more to look through." : `No conflict${prefix ? " under this prefix" : ""}: every value was written by somebody who had seen the one before.`;
  render(place,
    found.length === 0 ? el("p", { class: "empty" }, none) : found.map(conflict),
    more ? el("p", {}, el("button", { class: "plain", type: "button", "data-key": "more", onclick: more }, "Look further")) : null);
}

function conflict({ key, field, shown, lost }) {
  return el("div", { class: "conflict" },
    el("h3", { class: "mono" }, field === null ? key : `${key} → ${field}`),
    value("shown", shown), lost.map((it) => value("lost", it)));
}

function value(tag, written) {
  const when = new Date(written.written_ms).toISOString().replace("T", " ").replace("Z", " UTC");
  const cut = written.bytes > 256 ? `, ${bytes(written.bytes)} in all` : "";
  return el("div", { class: `value ${tag === "shown" ? "won" : ""}` },
    el("span", { class: "tag" }, tag),
    el("span", { class: "mono clamp", title: written.value }, written.value === "" ? el("em", {}, "empty") : written.value),
    el("span", { class: "under" }, `${when} · by ${written.replica} #${written.counter}${cut}`));
}
