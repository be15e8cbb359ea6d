// The place after the last video: loading, nothing more, an error or no network, each with a way on.

import { element, icon } from "/page/dom.js";

const STATES = {
  empty: { symbol: "play", title: "Nothing to show yet", text: "There is no video here that you have not seen. New ones appear as soon as they are published.", button: "Look again" },
  end: { symbol: "check", title: "You are all caught up", text: "You have seen everything there is for now. Come back later, or look for something new.", button: "Look again" },
  error: { symbol: "cloud", title: "The feed is taking a break", text: "Your likes and watches are safe and will be sent.", button: "Try again" },
  offline: { symbol: "cloud", title: "You are offline", text: "What you did is kept on this device and sent when the connection is back.", button: "Try again" },
};

export class Tail {
  kind = "";

  constructor(retry) {
    this.retry = retry;
    this.stage = element("div", { class: "stage stage-tail" });
    this.element = element("section", { class: "slide slide-tail", "aria-label": "After the last video" }, this.stage);
  }

  /** `detail` is the server's own message, shown small; `because` has for each reason how many videos may not be shown for it. */
  show(kind, detail = "", because = null) {
    this.kind = kind;
    this.element.dataset.state = kind;
    this.element.inert = kind === "loading";
    if (kind === "loading") return this.stage.replaceChildren(skeleton());
    const { symbol, title, text, button } = STATES[kind];
    const retry = element("button", { class: "button", type: "button", text: button, on: { click: () => this.retry() } });
    const small = kind === "error" ? detail : Object.entries(because ?? {}).map(([why, count]) => `${count} × ${why}`).join(", ");
    const said = small ? element("p", { class: "state-detail", text: small }) : null;
    this.stage.replaceChildren(element("div", { class: "state", role: kind === "error" ? "alert" : "status" }, element("span", { class: "state-sign" }, icon(symbol)), element("h2", { text: title }), element("p", { text }), said, retry));
  }
}

function skeleton() {
  const lines = ["skeleton-name", "skeleton-line", "skeleton-line skeleton-short"].map((name) => element("span", { class: `skeleton ${name}` }));
  const discs = Array.from({ length: 5 }, () => element("span", { class: "skeleton skeleton-disc" }));
  return element("div", { class: "skeletons", role: "status", "aria-label": "Loading" }, element("div", { class: "words" }, lines), element("div", { class: "skeleton-rail" }, discs));
}
