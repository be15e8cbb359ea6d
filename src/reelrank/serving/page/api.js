// Everything the page asks the server: feed, why, controls, one video; and the context that goes along.

import { fetchAuthorized } from "/page/access.js";
import { wide } from "/page/dom.js";

let clockAhead = 0; // seconds the server's clock runs ahead of ours: a log of the past is served in its own time

export const now = () => Date.now() / 1000 + clockAhead;

/** Why a request gave nothing; `status` is 0 when no answer came at all. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function getJson(path, signal) {
  let response;
  try {
    response = await fetchAuthorized(path, { headers: { accept: "application/json" }, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached.", 0);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok || body === null) throw new ApiError(body?.error ?? `The server answered ${response.status}.`, response.status);
  return body;
}

/** Where and how somebody watches, as events and feed requests tell it. */
export function context(surface = "for_you") {
  const connection = navigator.connection;
  const told = { device: wide.matches ? "desktop" : Math.min(screen.width, screen.height) >= 600 ? "tablet" : "phone", surface };
  const here = new Date();
  told.local_hour = here.getHours();
  told.local_weekday = (here.getDay() + 6) % 7; // 0 is Monday
  const network = ["wifi", "ethernet"].includes(connection?.type) ? connection.type : connection?.effectiveType; // "cellular" says less than "4g"
  if (network) told.network = network.slice(0, 16);
  if (connection?.downlink > 0) told.bandwidth_kbps = Math.round(connection.downlink * 1000);
  return told;
}

export async function fetchFeed(user, count, signal) {
  const asked = new URLSearchParams({ user_id: user.id, count, ...context(), exploration: user.exploration ? "on" : "off", personalized: user.personalized });
  const seed = new URLSearchParams(location.search).get("seed");
  if (seed !== null) asked.set("seed", seed);
  const sentAt = Date.now();
  const feed = await getJson(`/v1/feed?${asked}`, signal);
  clockAhead = feed.now - (sentAt + Date.now()) / 2000;
  return feed;
}

export const fetchControls = (user) => getJson(`/v1/controls?${new URLSearchParams({ user_id: user.id })}`);

export const fetchModels = () => getJson("/v1/models");

export const fetchWhy = (requestId) => getJson(`/v1/why/${encodeURIComponent(requestId)}`);

/** A video that somebody shared, in the shape in which the feed gives videos. */
export async function fetchVideo(videoId) {
  const answer = await getJson(`/v1/videos/${encodeURIComponent(videoId)}`);
  const video = answer.video ?? answer;
  const media = `/v1/videos/${encodeURIComponent(videoId)}/media`;
  const first = video.renditions?.[0];
  return { tags: [], caption: "", ...video, width: first?.width, height: first?.height, media_url: answer.media_url ?? (first ? media : null) };
}
