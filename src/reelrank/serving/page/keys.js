// The keyboard: what each key does, in one list that also makes the help.

import { element } from "/page/dom.js";

/** [keys, what they do, run(feed, actions, panels)] */
const KEYS = [
  [["ArrowDown", "j"], "Next video", ({ feed }) => feed.go(1)],
  [["ArrowUp", "k"], "Previous video", ({ feed }) => feed.go(-1)],
  [[" "], "Pause or play", ({ slide }) => slide?.togglePause()],
  [["l"], "Like", ({ actions, slide }) => slide && actions.like(slide)],
  [["f"], "Follow the author", ({ actions, slide }) => slide && actions.follow(slide)],
  [["m"], "Sound on or off", ({ actions }) => actions.toggleSound()],
  [["c"], "Comment", ({ panels, slide }) => slide && panels.open("comments", slide)],
  [["s"], "Share", ({ actions, slide }) => slide && actions.share(slide)],
  [["h"], "Not interested", ({ actions, slide }) => slide && actions.hide(slide)],
  [["w"], "Why this video?", ({ panels, slide }) => slide && panels.open("why", slide)],
  [["?"], "These keys", ({ panels }) => panels.open("keys")],
  [["Escape"], "Close what is open", ({ panels }) => panels.close()],
];
const SHOWN = { ArrowDown: "↓", ArrowUp: "↑", " ": "Space", Escape: "Esc" };

export function listenToKeys({ feed, actions, panels }) {
  const bound = new Map(KEYS.flatMap(([keys, , run]) => keys.map((key) => [key, run])));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const run = bound.get(key);
    if (!run || (key !== "Escape" && isBusy(event.target, key))) return;
    if (event.repeat && !key.startsWith("Arrow")) return;
    event.preventDefault();
    run({ feed, actions, panels, slide: feed.slide });
  });
}

/** Whether the key belongs to what has the focus: a text, a button pressed by space, an open modal sheet. */
function isBusy(target, key) {
  if (document.querySelector("dialog:modal") || target.closest("input, textarea, select")) return true;
  return key === " " && target.closest("button, a, summary") !== null;
}

export function fillKeys(body) {
  const rows = KEYS.map(([keys, text]) => element("div", { class: "key-row" }, element("dt", {}, keys.map((key) => element("kbd", { text: SHOWN[key] ?? key }))), element("dd", { text })));
  body.replaceChildren(element("dl", { class: "key-list" }, rows), element("p", { class: "small", text: "On a touch screen: swipe for the next video, tap to pause, tap twice to like." }));
}
