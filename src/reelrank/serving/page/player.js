// Two players with one face: a media file, and a clock for videos without one. Both count really played seconds.

import { element } from "/page/dom.js";

/** Plays a file in a loop. Played time is read from the media clock, so stalls and pauses do not count. */
export class MediaPlayer {
  watched_s = 0;
  replays = 0;
  stalled_s = 0;
  #last = 0;
  #waitsSince = 0; // 0 while data flows

  constructor(video, { onFrame, onWaiting, onBroken }) {
    this.duration_s = Math.max(1, video.duration_s);
    this.element = element("video", { class: "media", playsinline: true, loop: true, preload: "metadata", tabindex: -1, "aria-hidden": "true", disablepictureinpicture: true });
    this.element.muted = true;
    this.element.addEventListener("loadeddata", onFrame);
    this.element.addEventListener("timeupdate", () => this.sample());
    this.element.addEventListener("waiting", () => {
      this.#waitsSince ||= performance.now();
      onWaiting(true);
    });
    this.element.addEventListener("playing", () => {
      this.#flows();
      onWaiting(false);
    });
    this.element.addEventListener("error", onBroken);
    this.element.src = video.media_url;
  }

  get paused() {
    return this.element.paused;
  }

  /** The height of the picture in pixels, 0 before there is one. */
  get rendition() {
    return this.element.videoHeight;
  }

  #flows() {
    if (this.#waitsSince) this.stalled_s += (performance.now() - this.#waitsSince) / 1000;
    this.#waitsSince = 0;
  }

  /** Where it stands, 0 to 1. */
  get share() {
    return Math.min(1, this.element.currentTime / (this.element.duration || this.duration_s));
  }

  /** Browsers refuse sound before the first gesture: then it plays muted. Resolves to whether it plays. */
  async play() {
    try {
      await this.element.play();
      return true;
    } catch (error) {
      if (error.name !== "NotAllowedError" || this.element.muted) return error.name === "AbortError";
      this.element.muted = true;
      return this.element.play().then(() => true, () => false);
    }
  }

  pause() {
    this.element.pause();
    this.#flows(); // who holds the video does not wait for it
    this.sample();
  }

  mute(muted) {
    this.element.muted = muted;
  }

  preload() {
    this.element.preload = "auto";
  }

  sample() {
    if (this.#waitsSince) {
      this.#flows(); // what was waited so far
      this.#waitsSince = performance.now();
    }
    const time = this.element.currentTime;
    const step = time - this.#last;
    if (step < 0) {
      this.replays += 1; // only the loop runs backwards: there is no seeking
      this.watched_s += Math.max(0, step + (this.element.duration || this.duration_s));
    } else this.watched_s += step;
    this.#last = time;
  }

  /** Back to the beginning, for somebody who comes back. */
  restart() {
    this.element.currentTime = 0;
    this.resetCounts();
    this.#last = 0;
  }

  resetCounts() {
    this.watched_s = 0;
    this.replays = 0;
    this.stalled_s = 0;
    if (this.#waitsSince) this.#waitsSince = performance.now();
  }

  close() {
    this.element.pause();
    this.element.removeAttribute("src");
    this.element.load(); // gives the decoder and the buffer back at once
  }
}

/** Time on screen is time played, where there is no file. */
export class CardPlayer {
  watched_s = 0;
  replays = 0;
  stalled_s = 0;
  rendition = 0;
  paused = true;
  #at = 0; // played since the start of this showing, pauses left out
  #since = 0;

  constructor(video) {
    this.duration_s = Math.max(1, video.duration_s);
  }

  get share() {
    return (this.#at % this.duration_s) / this.duration_s;
  }

  async play() {
    if (this.paused) this.#since = performance.now();
    this.paused = false;
    return true;
  }

  pause() {
    this.sample();
    this.paused = true;
  }

  mute() {}
  preload() {}
  close() {}

  sample() {
    if (this.paused) return;
    const time = performance.now();
    const step = (time - this.#since) / 1000;
    this.replays += Math.floor((this.#at + step) / this.duration_s) - Math.floor(this.#at / this.duration_s);
    this.#at += step;
    this.watched_s += step;
    this.#since = time;
  }

  restart() {
    this.#at = 0;
    this.#since = performance.now();
    this.resetCounts();
  }

  resetCounts() {
    this.watched_s = 0;
    this.replays = 0;
  }
}
