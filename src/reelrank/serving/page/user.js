// Who is watching: a random id that stays in this browser, whether the feed is personal, and whether it may try unknown videos.

import { element } from "/page/dom.js";
import { newId, read, write } from "/page/store.js";

export class User {
  constructor() {
    this.id = new URLSearchParams(location.search).get("user")?.slice(0, 100) || read("user");
    if (!this.id) this.#become(newId("viewer-").slice(0, 15));
    this.exploration = read("exploration", true);
    this.personalized = read("personalized", true);
  }

  #become(id) {
    this.id = id;
    write("user", id);
  }

  /** Somebody nobody has heard of. */
  startAnew() {
    this.#become(newId("viewer-").slice(0, 15));
    const address = new URL(location.href);
    address.searchParams.delete("user"); // else a reload would bring the other one back
    history.replaceState(null, "", address);
  }

  personalize(on) {
    this.personalized = on;
    write("personalized", on);
  }

  explore(on) {
    this.exploration = on;
    write("exploration", on);
  }
}

export function fillWho(body, user, { changed, close, openKeys, openTune }) {
  const explore = element("input", { type: "checkbox", role: "switch", id: "explore", checked: user.exploration });
  explore.addEventListener("change", () => {
    user.explore(explore.checked);
    changed("exploration");
  });
  const anew = () => {
    user.startAnew();
    close();
    changed("user");
  };
  body.replaceChildren(
    element("p", { class: "small", text: "You are known here by a random name only:" }),
    element("p", { class: "who-id", id: "who-id", text: user.id }),
    element("label", { class: "switch", for: "explore" }, element("span", {}, element("strong", { text: "Explore" }), element("span", { class: "small", text: "Mix in new videos that few people know yet" })), explore),
    element("button", { type: "button", class: "button button-quiet", id: "tune", text: "Your feed", on: { click: openTune } }),
    element("button", { type: "button", class: "button", id: "start-anew", text: "Start as a new person", on: { click: anew } }),
    element("p", { class: "who-links" }, element("button", { type: "button", class: "link", text: "Keyboard", on: { click: openKeys } }), element("a", { href: "/docs", text: "API" })),
  );
}
