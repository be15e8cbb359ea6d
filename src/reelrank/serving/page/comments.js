// Comments: written here, sent as events, and kept in this browser so that you find your own again.

import { element, monogram } from "/page/dom.js";
import { read, write } from "/page/store.js";

const VIDEOS_KEPT = 200;
const LONGEST = 500;

export function fillComments(body, slide, actions) {
  const { video } = slide.entry;
  const list = element("ul", { class: "comments" });
  const input = element("textarea", { rows: 1, maxlength: LONGEST, placeholder: "Say something kind…", "aria-label": "Your comment" });
  const send = element("button", { class: "button", type: "submit", text: "Post", disabled: true });
  const form = element("form", { class: "comment-form" }, monogram(actions.user.id), input, send);
  const show = () => {
    const mine = of(video.video_id);
    const none = element("li", { class: "comments-none" }, element("strong", { text: "No comments yet" }), element("span", { text: "Be the first to say something." }));
    list.replaceChildren(...(mine.length ? mine.map(line) : [none]));
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    keep(video.video_id, { text, by: actions.user.id, at: Date.now() });
    actions.tell(slide.entry, "comment", { text });
    input.value = "";
    send.disabled = true;
    show();
    list.lastElementChild.scrollIntoView({ block: "nearest" });
  });
  input.addEventListener("input", () => (send.disabled = !input.value.trim()));
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  show();
  body.replaceChildren(list, element("p", { class: "small comments-note", text: "You see the comments written in this browser." }), form);
  input.focus();
}

function line({ text, by, at }) {
  const when = element("time", { datetime: new Date(at).toISOString(), text: new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) });
  return element("li", { class: "comment" }, monogram(by), element("div", {}, element("p", { class: "comment-by" }, element("span", { text: `@${by}` }), when), element("p", { text })));
}

const of = (videoId) => new Map(read("comments", [])).get(videoId) ?? [];

function keep(videoId, comment) {
  const all = new Map(read("comments", []));
  const mine = [...(all.get(videoId) ?? []), comment];
  all.delete(videoId); // so that it moves to the end, where the latest are
  write("comments", [...all.set(videoId, mine)].slice(-VIDEOS_KEPT));
}
