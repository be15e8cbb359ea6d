// Elements in one call, and the icons they carry.

const SVG = "http://www.w3.org/2000/svg";

const FILLED = {
  heart: "M12 21.2 10.4 19.8C5 14.9 1.8 12 1.8 8.1 1.8 5 4.2 2.7 7.3 2.7c1.8 0 3.5.8 4.7 2.2 1.2-1.4 2.9-2.2 4.7-2.2 3.1 0 5.5 2.3 5.5 5.4 0 3.9-3.2 6.8-8.6 11.7z",
  comment: "M12 2.5C6.2 2.5 1.7 6.3 1.7 11.1c0 2.6 1.3 4.9 3.5 6.5-.1 1.3-.6 2.6-1.5 3.7-.2.3 0 .7.4.7 2 0 3.9-.7 5.4-2 .8.2 1.6.2 2.5.2 5.8 0 10.3-3.9 10.3-8.9S17.8 2.5 12 2.5zM7.5 12.7a1.5 1.5 0 1 1 0-3 1.5 1.5 0 0 1 0 3zm4.5 0a1.5 1.5 0 1 1 0-3 1.5 1.5 0 0 1 0 3zm4.5 0a1.5 1.5 0 1 1 0-3 1.5 1.5 0 0 1 0 3z",
  share: "M13.6 3.7c0-.9 1-1.3 1.7-.7l7.4 7.2c.5.5.5 1.2 0 1.7l-7.4 7.2c-.7.6-1.7.2-1.7-.7v-3.6c-5.2-.2-8.4 1.4-10.9 5.3-.4.6-1.3.3-1.2-.4C2.2 13 6.3 8.1 13.6 7.4z",
  why: "M12 1.6 14.3 8.2a2.5 2.5 0 0 0 1.5 1.5L22.4 12l-6.6 2.3a2.5 2.5 0 0 0-1.5 1.5L12 22.4l-2.3-6.6a2.5 2.5 0 0 0-1.5-1.5L1.6 12l6.6-2.3a2.5 2.5 0 0 0 1.5-1.5z",
  more: "M5 14.2a2.2 2.2 0 1 1 0-4.4 2.2 2.2 0 0 1 0 4.4zm7 0a2.2 2.2 0 1 1 0-4.4 2.2 2.2 0 0 1 0 4.4zm7 0a2.2 2.2 0 1 1 0-4.4 2.2 2.2 0 0 1 0 4.4z",
  play: "M6.5 3.6c0-1.1 1.2-1.8 2.1-1.2l13 8.4a1.4 1.4 0 0 1 0 2.4l-13 8.4c-.9.6-2.1-.1-2.1-1.2z",
  note: "M20 2.3v12.9a3.7 3.7 0 1 1-2.2-3.3V6.8L10 8.4v9.5a3.7 3.7 0 1 1-2.2-3.3V4.9z",
};
const DRAWN = {
  muted: "M4 9.5v5h3.6L12.5 19V5L7.6 9.5zM16.5 9.5l5 5M21.5 9.5l-5 5",
  sound: "M4 9.5v5h3.6L12.5 19V5L7.6 9.5zM16 8.8a4.5 4.5 0 0 1 0 6.4M18.7 6a8.5 8.5 0 0 1 0 12",
  plus: "M12 5v14M5 12h14",
  check: "m5 12.5 4.5 4.5L19 7.5",
  close: "M6 6l12 12M18 6 6 18",
  up: "m5 15 7-7 7 7",
  down: "m5 9 7 7 7-7",
  hide: "M3 3l18 18M10 5.2a10 10 0 0 1 2-.2c5 0 8.5 4.2 9.7 7a14 14 0 0 1-2.6 3.8M6.4 6.6A14 14 0 0 0 2.3 12c1.2 2.8 4.7 7 9.7 7 1.7 0 3.2-.5 4.5-1.2M9.9 9.9a3 3 0 0 0 4.2 4.2",
  author: "M10 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM2.5 21c.6-4 3.6-6.5 7.5-6.5 1.3 0 2.5.3 3.5.8M16 16l5 5M21 16l-5 5",
  flag: "M5 21V4c4-2.5 8 2.5 14 0v10c-6 2.5-10-2.5-14 0",
  tune: "M4 7h9M19 7h1M4 17h1M11 17h9M16 4.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5zM8 14.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5z",
  cloud: "M7 18.5a4.5 4.5 0 0 1-.6-9A6 6 0 0 1 18 8.7a5 5 0 0 1 2.6 8.6M3 3l18 18",
};

/** element("button", {class: "x", text: "y", on: {click}}, child…); null children are left out, true and false attributes work. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name === "on") for (const [type, listener] of Object.entries(value)) made.addEventListener(type, listener);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", name in FILLED ? "icon" : "icon icon-drawn");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", FILLED[name] ?? DRAWN[name]);
  svg.append(path);
  return svg;
}

/** A stable number from a text (FNV-1a), so that the same id always gets the same colours. */
export function hash(text) {
  let value = 2166136261;
  for (const char of text) value = Math.imul(value ^ char.codePointAt(0), 16777619);
  return value >>> 0;
}

/** The two colours of an id's monogram. */
export function monogram(id) {
  const hue = hash(id) % 360;
  const made = element("span", { class: "monogram", "aria-hidden": "true", text: (id.match(/[\p{L}\p{N}]/u)?.[0] ?? "?").toUpperCase() });
  made.style.background = `linear-gradient(135deg, hsl(${hue} 70% 46%), hsl(${(hue + 60) % 360} 75% 34%))`;
  return made;
}

export const calm = matchMedia("(prefers-reduced-motion: reduce)");
export const wide = matchMedia("(min-width: 900px) and (min-aspect-ratio: 1/1)");

/** "co_watched" reads as "co watched". */
export const readable = (name) => name.replaceAll("_", " ");

/** 75 reads as "1:15". */
export const clockTime = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, "0")}`;
