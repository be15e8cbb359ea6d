// The key: where the service asks for one, it comes from the address (…#key=…) or from whoever watches, and stays with this tab.

import { element } from "/page/dom.js";

const PLACE = "reelrank.key";
let kept = ""; // where storage is refused, until the page is closed
let asking = null; // the one question that is open

const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given) {
  keep(given);
  history.replaceState(null, "", location.pathname + location.search); // nobody should copy it along with the address
}

function keep(key) {
  kept = key;
  try {
    sessionStorage.setItem(PLACE, key);
  } catch {
    // refused: see kept
  }
}

function key() {
  try {
    return kept || (kept = sessionStorage.getItem(PLACE) ?? "");
  } catch {
    return kept;
  }
}

/** The headers of a request, with the key if there is one. */
export const authorized = (headers = {}) => (key() ? { ...headers, authorization: `Bearer ${key()}` } : headers);

/** Whether requests can do without headers, as farewells must. */
export const open = () => !key();

/** Fetches with the key; where it is missing or no longer good, whoever watches is asked for another one. */
export async function fetchAuthorized(path, options = {}) {
  const tried = key();
  const response = await fetch(path, { ...options, headers: authorized(options.headers) });
  if (response.status !== 401) return response;
  if (key() === tried) await ask((await response.clone().json().catch(() => null))?.error ?? "");
  return fetch(path, { ...options, headers: authorized(options.headers) });
}

/** Asks once, however many requests wait for the answer. */
function ask(reason) {
  return (asking ??= new Promise((answered) => {
    const input = element("input", { type: "password", id: "key", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "key-reason" });
    const taken = (event) => {
      event.preventDefault();
      dialog.close();
    };
    const form = element("form", { class: "access-form", on: { submit: taken } },
      element("label", { for: "key", text: "This feed asks for a key" }), input,
      element("p", { class: "small", id: "key-reason", text: reason }),
      element("button", { type: "submit", class: "button", text: "Go on" }));
    const dialog = element("dialog", { class: "panel panel-access", "aria-label": "Key" }, element("div", { class: "panel-body" }, form));
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", () => {
      keep(input.value.trim());
      dialog.remove();
      asking = null;
      answered();
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  }));
}
