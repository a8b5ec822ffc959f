/**
 * What of a tracker outlives its process. State lives in the memory of those that own it, and is read from there when it
 * is written: a disk that takes nothing for a while costs what happens until it does again, and not the tracker.
 *
 * @module
 */

import type { Evidence } from "../../identity/evidence.ts";
import type {
  PeerEntry,
  ReportedRecipient,
  ReportedShare,
  ShareSummary,
} from "../../wire/message.ts";
import type { Barred } from "../registry/registry.ts";

/** Rows of one kind, each by its key. Invariant: what is kept of a key is the state of it, once that could be written. */
export interface Kept<K> {
  /** Writes the state of keys as it is now; where that fails, it is written as soon as it can be. */
  changed(...keys: K[]): void;
  /**
   * Writes the state of a key so that it outlives a power cut as well.
   *
   * @throws {P2PError} `disk` when it cannot be written now.
   */
  expectKept(key: K): void;
}

/** What a registry remembers of one id. */
export interface RememberedPeer {
  readonly id: string;
  /** Null after it has left, when its names are reserved for it still. */
  readonly entry: PeerEntry | null;
  /** Keys of the names that are its own, the one that it asked for last at the end. */
  readonly names: readonly string[];
  /** Set when it is barred. */
  readonly barred?: { readonly name?: string };
}

/** A share: by whom it was reported, and what it is called. */
export type ShareKey = readonly [reporter: string, share: string];
/** A recipient of a share, by its id or its name. */
export type RecipientKey = readonly [...ShareKey, recipient: string];

/** What is remembered of a share, but for its recipients. */
export interface RememberedShare {
  readonly about: ShareSummary;
  readonly state: ReportedShare["state"];
  /** Milliseconds since 1970. */
  readonly heardAt: number;
}

/** Where a tracker remembers what it must not forget. */
export interface TrackerStore {
  /** False while what is to be kept cannot be written. */
  readonly isWritable: boolean;
  /** All ids, those changed last at the end. */
  peers(): RememberedPeer[];
  /** Ids of those who are barred, and what they were called, the latest last. */
  barred(): Barred[];
  /** All shares in the order in which they came first. */
  shares(): { key: ShareKey; share: RememberedShare; recipients: [string, ReportedRecipient][] }[];
  /** All evidence, the oldest first. */
  evidence(): Evidence[];
  /** Keeps peers; a state of null is forgotten. */
  keepPeers(stateOf: (id: string) => RememberedPeer | null): Kept<string>;
  /** Keeps shares; one that is forgotten takes its recipients along. */
  keepShares(stateOf: (key: ShareKey) => RememberedShare | null): Kept<ShareKey>;
  /** Keeps recipients of shares that are kept. */
  keepRecipients(stateOf: (key: RecipientKey) => ReportedRecipient | null): Kept<RecipientKey>;
  /** Keeps evidence, by the id of whom it convicts. */
  keepEvidence(stateOf: (server: string) => Evidence | null): Kept<string>;
}
