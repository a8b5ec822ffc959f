/**
 * What a tracker shows of itself, as its page, its API and its metrics have it. Times are ISO 8601 (UTC), sizes bytes.
 *
 * @module
 */

import type { ProcessInfo } from "./metrics.ts";
import type { ReportedRecipient, ReportedShare } from "../wire/message.ts";

/** What something may change in, for those who watch. */
export type Topic = "peers" | "shares" | "messages" | "evidence";

/** The tracker itself. */
export interface TrackerInfo extends ProcessInfo {
  id: string;
  /** Where it listens for peers. */
  address: string;
  secure: boolean;
  /** Whether it passes bytes on between peers that have no other path. */
  relays: boolean;
  peers: { here: number; unreachable: number; away: number };
  /** Sessions of peers and commands. */
  sessions: number;
  /** False while what has to outlive a restart cannot be written. */
  remembers: boolean;
}

/** A peer that is listed. */
export interface PeerStatus {
  id: string;
  name: string;
  address: string;
  addresses: string[];
  groups: string[];
  /** `here`; `unreachable`: it dials others; `away`: not back since the tracker was restarted. */
  state: "here" | "unreachable" | "away";
  /** Since when it is there, and when something came from it last; null while it is away. */
  since: string | null;
  seen: string | null;
}

/** A broadcast. */
export interface MessageStatus {
  time: string;
  /** Id of the author, and its name if it is known. */
  from: string;
  name: string | null;
  text: string;
  /** Members that it went to. */
  delivered: number;
}

/** One who has been proven to have signed wrong data. */
export interface EvidenceStatus {
  id: string;
  name: string | null;
  /** Of the transfer in which it did. */
  transfer: string;
  sharer: string;
}

/** What is counted: under which name, and what is said of it. */
export const TRACKER_COUNTERS = {
  joined: ["joins", "Peers that were listed, for the first time or again"],
  left: ["leaves", "Peers that left the list"],
  refused: ["refused_connections", "Connections that came to nothing"],
  broadcasts: ["broadcasts", "Broadcasts that were relayed"],
  messages: ["messages", "Copies of broadcasts that went out"],
  reports: ["reports", "Reports of shares that came in"],
  relayedBytes: ["relayed_bytes", "Bytes passed on between peers without a direct path"],
} as const;

/** How often each of these has happened since the tracker started. */
export type TrackerCounts = Record<keyof typeof TRACKER_COUNTERS, number>;

/** What the page, the API and the metrics of a tracker are made from. */
export interface TrackerStatus {
  /** The tracker itself, as it is now. */
  info(): Promise<TrackerInfo>;
  /** Who is listed. */
  peers(): Promise<PeerStatus[]>;
  /** Shares, those reported last first. */
  shares(): ReportedShare[];
  /** A share and its recipients; null when it is not there. */
  share(
    from: string,
    share: string,
  ): { share: ReportedShare; recipients: ReportedRecipient[] } | null;
  /** The latest broadcasts, the last one first. */
  messages(): MessageStatus[];
  /** Who has signed wrong data, the first to be proven so first. */
  evidence(): EvidenceStatus[];
  /** What has happened since it started. */
  counts(): Readonly<TrackerCounts>;
  /** Calls a listener after each change, until the returned function is called. */
  onChanged(listener: (topic: Topic) => void): () => void;
}
