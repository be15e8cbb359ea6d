// More: not interested, nothing by this author, report.

import { element, icon } from "/page/dom.js";

const REASONS = ["Spam or misleading", "Violence or danger", "Nudity", "Hate or harassment", "Something else"];

export function fillMore(body, slide, actions) {
  const { author_id } = slide.entry.video;
  const row = (symbol, name, title, text, run) =>
    element("button", { type: "button", class: "row", "data-more": name, on: { click: run } }, icon(symbol), element("span", {}, element("strong", { text: title }), element("span", { class: "small", text })));
  const reasons = REASONS.map((reason) => element("button", { type: "button", class: "row row-plain", text: reason, on: { click: () => actions.report(slide, reason) } }));
  const ask = () => {
    body.replaceChildren(element("p", { class: "says", text: "What is wrong with it?" }), ...reasons);
    reasons[0].focus();
  };
  body.replaceChildren(
    row("hide", "hide", "Not interested", "Fewer videos like this one", () => actions.hide(slide)),
    row("author", "hide-author", `Nothing by @${author_id}`, "None of their videos any more", () => actions.hide(slide, true)),
    row("flag", "report", "Report", "It breaks the rules", ask),
  );
}
