// One video on screen: its picture, its words, its rail; and what is told of it when it is left.

import { calm, element, icon } from "/page/dom.js";
import { CardPlayer, MediaPlayer } from "/page/player.js";
import { cardFace, paint } from "/page/card.js";

const IMPRESSION_MS = 300;
const SKIP_S = 2;
const SKIP_SHARE = 0.3;
const DOUBLE_TAP_MS = 260;
const SPINNER_MS = 400; // shorter waits are not worth a sign

export class Slide {
  #impression = 0;
  #impressed = false;
  #frame = 0;
  #spinner = 0;
  #tap = 0;
  #lastTap = 0;
  #stopped = false; // paused by hand: coming back from another tab must not start it

  constructor(entry, index, actions) {
    this.entry = entry;
    this.index = index;
    this.actions = actions;
    const { video } = entry;
    this.poster = element("canvas", { class: "poster", width: 180, height: 320, "aria-hidden": "true" });
    paint(this.poster, video);
    this.bar = element("span", { class: "progress-done" });
    this.picture = element("div", { class: "picture" }, this.poster);
    this.pauseSign = element("span", { class: "pause-sign", "aria-hidden": "true" }, icon("play"));
    this.stage = element("div", { class: "stage" }, this.picture, element("div", { class: "scrim" }), this.pauseSign, element("span", { class: "spinner", "aria-hidden": "true" }),
      words(video), element("div", { class: "progress", "aria-hidden": "true" }, this.bar));
    this.rail = actions.rail(this);
    this.element = element("article", { class: "slide", "aria-posinset": index + 1, "aria-setsize": -1, "aria-label": label(video), "data-video": video.video_id }, this.stage, this.rail);
    this.element.inert = true;
    this.element.style.setProperty("--index", index);
    this.picture.addEventListener("click", (event) => this.#tapped(event));
    if (video.media_url) this.#showMedia(video);
    else this.#showCard(video);
  }

  #showMedia(video) {
    this.player = new MediaPlayer(video, {
      onFrame: () => {
        const { videoWidth, videoHeight } = this.player.element;
        this.element.classList.toggle("slide-wide", videoWidth > videoHeight); // a landscape video is shown whole
        this.element.classList.add("slide-ready");
      },
      onWaiting: (waiting) => this.#waits(waiting),
      onBroken: () => this.#broke(video),
    });
    this.picture.append(this.player.element);
  }

  #showCard(video) {
    this.player = new CardPlayer(video);
    this.face = cardFace(video);
    this.face.draw(0);
    this.picture.append(this.face.element);
    this.element.classList.add("slide-card", "slide-ready");
  }

  /** A file that cannot be played becomes a card; the time it did play is kept. */
  #broke(video) {
    const { watched_s, replays, stalled_s, element: broken } = this.player;
    broken.remove();
    this.#waits(false);
    this.#showCard(video);
    Object.assign(this.player, { watched_s, replays, stalled_s });
    this.face.element.append(element("p", { class: "card-note", text: "This browser cannot play the file." }));
    if (this.active) this.player.play();
  }

  #waits(waiting) {
    clearTimeout(this.#spinner);
    if (waiting) this.#spinner = setTimeout(() => this.element.classList.add("slide-waiting"), SPINNER_MS);
    else this.element.classList.remove("slide-waiting");
  }

  /** It fills the screen now. */
  enter() {
    this.active = true;
    this.element.inert = false;
    this.#stopped = false;
    this.player.restart();
    this.player.preload();
    this.start();
    this.#beginImpression();
    const tick = () => {
      this.player.sample();
      this.bar.style.transform = `scaleX(${this.player.share})`;
      this.face?.draw(this.player.share);
      this.#frame = requestAnimationFrame(tick);
    };
    tick();
  }

  #beginImpression() {
    this.#impressed = false;
    clearTimeout(this.#impression);
    this.#impression = setTimeout(() => {
      this.#impressed = true;
      this.actions.tell(this.entry, "impression");
    }, IMPRESSION_MS);
  }

  /** It was left: says so with what was really played. */
  leave() {
    const event = this.farewell();
    this.active = false;
    this.element.inert = true;
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#impression);
    clearTimeout(this.#tap);
    this.player.pause();
    this.#waits(false);
    this.element.classList.remove("slide-paused");
    if (event) this.actions.tell(this.entry, event.type, event);
  }

  /** What leaving it now would say; nothing for a video that only flew past. */
  farewell() {
    if (!this.active || !this.#impressed) return null;
    this.player.sample();
    const { replays, duration_s, rendition } = this.player;
    const watched_s = Math.round(this.player.watched_s * 1000) / 1000;
    if (watched_s < SKIP_S && watched_s < SKIP_SHARE * duration_s) return { type: "skip", watched_s };
    return { type: "watch", watched_s, replays, stalled_s: Math.round(this.player.stalled_s * 1000) / 1000, rendition };
  }

  async start() {
    this.player.mute(this.actions.muted);
    const plays = await this.player.play();
    if (!this.active) return this.player.pause();
    this.element.classList.toggle("slide-paused", !plays);
    this.actions.soundIs(this.player.element?.muted ?? this.actions.muted);
  }

  /** The page went out of sight, or came back. */
  hold(held) {
    if (held) this.player.pause();
    else if (!this.#stopped) this.start();
  }

  togglePause() {
    this.#stopped = !this.player.paused;
    if (this.#stopped) this.player.pause();
    else this.start();
    this.element.classList.toggle("slide-paused", this.#stopped);
  }

  #tapped(event) {
    const twice = event.timeStamp - this.#lastTap < DOUBLE_TAP_MS;
    this.#lastTap = event.timeStamp;
    clearTimeout(this.#tap);
    if (twice) {
      this.actions.like(this, true);
      this.burst(event.clientX, event.clientY);
    } else this.#tap = setTimeout(() => this.togglePause(), DOUBLE_TAP_MS);
  }

  /** A heart where it was tapped. */
  burst(x, y) {
    if (calm.matches) return;
    const heart = element("span", { class: "burst", "aria-hidden": "true" }, icon("heart"));
    const box = this.stage.getBoundingClientRect();
    heart.style.left = `${(x ?? box.left + box.width / 2) - box.left}px`;
    heart.style.top = `${(y ?? box.top + box.height / 2) - box.top}px`;
    heart.style.setProperty("--lean", `${(this.index % 5) * 8 - 16}deg`);
    heart.addEventListener("animationend", () => heart.remove());
    this.stage.append(heart);
  }

  close() {
    if (this.active) this.leave();
    this.player.close();
    this.element.remove();
  }
}

export const label = (video) => `${video.caption || "A video"}, by @${video.author_id}`;

function words(video) {
  const caption = video.caption ? element("p", { class: "caption", text: video.caption }) : null;
  const tags = video.tags.length ? element("p", { class: "tags", text: video.tags.map((tag) => `#${tag.replaceAll(" ", "")}`).join(" ") }) : null;
  const sound = element("p", { class: "sound-line" }, icon("note"), element("span", { text: video.sound_id || `original sound · @${video.author_id}` }));
  caption?.addEventListener("click", () => caption.classList.toggle("caption-open"));
  return element("div", { class: "words" }, element("h2", { class: "author", text: `@${video.author_id}` }), caption, tags, sound);
}
