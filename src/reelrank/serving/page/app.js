// The page: makes its parts, connects them, and starts.

import { Actions } from "/page/actions.js";
import { fetchVideo } from "/page/api.js";
import { lightUp } from "/page/backdrop.js";
import { fillComments } from "/page/comments.js";
import { icon, monogram, readable } from "/page/dom.js";
import { EventQueue } from "/page/events.js";
import { Feed } from "/page/feed.js";
import { fillKeys, listenToKeys } from "/page/keys.js";
import { followModels } from "/page/models.js";
import { fillMore } from "/page/more.js";
import { notice, toast } from "/page/notices.js";
import { Panels } from "/page/panels.js";
import { label } from "/page/slide.js";
import { Tail } from "/page/tail.js";
import { fillTune } from "/page/tune.js";
import { fillWho, User } from "/page/user.js";
import { listenToWheel } from "/page/wheel.js";
import { fillWhy } from "/page/why.js";

const place = (id) => document.getElementById(id);
const user = new User();
const queue = new EventQueue();
const panels = new Panels({
  why: { title: "Why this video?", follows: true, fill: fillWhy },
  comments: { title: "Comments", follows: true, fill: (body, slide) => fillComments(body, slide, actions) },
  more: { title: "This video", fill: (body, slide) => fillMore(body, slide, actions, () => panels.open("tune")) },
  tune: { title: "Your feed", fill: (body, _slide, close) => fillTune(body, user, actions, { close, changed: changedUser }) },
  keys: { title: "Keyboard", fill: fillKeys },
  who: { title: "Who is watching", fill: (body, _slide, close) => fillWho(body, user, { close, changed: changedUser, openKeys: () => panels.open("keys"), openTune: () => panels.open("tune") }) },
});
const actions = new Actions({ user, queue, panels });
const tail = new Tail(() => feed.more());
const feed = (actions.feed = new Feed({ scroller: place("feed"), runway: place("runway"), tail, actions, user, on: { entered, degraded } }));

let shone = null;
function entered(slide) {
  place("announce").textContent = slide ? `Video ${slide.index + 1}: ${label(slide.entry.video)}` : "No more videos";
  panels.follow(slide);
  shone?.();
}

/** The feed works without some of its parts, and says so once for each set of them. */
function degraded(parts) {
  if (!navigator.onLine) return;
  const retry = { label: "Try again", run: () => (notice(null), feed.renew()) };
  notice(parts.length ? `Simpler picks for now: ${parts.map(readable).join(", ")}` : null, retry);
}

function changedUser(what) {
  drawUser();
  if (what !== "user") return feed.renew();
  toast("Welcome, whoever you are");
  feed.start();
}

function drawUser() {
  place("who").replaceChildren(monogram(user.id.replace(/^viewer-/, "")));
}

function online() {
  notice(navigator.onLine ? null : "You are offline. What you do is kept and sent later.");
  if (navigator.onLine && ["error", "offline"].includes(tail.kind)) feed.more();
}

/** Out of sight nothing plays; should the page never come back, the watch so far is what is told. */
function hidden() {
  const slide = feed.slide;
  const event = document.hidden ? slide?.farewell() : null;
  queue.park(event ? actions.event(slide.entry, event.type, event) : null);
  slide?.hold(document.hidden);
}

async function shared() {
  const videoId = new URLSearchParams(location.search).get("video");
  if (!videoId) return [];
  try {
    return [{ video: await fetchVideo(videoId), requestId: "", surface: "link" }];
  } catch {
    toast("The shared video is not here any more");
    return [];
  }
}

place("previous").append(icon("up"));
place("next").append(icon("down"));
place("previous").addEventListener("click", () => feed.go(-1));
place("next").addEventListener("click", () => feed.go(1));
place("help").addEventListener("click", () => panels.open("keys"));
place("who").addEventListener("click", () => panels.open("who"));
addEventListener("online", online);
addEventListener("offline", online);
addEventListener("pagehide", () => {
  queue.park(null);
  feed.slide?.leave();
  queue.sayGoodbye();
});
addEventListener("pageshow", (event) => event.persisted && feed.slide?.enter());
document.addEventListener("visibilitychange", hidden);
listenToKeys({ feed, actions, panels });
listenToWheel(feed);
drawUser();
online();
shone = lightUp(place("backdrop"), () => feed.slide);
feed.start(await shared());
followModels(() => feed.renew()); // what was not shown yet is chosen by the new one
