// The models: what each of them does, and a word when another version begins to; said once, where nothing moves.

import { fetchModels } from "/page/api.js";
import { element, icon, readable } from "/page/dom.js";

const ASK_EVERY_MS = 10_000;
const SHOWN_MS = 9_000;
const MODELS = {
  ranker: "Predicted what you would do with each candidate",
  two_tower: "Found what lies close to your taste",
  graph: "Found what is connected with what you watched",
  item_to_item: "Knew what is watched together",
  similar_users: "Knew whose taste is like yours",
};
// the others are made anew all the time
const NEWS = {
  ranker: ["A new ranker watches with you", "An earlier ranker is back"],
  two_tower: ["A new model picks candidates for you", "An earlier model picks candidates for you"],
  graph: ["A new graph connects you with videos", "An earlier graph connects you with videos"],
};
const QUALITY = /(^|_)(auc|recall|ndcg)(_|$)/;

/** What a model did for a slate. */
export const deed = (name) => MODELS[name] ?? "Had a say";

/** When a version was made, by its name: this begins with the milliseconds. */
export const madeAt = (version) => new Date(Number(version.split("-")[0]));

/** Asks now and then, and whenever somebody comes back, which models are live. `swapped` is called after a change was announced. */
export function followModels(swapped) {
  let known = null;
  let next = 0;
  const look = async () => {
    clearTimeout(next);
    next = setTimeout(look, ASK_EVERY_MS * (0.9 + 0.2 * Math.random())); // not all pages at once
    if (document.hidden) return;
    try {
      known = tell(await fetchModels(), known, swapped);
    } catch {
      // away just now: the feed says so itself
    }
  };
  document.addEventListener("visibilitychange", look);
  look();
}

/** Announces what has changed since `known` (name -> model), if that is not the first look; returns what is known now. */
function tell({ models }, known, swapped) {
  const changed = known === null ? [] : models.filter(({ name, version }) => name in NEWS && known.get(name)?.version !== version);
  if (changed.length) {
    show(changed.map((model) => headline(model, known.get(model.name))));
    swapped();
  }
  return new Map(models.map((model) => [model.name, model]));
}

function headline(model, before) {
  const [newer, older] = NEWS[model.name];
  const made = new Date(model.created_at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return { title: before && model.created_at < before.created_at ? older : newer, details: [`made at ${made}`, quality(model.about)].filter(Boolean).join(" · ") };
}

/** The number that says best how good a model is: that of the long views if there is one. */
function quality(about) {
  const told = Object.entries(about).filter(([name, value]) => QUALITY.test(name) && typeof value === "number");
  const [name, value] = told.find(([name]) => name.includes("long_view")) ?? told[0] ?? [];
  return name ? `${readable(name).replace(/\b(auc|ndcg)\b/g, (word) => word.toUpperCase())} ${value.toFixed(3)}` : "";
}

function show(headlines) {
  const place = document.getElementById("news");
  const lines = headlines.map(({ title, details }) => element("p", {}, element("strong", { text: title }), element("span", { text: details })));
  const close = element("button", { type: "button", class: "news-close", "aria-label": "Dismiss", on: { click: () => card.remove() } }, icon("close"));
  const card = element("div", { class: "news-card" }, icon("why"), element("div", {}, lines), close);
  let gone = 0;
  const wait = () => (gone = setTimeout(() => card.remove(), SHOWN_MS));
  card.addEventListener("pointerenter", () => clearTimeout(gone)); // it is being read
  card.addEventListener("pointerleave", wait);
  place.replaceChildren(card);
  wait();
}
