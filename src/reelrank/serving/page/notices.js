// Short words from the page: toasts, and the notice under the top bar.

import { element, icon } from "/page/dom.js";

const TOAST_MS = 3_200;
const TOAST_WITH_ACTION_MS = 6_000;

/** A toast, with one thing to do about it if `action` ({label, run}) is given. */
export function toast(text, action = null) {
  const made = element("div", { class: "toast" }, element("span", { text }));
  const gone = setTimeout(() => made.remove(), action ? TOAST_WITH_ACTION_MS : TOAST_MS);
  if (action) {
    const run = () => {
      clearTimeout(gone);
      made.remove();
      action.run();
    };
    made.append(element("button", { type: "button", text: action.label, on: { click: run } }));
  }
  document.getElementById("toasts").replaceChildren(made);
}

/** The one notice that stays: offline, or a feed put together without all its parts. Null takes it away. */
export function notice(text, action = null) {
  const place = document.getElementById("notice");
  if (place.dataset.text === (text ?? "")) return;
  place.dataset.text = text ?? "";
  place.hidden = text === null;
  if (text === null) return place.replaceChildren();
  const close = element("button", { type: "button", class: "notice-close", "aria-label": "Dismiss", on: { click: () => (place.hidden = true) } }, icon("close"));
  place.replaceChildren(icon("cloud"), element("span", { text }), ...(action ? [element("button", { type: "button", text: action.label, on: { click: action.run } })] : []), close);
}
