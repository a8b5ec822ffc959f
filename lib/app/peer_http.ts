/**
 * What a peer shows by `--http`: from the events of the peer that runs, and its state folder, to the page, the API and the
 * metrics.
 *
 * @module
 */

import { formatAddress } from "../address.ts";
import { namesById } from "../directory/name_book.ts";
import type { AppEvent } from "../events.ts";
import { peerRoutes } from "../http/peer_routes.ts";
import type {
  PeerCounts,
  PeerStatus,
  PeerTopic,
  QueueStatus,
  ReceiptStatus,
  TransferPeer,
  TransferStatus,
} from "../http/peer_status.ts";
import { Watchers } from "../http/routes.ts";
import type { Peer } from "../peer/peer.ts";
import { Queue } from "../peer/queue.ts";
import { queuedEvent } from "../peer/queue_events.ts";
import { readReceipts } from "../peer/read_receipts.ts";
import { receiptsPath } from "../peer/receipt_book.ts";
import type { CommandContext } from "./program.ts";
import { tokenIn } from "./http_token.ts";
import { type Page, processInfo, servePage } from "./served_page.ts";

/** Transfers that are remembered; those that have ended give way to others. */
const MAX_TRANSFERS = 200;

/** Takes note of the events of a peer. */
export class PeerWatch {
  readonly #counts: PeerCounts = {
    ...{ sent: 0, received: 0, failed: 0, sentBytes: 0, receivedBytes: 0, messages: 0 },
  };
  /** By direction and id, in the order in which they were begun. */
  readonly #transfers = new Map<string, TransferStatus>();
  readonly #watchers = new Watchers<PeerTopic>();

  /** Hears every event of the peer. */
  onEvent(event: AppEvent): void {
    switch (event.event) {
      case "message":
        this.#counts.messages++;
        return;
      case "dequeued":
        return this.#watchers.tell("queue");
      case "transfer-started":
        this.#begin(event);
        break;
      case "transfer-joined":
        this.#peer("send", event.transfer, event.peer);
        break;
      case "transfer-progress":
        this.#progress(event);
        break;
      case "transfer-recipient":
        this.#recipient(event);
        break;
      case "transfer-finished":
        this.#counts.sentBytes += event.bytesSent;
        for (const one of event.recipients) {
          this.#counts[one.state === "failed" ? "failed" : "sent"]++;
          this.#recipient({ ...one, transfer: event.transfer });
        }
        this.#end("send", event.transfer);
        this.#watchers.tell("receipts");
        break;
      case "file-received":
        this.#counts.received++;
        this.#counts.receivedBytes += event.bytesReceived;
        this.#arrived(event);
        break;
      case "receive-failed":
        this.#counts.failed++;
        this.#broken(event);
        break;
      default:
        return;
    }
    this.#watchers.tell("transfers");
  }

  /** What is to be shown of a peer whose state is in a folder. */
  statusOf(peer: Peer, folder: string): PeerStatus {
    const info = processInfo();
    const queue = new Queue(folder);
    return {
      info: () => ({
        ...info(),
        id: peer.id,
        name: peer.name,
        address: peer.address ? formatAddress(peer.address) : null,
        inbox: peer.inboxPath ?? null,
        connected: peer.isConnected,
        peers: peer.knownPeers.length,
      }),
      transfers: () => [...this.#transfers.values()].reverse(),
      queue: async () => (await queue.list(() => {})).map((entry) => waiting(queuedEvent(entry))),
      receipts: () => receiptsIn(folder),
      counts: () => this.#counts,
      onChanged: (listener) => this.#watchers.add(listener),
    };
  }

  #begin(
    { transfer, direction, name, size, peers }: Extract<AppEvent, { event: "transfer-started" }>,
  ): void {
    const key = keyOf(direction, transfer);
    // One that goes on after a break has the same id.
    this.#transfers.delete(key);
    this.#transfers.set(key, {
      ...{ transfer, direction, name, size, path: null, ended: null },
      started: new Date().toISOString(),
      peers: peers.map((name) => newPeer(name, direction === "send" ? "waiting" : "running")),
    });
    for (const [oldest, { ended }] of this.#transfers) {
      if (this.#transfers.size <= MAX_TRANSFERS) break;
      if (ended !== null) this.#transfers.delete(oldest);
    }
  }

  #progress(
    { transfer, peer, bytes, rate }: Extract<AppEvent, { event: "transfer-progress" }>,
  ): void {
    for (const direction of ["send", "receive"] as const) {
      const one = this.#peer(direction, transfer, peer);
      if (one) Object.assign(one, { bytes, rate, state: "running" });
    }
  }

  #recipient(
    { transfer, peer, state, error }: {
      transfer: string;
      peer: string;
      state: Extract<AppEvent, { event: "transfer-recipient" }>["state"];
      error?: { message: string };
    },
  ): void {
    const one = this.#peer("send", transfer, peer);
    if (!one) return;
    one.state = state === "offered" ? "waiting" : state === "accepted" ? "running" : state;
    one.error = error?.message ?? null;
  }

  #arrived(event: Extract<AppEvent, { event: "file-received" }>): void {
    const { transfer, from, path, size, already } = event;
    const one = this.#peer("receive", transfer, from);
    if (one) Object.assign(one, { bytes: size, state: already ? "already" : "delivered" });
    const found = this.#transfers.get(keyOf("receive", transfer));
    if (found) Object.assign(found, { path, size });
    this.#end("receive", transfer);
  }

  #broken({ transfer, from, message }: Extract<AppEvent, { event: "receive-failed" }>): void {
    const one = this.#peer("receive", transfer, from);
    if (one) Object.assign(one, { state: "failed", error: message });
    this.#end("receive", transfer);
  }

  #end(direction: TransferStatus["direction"], transfer: string): void {
    const found = this.#transfers.get(keyOf(direction, transfer));
    if (found) found.ended ??= new Date().toISOString();
  }

  /** The one of a transfer with a name, which may be new; undefined where there is no such transfer. */
  #peer(
    direction: TransferStatus["direction"],
    transfer: string,
    name: string,
  ): TransferPeer | undefined {
    const found = this.#transfers.get(keyOf(direction, transfer));
    if (!found) return undefined;
    let one = found.peers.find((peer) => peer.name === name);
    // A receiver has one sender, by whatever name.
    if (!one && direction === "receive") one = found.peers[0];
    if (!one) found.peers.push(one = newPeer(name, "waiting"));
    return one;
  }
}

function keyOf(direction: TransferStatus["direction"], transfer: string): string {
  return `${direction} ${transfer}`;
}

function newPeer(name: string, state: TransferPeer["state"]): TransferPeer {
  return { name, state, bytes: 0, rate: 0, error: null };
}

function waiting(
  { id, peer, name, size, text, at, until, tries, state, reason }: ReturnType<typeof queuedEvent>,
): QueueStatus {
  return {
    ...{ id, peer, at, until, tries, state, name: name ?? null, size: size ?? null },
    ...{ text: text ?? null, reason: reason ?? null },
  };
}

async function receiptsIn(folder: string): Promise<ReceiptStatus[]> {
  const [receipts, names] = await Promise.all([
    readReceipts(receiptsPath(folder)),
    namesById(folder),
  ]);
  return receipts.reverse().map(({ recipient, name, size, time, transfer }) => ({
    ...{ recipient, peer: names.get(recipient) ?? null, name, size, time, transfer },
  }));
}

/**
 * Serves what `--http` asks for of a peer.
 *
 * @throws {P2PError} `address-in-use` or `usage`.
 */
export async function servePeerPage(
  context: CommandContext,
  status: PeerStatus,
  folder: string,
): Promise<Page> {
  return await servePage(context, {
    routes: await peerRoutes(status),
    token: () => tokenIn(folder),
  });
}
