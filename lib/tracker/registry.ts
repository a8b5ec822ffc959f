/**
 * Who is there, by revision. Pure state: no sockets, no timers; what it needs of time is handed in.
 *
 * @module
 */

import { P2PError } from "../errors.ts";
import { MAX_PEERS_PER_FRAME } from "../wire/limits.ts";
import type { MessageOf, PeerEntry } from "../wire/message.ts";
import { isPeerName, numberedPeerName, peerNameKey } from "../wire/peer_name.ts";

/** A value, now or later: a registry may live in this process or in a database. */
export type Awaitable<T> = T | Promise<T>;

/** What changed since a revision: what a PEER_LIST frame says of the registry. */
export type Changes = Omit<MessageOf<"PEER_LIST">, "verb" | "re" | "barred">;

/** Where a tracker keeps its peers. */
export interface Registry {
  /**
   * Adds or replaces the entry of `entry.id` and resolves with it as listed: the name is the one asked
   * for, or with `-2`, `-3` ... when another key holds it.
   *
   * @throws {P2PError} `invalid` on a name that is not allowed.
   */
  register(entry: PeerEntry): Awaitable<PeerEntry>;
  /** Removes an entry; false when there is none. The name stays reserved for its key. */
  unregister(id: string): Awaitable<boolean>;
  /** The entry of an id that is there. */
  get(id: string): Awaitable<PeerEntry | undefined>;
  /** All entries, in the order of their last change. */
  list(): Awaitable<PeerEntry[]>;
  /** At most {@linkcode MAX_PEERS_PER_FRAME} changes after `since`. */
  changes(since: number, epoch?: string): Awaitable<Changes>;
}

interface Slot {
  revision: number;
  entry: PeerEntry | null;
}

/** Names and departures that are remembered beyond the peers that are there. */
const MAX_REMEMBERED = 10_000;
/** Names that one key keeps; the one that it has not asked for for longest is free again. */
const MAX_NAMES = 8;

/**
 * A registry in memory. Invariants: each id has one slot; slots stand in the order of their revisions,
 * which only grow; each name belongs to one id.
 */
export class MemoryRegistry implements Registry {
  readonly #newEpoch: () => string;
  #epoch: string;
  /** By id; insertion order is revision order. */
  readonly #slots = new Map<string, Slot>();
  /** Name to the id that first asked for it. */
  readonly #owners = new Map<string, string>();
  /** Id to the names that it owns, the last one it got at the end. */
  readonly #names = new Map<string, Set<string>>();
  #revision = 0;
  /** Slots with an entry. */
  #present = 0;

  /** @param newEpoch gives 16 random bytes in base64url. */
  constructor(newEpoch: () => string) {
    this.#newEpoch = newEpoch;
    this.#epoch = newEpoch();
  }

  register(entry: PeerEntry): PeerEntry {
    const listed = { ...entry, name: this.#nameFor(entry) };
    const known = this.#slots.get(entry.id)?.entry;
    if (known && sameEntry(known, listed)) return known;
    this.#set(entry.id, listed);
    return listed;
  }

  unregister(id: string): boolean {
    if (!this.#slots.get(id)?.entry) return false;
    this.#set(id, null);
    if (this.#slots.size > this.#present + MAX_REMEMBERED) this.#forgetDeparted();
    return true;
  }

  get(id: string): PeerEntry | undefined {
    return this.#slots.get(id)?.entry ?? undefined;
  }

  list(): PeerEntry[] {
    return [...this.#slots.values()].flatMap(({ entry }) => entry ? [entry] : []);
  }

  /** See {@linkcode Registry.changes}. */
  changes(since: number, epoch?: string): Changes {
    const full = epoch !== this.#epoch || since > this.#revision;
    const from = full ? 0 : since;
    const result: Changes = {
      epoch: this.#epoch,
      revision: this.#revision,
      full,
      more: false,
      peers: [],
      gone: [],
    };
    let last = from;
    for (const [id, { revision, entry }] of this.#slots) {
      if (revision <= from) continue;
      if (result.peers.length + result.gone.length === MAX_PEERS_PER_FRAME) {
        return { ...result, revision: last, more: true };
      }
      if (entry) result.peers.push(entry);
      else if (!full) result.gone.push(id);
      last = revision;
    }
    return result;
  }

  #set(id: string, entry: PeerEntry | null): void {
    if (this.#slots.get(id)?.entry) this.#present--;
    if (entry) this.#present++;
    this.#slots.delete(id);
    this.#slots.set(id, { revision: ++this.#revision, entry });
  }

  #nameFor({ id, name }: PeerEntry): string {
    if (!isPeerName(name)) {
      throw new P2PError(
        "invalid",
        `Cannot register the name "${name}": names have 1 to 64 characters without spaces and ` +
          "without , @ : / and are not `all` or `tracker`; choose another with --name",
      );
    }
    for (let n = 1;; n++) {
      const candidate = numberedPeerName(name, n);
      const owner = this.#owners.get(peerNameKey(candidate));
      if (owner !== undefined && owner !== id) continue;
      this.#own(peerNameKey(candidate), id);
      return candidate;
    }
  }

  #own(name: string, id: string): void {
    const names = this.#names.get(id) ?? new Set();
    names.delete(name);
    names.add(name);
    this.#names.set(id, names);
    this.#owners.set(name, id);
    for (const oldest of names) {
      if (names.size <= MAX_NAMES) break;
      names.delete(oldest);
      this.#owners.delete(oldest);
    }
  }

  /** Keeps the memory of those who left bounded; a new epoch makes everybody ask for the whole list. */
  #forgetDeparted(): void {
    for (const [id, { entry }] of this.#slots) if (!entry) this.#slots.delete(id);
    for (const [name, owner] of this.#owners) {
      if (!this.#slots.has(owner)) this.#owners.delete(name);
    }
    for (const id of this.#names.keys()) if (!this.#slots.has(id)) this.#names.delete(id);
    this.#epoch = this.#newEpoch();
  }
}

function sameEntry(a: PeerEntry, b: PeerEntry): boolean {
  return a.id === b.id && a.name === b.name && a.host === b.host && a.port === b.port &&
    a.reachable === b.reachable;
}
