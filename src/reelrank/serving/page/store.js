// What the page keeps in the browser: nothing breaks where storage is refused.

const PREFIX = "reelrank.";

export function read(key, otherwise = null) {
  try {
    const text = localStorage.getItem(PREFIX + key);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise; // storage is refused, or somebody else wrote there
  }
}

export function write(key, value) {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // full or refused: the page then remembers until it is closed
  }
}

export function forget(key) {
  try {
    localStorage.removeItem(PREFIX + key);
  } catch {
    // see write
  }
}

export function keys(start) {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX + start)).map((key) => key.slice(PREFIX.length));
  } catch {
    return [];
  }
}

/** A random id; crypto.randomUUID exists only on https and localhost. */
export function newId(start = "") {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return start + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
