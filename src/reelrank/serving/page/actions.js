// What a viewer can do with a video: the rail of buttons, and the event that each of them sends.

import { context, now } from "/page/api.js";
import { element, icon, monogram } from "/page/dom.js";
import { toast } from "/page/notices.js";
import { newId } from "/page/store.js";

const STRONG = new Set(["like", "follow", "share", "hide", "comment", "report"]); // after these the next videos are chosen again
const AT_ONCE = new Set([...STRONG, "unlike", "unfollow"]);

export class Actions {
  muted = true; // until asked
  #liked = new Map(); // video_id -> what was done here, which the feed may not know yet
  #follows = new Map(); // author_id -> the same

  constructor({ user, queue, panels }) {
    Object.assign(this, { user, queue, panels });
  }

  /** Queues one event; a strong signal makes the feed choose again once the collector has taken it. */
  async tell(entry, type, more = {}) {
    const accepted = this.queue.add(this.event(entry, type, more), { atOnce: AT_ONCE.has(type) });
    if (STRONG.has(type) && (await accepted)) this.feed.renew();
  }

  event({ video, requestId, surface, position = video.position }, type, more = {}) {
    const told = { type, event_id: newId(), occurred_at: now(), user_id: this.user.id, context: context(surface), ...more };
    if (requestId) told.request_id = requestId;
    if (type === "follow" || type === "unfollow") return { ...told, author_id: video.author_id, video_id: video.video_id };
    if (Number.isInteger(position)) told.position = position;
    return { ...told, video_id: video.video_id };
  }

  /** Says something of the whole feed, which is chosen again once the collector has taken it. */
  async say(type, more = {}) {
    const told = { type, event_id: newId(), occurred_at: now(), user_id: this.user.id, context: context(), ...more };
    const { requestId } = this.feed.slide?.entry ?? {};
    if (requestId) told.request_id = requestId; // which vouches for who says it
    if (await this.queue.add(told, { atOnce: true })) this.feed.renew();
  }

  liked = ({ video }) => this.#liked.get(video.video_id) ?? video.liked ?? false;
  follows = ({ video }) => this.#follows.get(video.author_id) ?? video.following ?? false;

  like(slide, liked = !this.liked(slide.entry)) {
    if (liked === this.liked(slide.entry)) return;
    this.#liked.set(slide.entry.video.video_id, liked);
    this.refresh();
    this.tell(slide.entry, liked ? "like" : "unlike");
  }

  follow(slide) {
    const { author_id } = slide.entry.video;
    const follows = !this.follows(slide.entry);
    this.#follows.set(author_id, follows);
    this.refresh();
    toast(follows ? `You follow @${author_id}` : `You no longer follow @${author_id}`);
    this.tell(slide.entry, follows ? "follow" : "unfollow");
  }

  async share({ entry }) {
    const link = `${location.origin}/?video=${encodeURIComponent(entry.video.video_id)}`;
    let channel = "link";
    try {
      if (navigator.share) {
        await navigator.share({ title: entry.video.caption || `A video by @${entry.video.author_id}`, url: link });
        channel = "device";
      } else {
        await copy(link);
        toast("Link copied");
      }
    } catch (error) {
      if (error.name === "AbortError") return; // changed their mind
      toast(`Copy this link: ${link}`);
    }
    this.tell(entry, "share", { channel });
  }

  hide({ entry }, wholeAuthor = false) {
    const { author_id } = entry.video;
    this.tell(entry, "hide", wholeAuthor ? { whole_author: true } : {});
    const wider = wholeAuthor ? null : { label: `Nothing by @${author_id}`, run: () => this.tell(entry, "hide", { whole_author: true }) };
    toast(wholeAuthor ? `Nothing more by @${author_id}` : "Fewer like this from now on", wider);
    this.panels.close();
    this.feed.go(1);
  }

  blockSound({ entry }) {
    this.say("block", { what: "sound", name: entry.video.sound_id });
    toast("Nothing more to this sound", { label: "Undo", run: () => this.say("unblock", { what: "sound", name: entry.video.sound_id }) });
    this.panels.close();
    this.feed.go(1);
  }

  wish(topic, wish) {
    this.say("topic", { topic, wish });
    toast(wish === "more" ? `More #${topic} from now on` : `Less #${topic} from now on`, { label: "Undo", run: () => this.say("topic", { topic, wish: "usual" }) });
    this.panels.close();
  }

  reset() {
    this.say("reset");
    toast("Your feed begins afresh");
  }

  report({ entry }, reason) {
    this.tell(entry, "report", { reason });
    toast("Thank you. It is reported, and gone from your feed.");
    this.panels.close();
    this.feed.go(1);
  }

  toggleSound() {
    this.muted = !this.muted;
    this.feed.slide?.player.mute(this.muted);
    this.soundIs(this.muted);
  }

  /** What is true of the sound now, on every rail. */
  soundIs(muted) {
    this.muted = muted;
    this.refresh();
  }

  /** Brings the rails of all living slides up to date. */
  refresh() {
    for (const slide of this.feed.alive()) slide.rail.refresh();
  }

  /** The rail of one slide. */
  rail(slide) {
    const { author_id } = slide.entry.video;
    const button = (name, symbol, text, run) =>
      element("button", { class: `action action-${name}`, type: "button", "data-action": name, on: { click: run } }, element("span", { class: "action-disc" }, icon(symbol)), element("span", { class: "action-text", text }));
    const follow = element("button", { class: "action action-follow", type: "button", "data-action": "follow", on: { click: () => this.follow(slide) } }, monogram(author_id), element("span", { class: "badge" }));
    const like = button("like", "heart", "Like", () => this.like(slide));
    const sound = button("sound", "muted", "Sound", () => this.toggleSound());
    const rail = element("div", { class: "rail", role: "group", "aria-label": "Actions" }, follow, like,
      button("comment", "comment", "Comment", () => this.panels.open("comments", slide)),
      button("share", "share", "Share", () => this.share(slide)),
      button("why", "why", "Why this?", () => this.panels.open("why", slide)),
      button("more", "more", "More", () => this.panels.open("more", slide)),
      sound);
    rail.addEventListener("click", (event) => event.detail > 0 && event.target.closest("button")?.blur()); // so that space pauses again after a click

    rail.refresh = () => {
      const [liked, follows] = [this.liked(slide.entry), this.follows(slide.entry)];
      like.setAttribute("aria-pressed", liked);
      like.setAttribute("aria-label", liked ? "Liked. Take the like back" : "Like");
      follow.setAttribute("aria-pressed", follows);
      follow.setAttribute("aria-label", follows ? `You follow @${author_id}. Unfollow` : `Follow @${author_id}`);
      follow.querySelector(".badge").replaceChildren(icon(follows ? "check" : "plus"));
      sound.setAttribute("aria-label", this.muted ? "Turn the sound on" : "Mute");
      sound.querySelector(".action-disc").replaceChildren(icon(this.muted ? "muted" : "sound"));
      sound.querySelector(".action-text").textContent = this.muted ? "Muted" : "Sound";
    };
    rail.refresh();
    return rail;
  }
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  throw new Error("no clipboard on an insecure page");
}
