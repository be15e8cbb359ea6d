// Your feed: whether it is personal, what you blocked, which topics you want more or less of, and a new beginning.

import { ApiError, fetchControls } from "/page/api.js";
import { element, icon } from "/page/dom.js";

export async function fillTune(body, user, actions, { changed, close }) {
  body.replaceChildren(personal(user, changed), element("p", { class: "small", text: "Looking up what you said…" }));
  let said;
  try {
    said = await fetchControls(user);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const retry = element("button", { type: "button", class: "button", text: "Try again", on: { click: () => fillTune(body, user, actions, { changed, close }) } });
    body.replaceChildren(personal(user, changed), element("p", { class: "small", text: error.message }), retry);
    return;
  }
  body.replaceChildren(personal(user, changed), topics(said.topics, actions), blocked(said.blocked, actions), afresh(actions, close));
}

function personal(user, changed) {
  const box = element("input", { type: "checkbox", role: "switch", id: "personalized", checked: user.personalized });
  box.addEventListener("change", () => {
    user.personalize(box.checked);
    changed("personalized");
  });
  const words = element("span", {}, element("strong", { text: "Personal feed" }), element("span", { class: "small", text: "Off: what is popular and what is new, the same for everybody" }));
  return element("label", { class: "switch", for: "personalized" }, words, box);
}

const section = (title, ...children) => element("section", { class: "tune-part" }, element("h3", { text: title }), children);

/** A list of names, each with a way to take it back; `none` where it is empty. */
function chips(entries, none) {
  const empty = element("p", { class: "small", text: none });
  const list = element("ul", { class: "chips" });
  const told = () => (empty.hidden = list.children.length > 0);
  const add = ([text, takeBack]) => {
    const remove = element("button", { type: "button", class: "chip-remove", "aria-label": `Take back: ${text}` }, icon("close"));
    const entry = element("li", { class: "chip", "data-chip": text }, element("span", { text }), remove);
    remove.addEventListener("click", () => {
      takeBack();
      entry.remove();
      told();
    });
    list.append(entry);
    told();
  };
  entries.forEach(add);
  told();
  return { parts: [empty, list], add };
}

function topics(wishes, actions) {
  const entries = Object.entries(wishes).map(([tag, wish]) => [`${wish === "more" ? "More" : "Less"} #${tag}`, () => actions.say("topic", { topic: tag, wish: "usual" })]);
  return section("Topics", ...chips(entries, "Say “more” or “less” in the menu of a video, and it stands here.").parts);
}

function blocked({ authors, sounds, words }, actions) {
  const unblock = (what, name) => () => actions.say("unblock", { what, name });
  const word = (name) => [`“${name}”`, unblock("word", name)];
  const entries = [...authors.map((name) => [`@${name}`, unblock("author", name)]), ...sounds.map((name) => [`♪ ${name}`, unblock("sound", name)]), ...words.map(word)];
  const { parts, add } = chips(entries, "You have blocked nothing.");
  const input = element("input", { type: "text", id: "block-word", maxlength: 100, autocomplete: "off", placeholder: "A word or some words", "aria-label": "A word to block" });
  const form = element("form", { class: "tune-form" }, input, element("button", { type: "submit", class: "button", text: "Block" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = input.value.trim();
    if (!/[\p{L}\p{N}]/u.test(name)) return;
    actions.say("block", { what: "word", name });
    if (!words.includes(name)) add(word(name));
    words.push(name);
    input.value = "";
  });
  return section("Blocked", ...parts, form);
}

/** What can't be undone is asked twice. */
function afresh(actions, close) {
  const button = element("button", { type: "button", class: "button button-quiet", id: "reset-feed", text: "Begin my feed afresh" });
  button.addEventListener("click", () => {
    if (button.dataset.asked) {
      actions.reset();
      return close();
    }
    button.dataset.asked = "yes";
    button.textContent = "Yes, forget what I watched and liked";
  });
  return section("A new beginning", element("p", { class: "small", text: "Your tastes and your history are forgotten. What you have seen, follow and blocked stays." }), button);
}
