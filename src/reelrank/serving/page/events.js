// The event queue: small batches, retried with the same event_id until accepted, kept over reloads and offline hours.

import { authorized, fetchAuthorized, open } from "/page/access.js";
import { forget, keys, newId, read, write } from "/page/store.js";

const SOON_MS = 300;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
const KEPT = 2_000; // beyond this the oldest give way
const BEACON_CHARS = 15_000; // browsers carry 64 kB of farewells; characters may take four bytes

export class EventQueue {
  #key = `events.${newId()}`; // one per tab, so that tabs do not overwrite each other
  #waiting = []; // not accepted yet, oldest first
  #settled = new Map(); // event_id -> tells who waits for it
  #parked = null; // what would be sent if the page never came back
  #timer = 0;
  #retries = 0;
  #sending = false;
  #most = 200;

  constructor() {
    for (const key of keys("events.")) {
      this.#waiting.push(...read(key, [])); // from an earlier page; if it still lives, a repeat is harmless
      forget(key);
    }
    addEventListener("online", () => this.#schedule(0));
    if (this.#waiting.length) this.#schedule(SOON_MS);
  }

  /** Queues one event. The promise holds true once the collector took it, false if it refused it for good. */
  add(event, { atOnce = false } = {}) {
    this.#waiting.push(event);
    this.#keep();
    this.#schedule(atOnce ? 0 : SOON_MS);
    return new Promise((resolve) => this.#settled.set(event.event_id, resolve));
  }

  /** Keeps an event only for the case that the page ends unseen (a phone ends hidden pages without a word). */
  park(event) {
    this.#parked = event;
    this.#keep();
  }

  /** Hands everything to the browser to deliver after the page is gone; it stays kept, as nobody hears the answer. */
  sayGoodbye() {
    let batch = [];
    const deliver = () => batch.length && farewell(`[${batch.join(",")}]`);
    for (const event of this.#waiting) {
      const text = JSON.stringify(event);
      if (batch.join().length + text.length > BEACON_CHARS) {
        deliver();
        batch = [];
      }
      batch.push(text);
    }
    deliver();
  }

  #keep() {
    this.#waiting.splice(0, Math.max(0, this.#waiting.length - KEPT));
    const kept = this.#parked ? [...this.#waiting, this.#parked] : this.#waiting;
    if (kept.length) write(this.#key, kept);
    else forget(this.#key);
  }

  #schedule(delay_ms) {
    if (this.#sending || (this.#timer && delay_ms > 0)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), delay_ms);
  }

  async #send() {
    this.#timer = 0;
    const batch = this.#waiting.slice(0, this.#most);
    if (!batch.length) return;
    this.#sending = true;
    const answer = await post(batch);
    this.#sending = false;
    if (answer.status === 413 && batch.length > 1) {
      this.#most = Math.ceil(batch.length / 2);
      this.#schedule(0);
    } else if (answer.status === 0 || answer.status === 401 || answer.status === 408 || answer.status === 429 || answer.status >= 500) {
      this.#schedule(Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#retries++));
    } else {
      this.#retries = 0;
      this.#settle(batch, answer);
      if (this.#waiting.length) this.#schedule(this.#waiting.length >= this.#most ? 0 : SOON_MS);
    }
  }

  #settle(batch, { status, refused }) {
    const done = new Set(batch.map((event) => event.event_id));
    this.#waiting = this.#waiting.filter((event) => !done.has(event.event_id));
    this.#keep();
    for (const { event_id, reason } of refused) console.warn(`event ${event_id} was refused: ${reason}`);
    const bad = new Set(refused.map((entry) => entry.event_id));
    for (const id of done) {
      this.#settled.get(id)?.(status < 300 && !bad.has(id));
      this.#settled.delete(id);
    }
  }
}

/** A beacon can't carry a key. */
function farewell(body) {
  if (open()) navigator.sendBeacon("/v1/events", new Blob([body], { type: "application/json" }));
  else fetch("/v1/events", { method: "POST", headers: authorized({ "content-type": "application/json" }), body, keepalive: true }).catch(() => {});
}

async function post(batch) {
  try {
    const body = JSON.stringify(batch);
    const response = await fetchAuthorized("/v1/events", { method: "POST", headers: { "content-type": "application/json" }, body, keepalive: body.length < BEACON_CHARS });
    const answer = await response.json().catch(() => ({}));
    return { status: response.status, refused: answer.refused ?? [] };
  } catch {
    return { status: 0, refused: [] };
  }
}
