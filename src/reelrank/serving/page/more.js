// More: not interested, nothing by this author or to this sound, more or less of a topic, report.

import { element, icon } from "/page/dom.js";

const REASONS = ["Spam or misleading", "Violence or danger", "Nudity", "Hate or harassment", "Something else"];
const TOPICS = 3; // of a video, so that the sheet stays short

export function fillMore(body, slide, actions, openTune) {
  const { author_id, sound_id, tags } = slide.entry.video;
  const row = (symbol, name, title, text, run) =>
    element("button", { type: "button", class: "row", "data-more": name, on: { click: run } }, icon(symbol), element("span", {}, element("strong", { text: title }), element("span", { class: "small", text })));
  const reasons = REASONS.map((reason) => element("button", { type: "button", class: "row row-plain", text: reason, on: { click: () => actions.report(slide, reason) } }));
  const ask = () => {
    body.replaceChildren(element("p", { class: "says", text: "What is wrong with it?" }), ...reasons);
    reasons[0].focus();
  };
  const topic = (tag) => {
    const wish = (what, text) => element("button", { type: "button", class: "pill", "data-topic": tag, "data-wish": what, "aria-label": `${text} #${tag}`, text, on: { click: () => actions.wish(tag, what) } });
    return element("li", {}, element("span", { class: "topic-name", text: `#${tag}` }), wish("more", "More"), wish("less", "Less"));
  };
  const topics = (tags ?? []).slice(0, TOPICS).map(topic);
  body.replaceChildren(
    row("hide", "hide", "Not interested", "Fewer videos like this one", () => actions.hide(slide)),
    row("author", "hide-author", `Nothing by @${author_id}`, "None of their videos any more", () => actions.hide(slide, true)),
    ...(sound_id ? [row("muted", "block-sound", "Nothing to this sound", "None of the videos that use it", () => actions.blockSound(slide))] : []),
    ...(topics.length ? [element("ul", { class: "topics", "aria-label": "Topics of this video" }, topics)] : []),
    row("flag", "report", "Report", "It breaks the rules", ask),
    row("tune", "tune", "Your feed", "What you said of it, and how to begin afresh", openTune),
  );
}
