/**
 * The page of a peer: what is on its way, what waits, and what was signed for.
 *
 * @module
 */
/// <reference lib="dom" />
// @ts-check

import { all, at, element, fill, follow, get, load, row, size, when } from "./common.js";

/** Receipts that are shown: the latest. */
const SHOWN = 100;

async function showLoad() {
  const peer = await get("/api/v1/peer");
  at("name").textContent = peer.name;
  at("where").textContent = `${peer.address ?? "not listening"}, id ${peer.id.slice(0, 8)}`;
  load(peer, [
    ["Tracker", peer.connected ? "connected" : "not reached"],
    ["Other peers", `${peer.peers}`],
  ]);
}

const STATES = {
  waiting: "waiting",
  running: "under way",
  delivered: "delivered",
  already: "there already",
  failed: "failed",
};

async function showTransfers() {
  const transfers = await all("/api/v1/transfers", "transfers");
  const items = transfers.map(({ direction, name, size: whole, started, ended, path, peers }) => {
    const what = whole === null ? "" : `, ${size(whole)}`;
    const title = element(
      "p",
      {},
      element("strong", {}, name),
      ` ${direction === "send" ? "to" : "from"} ${
        peers.length === 1 ? peers[0].name : `${peers.length} peers`
      }${what}, `,
      when(started),
    );
    const rows = peers.map((/** @type {any} */ peer) => {
      const { rate, state, error } = peer;
      const speed = ended === null && state === "running" && rate > 0 ? `, ${size(rate)}/s` : "";
      const why = error === null ? "" : `: ${error}`;
      return row(peer, whole, `${STATES[/** @type {"running"} */ (state)]}${speed}${why}`);
    });
    const saved = path === null ? [] : [element("p", { class: "dim" }, `Saved as ${path}`)];
    return element("li", {}, title, element("ul", { class: "ledger" }, ...rows), ...saved);
  });
  fill("transfers", items, "Nothing was sent or received since this peer was started.");
}

async function showQueue() {
  const queue = await all("/api/v1/queue", "queue");
  const items = queue.map(({ peer, name, size: bytes, text, at: begun, tries, state, reason }) => {
    const what = name === null ? "A message" : name;
    const title = element(
      "p",
      {},
      element("strong", {}, what),
      ` for ${peer}${bytes === null ? "" : `, ${size(bytes)}`}, `,
      when(begun),
    );
    const line = element(
      "p",
      { class: state === "failed" ? "bad" : "dim" },
      `${state}${tries > 0 ? `, ${tries} tries` : ""}${reason === null ? "" : `: ${reason}`}`,
    );
    return element(
      "li",
      {},
      title,
      ...(text === null ? [] : [element("p", { class: "text" }, text)]),
      line,
    );
  });
  fill("queue", items, "Nothing waits for anybody.");
}

async function showReceipts() {
  const { receipts, total } = await get(`/api/v1/receipts?limit=${SHOWN}`);
  const items = receipts.map((/** @type {any} */ { name, peer, recipient, size: bytes, time }) =>
    element(
      "li",
      {},
      element(
        "p",
        {},
        element("strong", {}, name),
        `, ${size(bytes)}, signed for by ${peer ?? recipient.slice(0, 8)}, `,
        when(time),
      ),
    )
  );
  fill("receipts", items, "Nobody has signed for anything yet.");
  at("receipts-count").textContent = total > 0 ? `${total}` : "";
}

// What another command queues is in the folder, and nobody says so.
void follow(
  showLoad,
  { transfers: showTransfers, queue: showQueue, receipts: showReceipts },
  "queue",
);
