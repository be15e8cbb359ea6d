// Why this video? Who proposed it, what was expected of it, what was known, and how the slate was made.

import { ApiError, fetchWhy } from "/page/api.js";
import { element, readable } from "/page/dom.js";
import { headBars, percent } from "/page/heads.js";
import { deed, madeAt } from "/page/models.js";

const SOURCES = {
  co_watched: "People who watched what you watched went on to watch this",
  next_watched: "People tend to watch it after what you watched",
  nearest: "It lies close to your taste, as the networks have learned it",
  graph_neighbours: "Connected with what you watched through people who watch alike",
  similar_users: "Liked by people whose taste is close to yours",
  following: "You follow its author",
  trending: "Many people are watching it right now",
  trending_place: "Many people near you are watching it",
  trending_tag: "It is rising among the tags you like",
  fresh: "It is new, and deserves its first viewers",
  pinned: "Who runs this feed has given it a place",
};
const PARTS = {
  expected: "What we expect you to do",
  taste: "How you like its tags and its author",
  co_watched: "Watched after what you watched",
  popular: "Watched by many these days",
  fresh: "It is new",
  new_to_them: "An author or tags you have not met",
  wished: "You wanted more or less of it",
  boosted: "Lifted or held back by who runs this feed",
};
const NEVER = new Set(["idle", "since_served", "local_hour"]); // -1 where nobody knows
const WHEN = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" };
const FEATURES_AT_FIRST = 8;
const TRIES = 4;
const TRY_AGAIN_MS = 350; // the record of a slate is written behind the answer

const answers = new Map(); // request_id -> the answer; a slate never changes

export async function fillWhy(body, slide) {
  const { video, requestId, surface } = slide.entry;
  if (surface === "link") return body.replaceChildren(says("You opened this video from a link. The feed did not choose it."));
  if (!requestId) return body.replaceChildren(says("The feed could not rank just now, so this is simply popular."));
  if (!answers.has(requestId)) body.replaceChildren(says("Looking it up…"));
  body.dataset.asked = video.video_id;
  try {
    const why = await known(requestId);
    if (body.dataset.asked !== video.video_id) return;
    const chosen = why.videos.find((entry) => entry.video_id === video.video_id);
    if (!chosen) throw new ApiError(`Slate ${requestId} does not name this video.`, 404);
    body.replaceChildren(...[lead(why, chosen), sources(chosen), predictions(chosen, video), sum(chosen), models(why), features(chosen), stages(why), footer(why)].filter(Boolean));
  } catch (error) {
    if (body.dataset.asked !== video.video_id) return;
    const retry = element("button", { type: "button", class: "button", text: "Try again", on: { click: () => fillWhy(body, slide) } });
    body.replaceChildren(says("The reasons cannot be shown right now."), element("p", { class: "small", text: error.message }), retry);
  }
}

async function known(requestId) {
  if (answers.size > 50) answers.delete(answers.keys().next().value);
  for (let attempt = 1; !answers.has(requestId); attempt++) {
    try {
      answers.set(requestId, await fetchWhy(requestId));
    } catch (error) {
      if (error.status !== 404 || attempt === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
    }
  }
  return answers.get(requestId);
}

const says = (text) => element("p", { class: "says", text });
const section = (title, ...children) => element("section", { class: "why-part" }, element("h3", { text: title }), children);

function lead(why, { position, reason, score, propensity }) {
  const place = `Place ${position + 1} of ${why.videos.length} in this slate`;
  const chance = typeof propensity === "number" && propensity < 1 ? ` There was some chance in it: ${percent(propensity)} for this video at this place.` : "";
  return element("div", { class: "why-lead" }, element("p", { class: "why-reason", text: sentence(reason || "Chosen by its score") + chance }),
    element("p", { class: "small", text: typeof score === "number" ? `${place} · score ${short(score)}` : place }));
}

function sources({ sources: names }) {
  const rows = (names ?? []).map((name) => element("li", {}, element("span", { class: "chip", "data-source": name, text: readable(name) }), element("span", { text: SOURCES[name] ?? "Proposed it for you" })));
  return rows.length ? section("Proposed by", element("ul", { class: "why-sources" }, rows)) : null;
}

function predictions({ predictions: heads }, video) {
  const bars = headBars(heads ?? {}, video);
  return bars.length ? section("What we expect you to do", element("div", { class: "bars" }, bars)) : null;
}

/** The score as it adds up: each part pushes the video up or holds it back. */
function sum({ parts, score }) {
  const told = Object.entries(parts ?? {}).filter(([, part]) => part !== 0);
  if (!told.length) return null;
  const longest = Math.max(...told.map(([, part]) => Math.abs(part)));
  const row = ([name, part]) => {
    const fill = element("span", { class: part < 0 ? "bar-fill bar-back" : "bar-fill" });
    fill.style.width = `${(100 * Math.abs(part)) / longest}%`;
    return element("tr", {}, element("th", { scope: "row", text: PARTS[name] ?? readable(name) }),
      element("td", { class: "stage-ms" }, element("span", { class: "bar-track", "aria-hidden": "true" }, fill), element("span", { text: `${part < 0 ? "−" : "+"}${Math.abs(part).toFixed(2)}` })));
  };
  told.sort(([, one], [, other]) => Math.abs(other) - Math.abs(one));
  return section(`What its score of ${short(score)} is made of`, element("table", { class: "why-stages why-sum" }, element("tbody", {}, told.map(row))));
}

function models({ models: spoke }) {
  const rows = Object.entries(spoke ?? {}).map(([name, version]) => element("li", { "data-model": name },
    element("span", { class: "model-name", text: readable(name) }), element("span", {}, element("span", { text: deed(name) }), element("span", { class: "small", title: version, text: `version of ${madeAt(version).toLocaleString([], WHEN)}` }))));
  return rows.length ? section("Models that spoke", element("ul", { class: "why-sources why-models" }, rows)) : null;
}

/** What was not zero: those between 0 and 1 first, as shares say more than raw counts. */
function features({ features: values }) {
  const told = Object.entries(values ?? {}).filter(([name, value]) => Number.isFinite(value) && value !== 0 && !(NEVER.has(name) && value === -1));
  if (!told.length) return null;
  told.sort(([, one], [, other]) => (Math.abs(other) <= 1) - (Math.abs(one) <= 1) || Math.abs(other) - Math.abs(one));
  const row = ([name, value]) => element("tr", {}, element("th", { scope: "row", text: readable(name).replace(/ (s|h)$/, " ($1)") }), element("td", { text: short(value) }));
  const table = element("table", { class: "why-features" }, element("tbody", {}, told.slice(0, FEATURES_AT_FIRST).map(row)));
  const rest = told.slice(FEATURES_AT_FIRST);
  const all = element("button", { type: "button", class: "link", text: `Show ${rest.length} more`, on: { click: () => (table.tBodies[0].append(...rest.map(row)), all.remove()) } });
  return section("What was known at that moment", table, rest.length ? all : null);
}

/** Each stage as it ran: how long, how many came in, how many were left. */
function stages({ stages: ran }) {
  const rows = Object.entries(ran ?? {}).map(([name, stage]) => [name, stage.ms ?? 0, stage]);
  if (!rows.length) return null;
  const longest = Math.max(...rows.map(([, ms]) => ms), 0.001);
  const total = rows.reduce((sum, [, ms]) => sum + ms, 0);
  const made = rows.map(([name, ms, stage]) => {
    const counts = "out" in stage ? ("in" in stage && stage.in !== stage.out ? `${stage.in} → ${stage.out}` : String(stage.out)) : "";
    const fill = element("span", { class: "bar-fill" });
    fill.style.width = `${(100 * ms) / longest}%`;
    return element("tr", {}, element("th", { scope: "row", text: readable(name) }), element("td", { class: "stage-counts", text: counts }),
      element("td", { class: "stage-ms" }, element("span", { class: "bar-track", "aria-hidden": "true" }, fill), element("span", { text: `${ms.toFixed(ms < 10 ? 2 : 1)} ms` })));
  });
  const gone = Object.values(ran).flatMap((stage) => Object.entries(stage).filter(([what]) => what.startsWith("removed: ")));
  const left = gone.map(([what, count]) => element("li", {}, element("span", { text: sentence(what.slice("removed: ".length)) }), element("strong", { text: String(count) })));
  const head = element("tr", {}, ["Stage", "Videos", "Time"].map((text) => element("th", { scope: "col", text })));
  return section(`How the slate was made, in ${total.toFixed(1)} ms`, element("table", { class: "why-stages" }, element("thead", {}, head), element("tbody", {}, made)),
    left.length ? element("ul", { class: "why-removed", "aria-label": "What was left out, and why" }, left) : null);
}

function footer(why) {
  const facts = [["Request", why.request_id], ["Policy", why.policy], ["Params", why.params], ["Personal", why.personalized === false ? "no" : ""], ["Served", why.served_at ? new Date(why.served_at * 1000).toLocaleString() : ""]];
  return element("dl", { class: "why-facts" }, facts.filter(([, value]) => value).map(([name, value]) => [element("dt", { text: name }), element("dd", { text: value })]).flat());
}

const short = (value) => (value < 0 ? `−${short(-value)}` : Number.isInteger(value) ? value.toLocaleString("en") : Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) || text.split(" ").length < 4 ? "" : ".");
