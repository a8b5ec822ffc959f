/**
 * Who is there, as trackers keep it: a store that they write, a view that they list from, and a bus that
 * tells of each change, whichever tracker made it. Every adapter passes the contract of
 * `tests/unit/tracker/registry_contract.ts`.
 *
 * @module
 */

import type { MessageOf, PeerEntry } from "../../wire/message.ts";

/** A value, now or later: a registry may live in this process or in a database. */
export type Awaitable<T> = T | Promise<T>;

/** What changed since a revision: what a PEER_LIST frame says of the registry. */
export type Changes = Omit<MessageOf<"PEER_LIST">, "verb" | "re" | "barred">;

/** An entry as listed, and the token that tells this registration from later ones of the same id. */
export interface Registration {
  readonly entry: PeerEntry;
  readonly token: string;
}

/** One who is barred from the network, and the name it went by when it was. */
export interface Barred {
  readonly id: string;
  /** Absent when it was not listed. */
  readonly name?: string;
}

/** One change of a registry. */
export type RegistryEvent =
  | { kind: "joined"; entry: PeerEntry }
  /** Another name, address (of several) or reachability of an entry that was there. */
  | { kind: "changed"; entry: PeerEntry }
  /** One that was remembered from before a restart has registered again as it was: no change of the list. */
  | { kind: "returned"; entry: PeerEntry }
  | { kind: "gone"; entry: PeerEntry; cause: "unregistered" | "expired" | "barred" }
  | { kind: "barred"; id: string }
  /** No longer barred. */
  | { kind: "restored"; id: string };

/** The part that is written. */
export interface RegistryStore {
  /**
   * Adds or replaces the entry of `entry.id`. Its listed name is the one asked for, or with `-2`, `-3` ...
   * when another key holds it. The lease in milliseconds is how long the registration lasts without a
   * {@linkcode RegistryStore.touch}; without a lease it lasts for ever.
   *
   * @throws {P2PError} `invalid` on a name that is not allowed, `barred` for an id that is.
   */
  register(entry: PeerEntry, options?: { lease?: number }): Awaitable<Registration>;
  /**
   * Removes the entry of an id; false when there is none. With a token only the registration that it is of
   * is removed, and never one that came after. The name stays reserved for its key.
   */
  unregister(id: string, token?: string): Awaitable<boolean>;
  /** Begins the lease of a registration anew; false when it is gone or another one has taken its place. */
  touch(id: string, token: string): Awaitable<boolean>;
  /** Removes the entries whose lease is over, and resolves with them. Until then they are listed. */
  expire(): Awaitable<PeerEntry[]>;
  /** Bars an id until it is restored: its entry goes, its names are free, and it can register no more. */
  bar(id: string): Awaitable<void>;
  /** Lets a barred id register again, under a name that is free then; nothing for one that is not barred. */
  restore(id: string): Awaitable<void>;
}

/** The part that is read. */
export interface RegistryView {
  /** The entry of an id that is there. */
  get(id: string): Awaitable<PeerEntry | undefined>;
  /** All entries, in the order of their last change. */
  list(): Awaitable<PeerEntry[]>;
  /**
   * At most `limit` changes after `since` (`PEERS_PER_FRAME` by default), at a cost that grows with the
   * number of changes and not of entries. A bar changes the revision, too.
   */
  changes(since: number, epoch?: string, limit?: number): Awaitable<Changes>;
  /** Whether an id is barred. */
  isBarred(id: string): Awaitable<boolean>;
  /** All barred ids, the latest last. Not a copy. */
  barred(): Awaitable<readonly string[]>;
}

/** The part that tells. */
export interface RegistryBus {
  /** Calls `listener` after each change until the returned function is called. */
  subscribe(listener: (event: RegistryEvent) => void): () => void;
}

/** Where a tracker keeps its peers. */
export interface Registry extends RegistryStore, RegistryView, RegistryBus {}
