// The feed: slides on a long runway, a few of them alive, more fetched before they are needed.

import { fetchFeed } from "/page/api.js";
import { calm } from "/page/dom.js";
import { Slide } from "/page/slide.js";

const PAGE = 10;
const REMAIN = 3; // fetch the next page when so many are left
const BEHIND = 1;
const AHEAD = 2;
const SCROLL_MS = 500; // a step takes no longer
const FOLD_MS = 250; // the stream needs a moment to fold what the collector accepted

export class Feed {
  entries = []; // {video, requestId, surface}: everything of this visit, shown or next in line
  current = -1;
  #slides = new Map(); // index -> Slide: the few that are alive
  #furthest = -1; // the last one that was shown
  #target = 0; // where the last step goes
  #wentAt = -Infinity;
  #asked = null; // AbortController of the running request
  #renewal = 0;
  #visit = 0;

  constructor({ scroller, runway, tail, actions, user, on }) {
    Object.assign(this, { scroller, runway, tail, actions, user, on });
    this.watcher = new IntersectionObserver((seen) => this.#seen(seen), { root: scroller, threshold: 0.6 });
    this.watcher.observe(tail.element);
    addEventListener("resize", () => this.#jump(this.#heading));
  }

  get slide() {
    return this.#slides.get(this.current) ?? null;
  }

  /** The place that is on screen, or about to be. */
  get #heading() {
    return performance.now() - this.#wentAt < SCROLL_MS ? this.#target : Math.max(0, this.current);
  }

  alive() {
    return this.#slides.values();
  }

  /** Begins anew, with a video somebody shared on top if there is one. */
  async start(first = []) {
    this.#asked?.abort();
    clearTimeout(this.#renewal);
    this.#asked = null;
    this.#visit += 1;
    for (const slide of this.#slides.values()) slide.close();
    this.#slides.clear();
    this.entries = first;
    this.current = this.#furthest = -1;
    this.#layOut();
    await this.more();
  }

  /** Puts the next page behind what is there. */
  async more() {
    if (this.#asked) return;
    this.tail.show("loading");
    const page = await this.#ask();
    if (page === null) return;
    const fresh = this.#unknown(page, this.entries.length);
    this.entries.push(...fresh);
    if (!fresh.length) this.tail.show(this.entries.length ? "end" : "empty", "", page.empty_because);
    this.#layOut();
  }

  /** After a strong signal: what lies beyond the next video and was not shown yet is chosen again. */
  renew() {
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(async () => {
      this.#asked?.abort();
      this.#asked = null;
      const page = await this.#ask();
      if (page === null) return;
      const kept = Math.min(this.entries.length, Math.max(this.current + 1, this.#furthest) + 1);
      const fresh = this.#unknown(page, kept);
      if (!fresh.length) return this.#runsShort() && this.more(); // nothing better came: the old ones are still good
      for (const [index, slide] of this.#slides) if (index >= kept) this.#unmount(index, slide);
      this.entries.splice(kept, Infinity, ...fresh);
      this.#layOut();
      this.on.renewed?.(kept);
    }, FOLD_MS);
  }

  async #ask() {
    const asked = (this.#asked = new AbortController());
    const visit = this.#visit;
    this.scroller.setAttribute("aria-busy", "true");
    try {
      const page = await fetchFeed(this.user, PAGE, asked.signal);
      if (visit !== this.#visit || asked.signal.aborted) return null;
      this.on.degraded(page.degraded ?? []);
      return page;
    } catch (error) {
      if (error.name !== "AbortError" && visit === this.#visit) this.tail.show(navigator.onLine && error.status !== 0 ? "error" : "offline", error.message);
      return null;
    } finally {
      if (this.#asked === asked) this.#asked = null;
      this.scroller.setAttribute("aria-busy", "false");
    }
  }

  /** The page's videos that are not among the first `kept` ones already. */
  #unknown(page, kept) {
    const known = new Set(this.entries.slice(0, kept).map((entry) => entry.video.video_id));
    return page.videos.filter((video) => !known.has(video.video_id)).map((video) => ({ video, requestId: page.request_id, surface: "for_you" }));
  }

  /** The runway is as long as what is known and one more place, for what is not known yet. Nothing on screen moves. */
  #layOut() {
    this.tail.element.remove(); // else the browser would scroll along with it, if it is what is on screen
    this.runway.style.setProperty("--count", this.entries.length + 1);
    this.tail.element.style.setProperty("--index", this.entries.length);
    this.runway.append(this.tail.element);
    this.#mountAround(Math.max(0, this.current), this.#heading);
    if (!this.slide?.active) this.#jump(Math.max(0, this.current)); // also where nothing was seen yet: the browser keeps to what it snapped to
  }

  #mountAround(...centres) {
    const wanted = (index) => centres.some((centre) => index >= centre - BEHIND && index <= centre + AHEAD);
    for (const [index, slide] of this.#slides) if (!wanted(index)) this.#unmount(index, slide);
    for (const centre of centres) {
      for (let index = Math.max(0, centre - BEHIND); index <= Math.min(this.entries.length - 1, centre + AHEAD); index++) {
        if (this.#slides.has(index)) continue;
        const slide = new Slide(this.entries[index], index, this.actions);
        this.#slides.set(index, slide);
        this.runway.insertBefore(slide.element, this.#slides.get(index + 1)?.element ?? this.tail.element);
        if (!navigator.connection?.saveData) slide.player.preload();
        this.watcher.observe(slide.element);
      }
    }
  }

  #unmount(index, slide) {
    this.watcher.unobserve(slide.element);
    slide.close();
    this.#slides.delete(index);
  }

  /** What was seen may have moved since: the first videos take the place where the tail was. It counts only if it is still on screen. */
  #seen(seen) {
    const onScreen = Math.round(this.scroller.scrollTop / this.scroller.clientHeight);
    for (const { target, isIntersecting, intersectionRatio } of seen) {
      if (!isIntersecting || intersectionRatio < 0.6) continue;
      const index = target === this.tail.element ? this.entries.length : [...this.#slides.values()].find((slide) => slide.element === target)?.index;
      if (index === onScreen) this.#enter(index);
    }
  }

  #enter(index) {
    if (index === this.current && this.slide?.active) return;
    this.slide?.leave();
    this.current = index;
    this.#furthest = Math.max(this.#furthest, Math.min(index, this.entries.length - 1));
    this.#mountAround(index, this.#heading);
    const slide = this.slide;
    slide?.enter();
    this.on.entered(slide);
    if (this.#runsShort()) this.more();
  }

  #runsShort() {
    return this.entries.length > 0 && this.entries.length - 1 - this.current <= REMAIN;
  }

  /** One video on or back; pressed quickly, it adds up. */
  go(step) {
    this.#target = Math.min(this.entries.length, Math.max(0, this.#heading + step));
    this.#wentAt = performance.now();
    this.#mountAround(Math.max(0, this.current), this.#target);
    this.scroller.scrollTo({ top: this.#target * this.scroller.clientHeight, behavior: calm.matches ? "instant" : "smooth" });
  }

  #jump(index) {
    this.#target = index;
    this.#wentAt = performance.now();
    this.scroller.scrollTo({ top: index * this.scroller.clientHeight, behavior: "instant" });
  }
}
