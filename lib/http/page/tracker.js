/**
 * The page of a tracker: shows its lists, and asks for one again when the tracker says that it has changed. All that
 * comes from peers is set as text, never as HTML.
 *
 * @module
 */
/// <reference lib="dom" />
// @ts-check

import { all, at, element, fill, follow, get, load, NOTHING, row, size, when } from "./common.js";

/** Peers that are shown at most: who looks for one of thousands types a part of its name. */
const SHOWN = 200;

async function showLoad() {
  const tracker = await get("/api/v1/tracker");
  at("where").textContent = `${tracker.address}, id ${tracker.id.slice(0, 8)}${
    tracker.secure ? "" : ", without encryption"
  }`;
  const { here, unreachable, away } = tracker.peers;
  /** @type {[string, string][]} */
  const cards = [
    ["Peers", `${here + unreachable}`],
    ["Not back yet", `${away}`],
    ["Sessions", `${tracker.sessions}`],
  ];
  if (!tracker.remembers) cards.push(["State", "cannot be written"]);
  load(tracker, cards);
}

const STATES = { here: "here", unreachable: "unreachable", away: "not back yet" };

/** Which answer is awaited: of several questions the last one counts. */
let asked = 0;

async function showPeers() {
  const wanted = /** @type {HTMLInputElement} */ (at("find")).value.trim();
  const turn = ++asked;
  const find = wanted === "" ? "" : `&find=${encodeURIComponent(wanted)}`;
  const { peers, total } = await get(`/api/v1/peers?limit=${SHOWN}${find}`);
  if (turn !== asked) return;
  const rows = peers.map((/** @type {any} */ peer) => {
    const isHere = peer.state === "here";
    const state = element(
      "span",
      isHere ? {} : { class: "warn" },
      STATES[/** @type {"here"} */ (peer.state)],
    );
    /** @type {[string, Node | string][]} */
    const cells = [
      ["Name", peer.name],
      ["State", state],
      ["Address", peer.address],
      ["Groups", peer.groups.join(", ") || NOTHING],
      ["Since", when(peer.since)],
      ["Last seen", when(peer.seen)],
      ["Id", element("span", { class: "id", title: peer.id }, peer.id.slice(0, 8))],
    ];
    return element(
      "tr",
      {},
      ...cells.map(([label, cell]) => element("td", { "data-label": label }, cell)),
    );
  });
  at("peers").querySelector("tbody")?.replaceChildren(...rows);
  at("peers-count").textContent = total > 0 ? `${total}` : "";
  const more = total - rows.length;
  at("peers-more").textContent = more > 0
    ? `${more} more: type a part of a name, id, address or group.`
    : total > 0
    ? ""
    : wanted === ""
    ? "No peer is there."
    : "No peer fits.";
}

/** @param {any} share */
function shareAddress({ from, share }) {
  return `${encodeURIComponent(from)}/${encodeURIComponent(share)}`;
}

const SHARE_STATES = { running: "under way", over: "over", lost: "its sender is gone" };

/**
 * An item of the list of shares, which stays the same while its share goes on: whoever has the keyboard in it keeps it
 * there.
 *
 * @param {string} address
 */
function shareItem(address) {
  const title = element("p");
  const bar = element("progress");
  const line = element("p");
  const ledger = element("ul", { class: "ledger" });
  const summary = element("summary", {}, "Recipients");
  const details = /** @type {HTMLDetailsElement} */ (element("details", {}, summary, ledger));
  const item = element("li", {}, title, bar, line, details);
  let whole = 0;
  const showRecipients = () => {
    if (details.open) void showLedger(address, ledger, whole);
    else ledger.replaceChildren();
  };
  details.addEventListener("toggle", showRecipients);
  /** @param {any} share */
  const update = (
    { name, total, delivered, failed, state, size: bytes, files, sender, from, at: begun },
  ) => {
    whole = bytes;
    const what = files === undefined ? size(bytes) : `${size(bytes)}, ${files} files`;
    const whose = ` from ${sender ?? from.slice(0, 8)}, ${what}, `;
    title.replaceChildren(element("strong", {}, name), whose, when(begun));
    bar.setAttribute("max", `${Math.max(1, total)}`);
    bar.setAttribute("value", `${delivered}`);
    bar.setAttribute("aria-label", `${delivered} of ${total} have ${name}`);
    summary.textContent = `${total === 1 ? "1 recipient" : `${total} recipients`}`;
    const failures = failed > 0 ? `, ${failed} failed` : "";
    line.textContent = `${delivered} of ${total} delivered${failures}, ${
      SHARE_STATES[/** @type {"over"} */ (state)]
    }`;
    line.className = state === "lost" ? "warn" : "dim";
    showRecipients();
  };
  return { item, update };
}

/** Items by the address of their share. @type {Map<string, ReturnType<typeof shareItem>>} */
const shareItems = new Map();

/**
 * @param {string} address
 * @param {HTMLElement} ledger
 * @param {number} whole bytes of the share
 */
async function showLedger(address, ledger, whole) {
  const recipients = await all(`/api/v1/shares/${address}`, "recipients").catch(() => []);
  ledger.replaceChildren(
    ...recipients.map(({ name, state, bytes = 0, code }) =>
      row({ name, state, bytes }, whole, code === undefined ? state : `${state}: ${code}`)
    ),
  );
}

async function showShares() {
  const shares = await all("/api/v1/shares", "shares");
  const items = shares.map((share) => {
    const address = shareAddress(share);
    const known = shareItems.get(address) ?? shareItem(address);
    shareItems.set(address, known);
    known.update(share);
    return known.item;
  });
  const there = new Set(shares.map(shareAddress));
  for (const address of shareItems.keys()) if (!there.has(address)) shareItems.delete(address);
  const shown = [...at("shares").children];
  // Moving an element takes the keyboard from it.
  if (
    items.length === 0 || items.some((item, i) => item !== shown[i]) ||
    items.length !== shown.length
  ) {
    fill("shares", items, "Nothing has been shared for more than a second.");
  }
}

async function showMessages() {
  const messages = await all("/api/v1/messages", "messages");
  fill(
    "messages",
    messages.map(({ name, from, text, time, delivered }) =>
      element(
        "li",
        {},
        element("p", { class: "dim" }, `${name ?? from.slice(0, 8)} to ${delivered}, `, when(time)),
        element("p", { class: "text" }, text),
      )
    ),
    "No message since the tracker was started.",
  );
}

async function showEvidence() {
  const evidence = await all("/api/v1/evidence", "evidence");
  fill(
    "evidence",
    evidence.map(({ id, name }) =>
      element(
        "li",
        {},
        element("p", { class: "bad" }, `${name ?? id.slice(0, 8)} has signed wrong data`),
        element("p", { class: "id dim" }, id),
      )
    ),
    "Nobody has signed wrong data.",
  );
}

/** @type {Record<string, () => Promise<void>>} */
const LISTS = {
  peers: showPeers,
  shares: showShares,
  messages: showMessages,
  evidence: showEvidence,
};

at("find").addEventListener("input", () => void showPeers().catch(() => {}));
// When a peer was last seen is no change of the list.
void follow(showLoad, LISTS, "peers");
