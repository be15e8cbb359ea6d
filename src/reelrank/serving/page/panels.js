// The sheet: one at a time. From below and alone on a phone, beside the video and following it on a wide screen.

import { element, icon, wide } from "/page/dom.js";

export class Panels {
  #kinds;
  #opened = null; // {kind, dialog, slide, from}

  /** `kinds`: name -> {title, follows, fill(body, slide)}. */
  constructor(kinds) {
    this.#kinds = kinds;
  }

  get kind() {
    return this.#opened?.kind ?? null;
  }

  open(kind, slide = null) {
    if (this.kind === kind && this.#opened.slide === slide) return this.close();
    this.close();
    const { title, follows = false, fill } = this.#kinds[kind];
    const body = element("div", { class: "panel-body" });
    const close = element("button", { type: "button", class: "panel-close", "aria-label": "Close", on: { click: () => this.close() } }, icon("close"));
    const dialog = element("dialog", { class: `panel panel-${kind}`, "aria-label": title }, element("header", { class: "panel-head" }, element("h2", { text: title }), close), body);
    const opened = (this.#opened = { kind, dialog, slide, body, from: document.activeElement });
    dialog.addEventListener("close", () => this.#opened === opened && this.close()); // by the browser: Escape, or back on a phone
    dialog.addEventListener("click", (event) => event.target === dialog && this.close()); // the backdrop
    document.body.append(dialog);
    if (follows && wide.matches) {
      dialog.show();
      document.body.classList.add("beside");
    } else dialog.showModal();
    fill(body, slide, () => this.close());
  }

  /** The next video is on screen: a panel beside it tells of that one now. */
  follow(slide) {
    if (!this.#opened || !slide) return;
    const { kind, dialog, body } = this.#opened;
    if (!this.#kinds[kind].follows || dialog.matches(":modal")) return;
    this.#opened.slide = slide;
    body.scrollTop = 0;
    this.#kinds[kind].fill(body, slide, () => this.close());
  }

  close() {
    if (!this.#opened) return;
    const { dialog, from } = this.#opened;
    this.#opened = null;
    dialog.close();
    dialog.remove();
    document.body.classList.remove("beside");
    if (from?.isConnected && from !== document.body) from.focus({ preventScroll: true });
  }
}
