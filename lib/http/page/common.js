/**
 * What the pages have in common. All that comes from peers is set as text, never as HTML.
 *
 * @module
 */
/// <reference lib="dom" />
// @ts-check

/** Milliseconds between two looks at the load, and before a lost connection is tried again. */
const LOOK_EVERY = 5_000;
const RETRY_AFTER = 2_000;
/** Entries of a list in one answer. */
const PAGE = 500;
/** What stands where there is nothing to show. */
export const NOTHING = "\u2013";

/** The token stands behind the #, which browsers send to nobody. */
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const headers = token ? { authorization: `Bearer ${token}` } : undefined;

/** @param {string} id */
export function at(id) {
  const found = document.getElementById(id);
  if (!found) throw new TypeError(`there is no ${id}`);
  return found;
}

/**
 * An element with text or others in it.
 *
 * @param {string} name
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** @param {string} path */
export async function get(path) {
  const response = await fetch(path, headers ? { headers } : {});
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

/**
 * All entries of a list, page by page.
 *
 * @param {string} path
 * @param {string} name
 */
export async function all(path, name) {
  /** @type {any[]} */
  const entries = [];
  while (true) {
    const page = await get(`${path}?start=${entries.length}&limit=${PAGE}`);
    entries.push(...page[name]);
    if (entries.length >= page.total || page[name].length === 0) return entries;
  }
}

/** @param {number} bytes */
export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let n = 0;
  while (bytes >= 1024 && n < units.length - 1) {
    bytes /= 1024;
    n++;
  }
  return `${bytes < 10 && n > 0 ? bytes.toFixed(1) : Math.round(bytes)} ${units[n]}`;
}

/** @param {string | null} iso */
export function ago(iso) {
  if (iso === null) return NOTHING;
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** @param {string | null} iso */
export function when(iso) {
  if (iso === null) return element("span", {}, NOTHING);
  return element("time", { datetime: iso, title: new Date(iso).toLocaleString() }, ago(iso));
}

/**
 * How far one recipient or sender is: who, what has come of it, and a bar.
 *
 * @param {{ name: string, state: string, bytes: number }} one
 * @param {number | null} whole bytes of all of it, if that is known
 * @param {string} text says the state
 */
export function row({ name, state, bytes }, whole, text) {
  const isDone = state === "delivered" || state === "already";
  const done = isDone ? 1 : whole ? Math.min(1, bytes / whole) : 0;
  const label = `${name}: ${text}, ${Math.round(100 * done)} %`;
  const line = element(
    "div",
    { class: "line" },
    element("span", {}, name),
    element("span", { class: state === "failed" ? "bad" : "dim" }, text),
  );
  return element(
    "li",
    {},
    line,
    element("progress", { max: "1", value: `${done}`, "aria-label": label }),
  );
}

/**
 * @param {string} id
 * @param {Node[]} items
 * @param {string} nothing
 */
export function fill(id, items, nothing) {
  at(id).replaceChildren(
    ...(items.length > 0 ? items : [element("li", { class: "empty" }, nothing)]),
  );
  at(`${id}-count`).textContent = items.length > 0 ? `${items.length}` : "";
}

/**
 * Shows what a program is at, after what it says of itself.
 *
 * @param {any} program its version, when it was started, its memory and its processor time
 * @param {[string, string][]} cards
 */
export function load({ version, started, memory, cpu }, cards) {
  const up = (Date.now() - Date.parse(started)) / 1000;
  /** @type {[string, string][]} */
  const common = [
    ["Memory", size(memory)],
    ["Processor", `${up > 0 ? ((100 * cpu) / up).toFixed(1) : 0} %`],
    ["Started", ago(started)],
    ["Version", version],
  ];
  at("load").replaceChildren(
    ...[...cards, ...common].map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value))
    ),
  );
}

/** @param {string} state @param {string} text */
function connection(state, text) {
  const shown = at("connection");
  // The same text again would be read aloud again.
  if (shown.textContent !== text) shown.textContent = text;
  shown.className = state;
}

/**
 * Reads the events of one connection; a fetch, since EventSource shows no token.
 *
 * @param {() => Promise<void>} look
 * @param {Record<string, () => Promise<void>>} lists
 */
async function listen(look, lists) {
  const response = await fetch("/api/v1/events", headers ? { headers } : {});
  if (!response.ok || !response.body) {
    throw new Error(
      response.status === 401
        ? "Open this page with the address that was shown when it was started"
        : response.statusText,
    );
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (true) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the other side has closed the connection");
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) {
      const data = /^event: changed\ndata: (.*)$/.exec(part)?.[1];
      if (data === undefined) continue;
      await Promise.all([
        look(),
        ...JSON.parse(data).map((/** @type {string} */ topic) => lists[topic]?.()),
      ]);
      connection("live", "Live");
    }
  }
}

/** Times go on. */
function showTimes() {
  for (const time of document.querySelectorAll("time")) time.textContent = ago(time.dateTime);
}

/**
 * Shows the lists, and each of them again when it has changed, for as long as the page is open.
 *
 * @param {() => Promise<void>} look shows what changes all the time
 * @param {Record<string, () => Promise<void>>} lists by what changes
 * @param {string} untold the list that changes in ways that nobody tells of
 */
export async function follow(look, lists, untold) {
  // A link shows no token.
  if (token) at("metrics").remove();
  setInterval(() => {
    if (document.hidden || at("connection").className !== "live") return;
    showTimes();
    Promise.all([look(), lists[untold]?.()]).catch(() => {});
  }, LOOK_EVERY);
  while (true) {
    try {
      await listen(look, lists);
    } catch (error) {
      connection(
        "lost",
        `Not connected: ${error instanceof Error ? error.message : error}. Trying again`,
      );
      await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
    }
  }
}
