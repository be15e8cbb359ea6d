// What the ranking expects somebody to do with a video: a bar for each head, and one for the seconds.

import { element, readable } from "/page/dom.js";

const HEADS = {
  click: "Stay to watch",
  long_view: "Watch for long",
  completion: "Watch to the end",
  replay: "Watch it again",
  like: "Like it",
  share: "Share it",
  comment: "Comment on it",
  follow: "Follow its author",
  hide: "Hide it",
};
const SECONDS = "watch_s";

/** A bar for each of `predictions` (head -> probability, and the seconds), in the order in which people do these things. */
export function headBars(predictions, video) {
  const known = Object.keys(HEADS).filter((head) => head in predictions);
  const others = Object.keys(predictions).filter((head) => !(head in HEADS) && head !== SECONDS);
  const bars = [...known, ...others].map((head) => bar(head, HEADS[head] ?? sentenceCase(head), predictions[head], percent(predictions[head])));
  if (SECONDS in predictions) {
    const seconds = predictions[SECONDS];
    bars.push(bar(SECONDS, "Watch time", video.duration_s > 0 ? seconds / video.duration_s : 0, `${seconds.toFixed(seconds < 100 ? 1 : 0)} s`));
  }
  return bars;
}

function bar(head, text, share, said) {
  const fill = element("span", { class: "bar-fill" });
  fill.style.width = `${Math.min(100, Math.max(share > 0 ? 1.5 : 0, share * 100))}%`;
  const track = element("span", { class: "bar-track", "aria-hidden": "true" }, fill);
  return element("div", { class: head === "hide" ? "bar bar-against" : "bar", "data-bar": `predicted-${head}` }, element("span", { text }), track, element("span", { class: "bar-value", text: said }));
}

const sentenceCase = (name) => readable(name).charAt(0).toUpperCase() + readable(name).slice(1);

export const percent = (value) => (value > 0 && value < 0.001 ? "< 0.1 %" : `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`);
