/**
 * What a peer shows of itself, as its page, its API and its metrics have it. Times are ISO 8601 (UTC), sizes bytes.
 *
 * @module
 */

import type { ProcessInfo } from "./metrics.ts";

/** What something may change in, for those who watch. */
export type PeerTopic = "transfers" | "queue" | "receipts";

/** The peer itself. */
export interface PeerInfo extends ProcessInfo {
  id: string;
  name: string;
  /** Where it listens; null while it does not. */
  address: string | null;
  inbox: string | null;
  /** Whether it has a session with its tracker. */
  connected: boolean;
  /** Other peers that it knows of. */
  peers: number;
}

/** One who is sent something, or sends it. */
export interface TransferPeer {
  name: string;
  state: "waiting" | "running" | "delivered" | "already" | "failed";
  /** Verified so far. */
  bytes: number;
  /** Bytes per second. */
  rate: number;
  /** Why it has failed. */
  error: string | null;
}

/** What is, or was, on its way to or from this peer. */
export interface TransferStatus {
  transfer: string;
  direction: "send" | "receive";
  name: string;
  size: number | null;
  started: string;
  /** Null while it is under way. */
  ended: string | null;
  /** Where it was saved. */
  path: string | null;
  peers: TransferPeer[];
}

/** What waits for somebody who is away. */
export interface QueueStatus {
  id: string;
  peer: string;
  /** Of a file or folder; null of a message. */
  name: string | null;
  size: number | null;
  /** Of a message. */
  text: string | null;
  at: string;
  until: string;
  tries: number;
  state: string;
  reason: string | null;
}

/** What a recipient has signed. */
export interface ReceiptStatus {
  recipient: string;
  /** The recipient's name, where it is known. */
  peer: string | null;
  name: string;
  size: number;
  time: string;
  transfer: string;
}

/** What is counted: under which name, and what is said of it. */
export const PEER_COUNTERS = {
  sent: ["sent", "Files and folders that were delivered, once for each recipient"],
  received: ["received", "Files and folders that have arrived"],
  failed: ["failed", "Transfers that failed, once for each recipient"],
  sentBytes: ["sent_bytes", "Bytes of pieces that were sent"],
  receivedBytes: ["received_bytes", "Bytes of pieces that came"],
  messages: ["messages", "Messages that came"],
} as const;

/** How often each of these has happened since the peer started. */
export type PeerCounts = Record<keyof typeof PEER_COUNTERS, number>;

/** What the page, the API and the metrics of a peer are made from. */
export interface PeerStatus {
  /** The peer itself, as it is now. */
  info(): PeerInfo;
  /** Transfers, those begun last first. */
  transfers(): TransferStatus[];
  /** What waits, for all peers of this user. */
  queue(): Promise<QueueStatus[]>;
  /** What recipients have signed for this user, the latest first. */
  receipts(): Promise<ReceiptStatus[]>;
  /** What has happened since it started. */
  counts(): Readonly<PeerCounts>;
  /** Calls a listener after each change, until the returned function is called. */
  onChanged(listener: (topic: PeerTopic) => void): () => void;
}
