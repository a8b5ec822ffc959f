import { type Clock, systemClock } from "../../async/clock.ts";
import { P2PError } from "../../errors.ts";
import { PEERS_PER_FRAME } from "../../wire/limits.ts";
import type { PeerEntry } from "../../wire/message.ts";
import { ChangeLog } from "./change_log.ts";
import { Names } from "./names.ts";
import type { Kept, RememberedPeer, TrackerStore } from "../store/tracker_store.ts";
import type { Barred, Changes, Registration, Registry, RegistryEvent } from "./registry.ts";

/** What differs from an empty {@linkcode MemoryRegistry} that nothing outlives. */
export interface MemoryRegistryOptions {
  /** Times the leases. */
  clock?: Clock;
  /** What is remembered from before, and has to outlive this process. */
  store?: Pick<TrackerStore, "peers" | "barred" | "keepPeers">;
}

/** How long peers have to come back to a tracker that was restarted, milliseconds. */
const RETURN_WITHIN = 60_000;

interface Slot {
  /** Null after the peer has left. */
  entry: PeerEntry | null;
  token: string;
  /** Length in milliseconds; Infinity for a registration without a lease. */
  lease: number;
  /** When the lease is over, milliseconds of the clock. */
  until: number;
}

/** What one who is barred is told. */
export const BARRED: string = "Cannot join: this peer has been removed from the network; " +
  "whoever runs the tracker can undo that with `tracker restore`";

/** Departures that are remembered beyond the peers that are there. */
const MAX_REMEMBERED = 10_000;

/**
 * A registry in memory, without timers. Invariants: each id has one slot; each slot has a change in the
 * log; names belong to ids with a slot only; what has a slot, or is barred, is in the store.
 */
export class MemoryRegistry implements Registry {
  readonly #newEpoch: () => string;
  readonly #clock: Clock;
  readonly #kept: Kept<string> | undefined;
  readonly #slots = new Map<string, Slot>();
  readonly #log = new ChangeLog();
  readonly #names = new Names();
  readonly #listeners = new Set<(event: RegistryEvent) => void>();
  /** By id. */
  readonly #barred = new Map<string, Barred>();
  /** The barred ids as {@linkcode MemoryRegistry.barred} hands them out; replaced and never changed. */
  #barredIds: readonly string[] = [];
  #epoch: string;
  #lastToken = 0;
  /** Slots with an entry. */
  #present = 0;

  /** @param newEpoch gives 16 random bytes in base64url. */
  constructor(newEpoch: () => string, options: MemoryRegistryOptions = {}) {
    this.#newEpoch = newEpoch;
    this.#epoch = newEpoch();
    this.#clock = options.clock ?? systemClock;
    const { store } = options;
    if (!store) return;
    this.#remember(store);
    this.#kept = store.keepPeers((id) => this.#stateOf(id));
  }

  register(entry: PeerEntry, { lease = Infinity }: { lease?: number } = {}): Registration {
    const { id, name } = entry;
    if (this.#barred.has(id)) {
      throw new P2PError("barred", BARRED);
    }
    const wanted = { ...entry, name: this.#names.claim(id, name) };
    const known = this.#slots.get(id)?.entry;
    const isSame = known !== undefined && known !== null && isSameEntry(known, wanted);
    const listed = isSame && !known.away ? known : wanted;
    if (!known) this.#present++;
    const token = `${++this.#lastToken}`;
    this.#slots.set(id, { entry: listed, token, lease, until: this.#clock.now() + lease });
    if (isSame && known.away) {
      // It is listed as it was, so that a thousand who come back at once cost nobody a new list.
      this.#tell({ kind: "returned", entry: listed });
    } else if (!isSame) {
      this.#kept?.changed(id);
      this.#log.note(id);
      this.#tell({ kind: known ? "changed" : "joined", entry: listed });
    }
    return { entry: listed, token };
  }

  unregister(id: string, token?: string): boolean {
    const slot = this.#slots.get(id);
    if (!slot || (token !== undefined && slot.token !== token)) return false;
    return this.#remove(id, "unregistered") !== null;
  }

  touch(id: string, token: string): boolean {
    const slot = this.#slots.get(id);
    if (!slot?.entry || slot.token !== token) return false;
    slot.until = this.#clock.now() + slot.lease;
    return true;
  }

  expire(): PeerEntry[] {
    const now = this.#clock.now();
    const late = [...this.#slots].filter(([, { entry, until }]) => entry && until <= now);
    return late.flatMap(([id]) => this.#remove(id, "expired") ?? []);
  }

  bar(id: string): void {
    if (!this.#barred.has(id)) {
      const entry = this.get(id);
      this.#barred.set(id, { id, ...(entry ? { name: entry.name } : {}) });
      this.#names.release(id);
      this.#barredChanged();
      this.#remove(id, "barred");
      this.#tell({ kind: "barred", id });
    }
    this.#kept?.expectKept(id);
  }

  restore(id: string): void {
    if (this.#barred.delete(id)) {
      this.#barredChanged();
      this.#tell({ kind: "restored", id });
    }
    this.#kept?.expectKept(id);
  }

  get(id: string): PeerEntry | undefined {
    return this.#slots.get(id)?.entry ?? undefined;
  }

  list(): PeerEntry[] {
    return [...this.#log.since(0)].flatMap(({ id }) => this.get(id) ?? []);
  }

  /** See {@linkcode Registry.changes}. */
  changes(since: number, epoch?: string, limit = PEERS_PER_FRAME): Changes {
    const { revision } = this.#log;
    const full = epoch !== this.#epoch || since > revision;
    const peers: PeerEntry[] = [];
    const gone: string[] = [];
    const upTo = (revision: number, more: boolean): Changes => (
      { epoch: this.#epoch, revision, full, more, peers, gone }
    );
    let last = full ? 0 : since;
    for (const change of this.#log.since(last)) {
      if (peers.length + gone.length === limit) {
        return upTo(last, true);
      }
      const entry = this.get(change.id);
      if (entry) peers.push(entry);
      else if (!full) gone.push(change.id);
      last = change.revision;
    }
    return upTo(revision, false);
  }

  isBarred(id: string): boolean {
    return this.#barred.has(id);
  }

  barred(): readonly string[] {
    return this.#barredIds;
  }

  subscribe(listener: (event: RegistryEvent) => void): () => void {
    // A wrapper, so that a listener that subscribes twice unsubscribes one by one.
    const told = (event: RegistryEvent) => listener(event);
    this.#listeners.add(told);
    return () => void this.#listeners.delete(told);
  }

  /** A new revision, so that the members hear of it. */
  #barredChanged(): void {
    this.#barredIds = [...this.#barred.keys()];
    this.#log.count();
  }

  /** Takes an entry off the list; null when there is none. */
  #remove(id: string, cause: "unregistered" | "expired" | "barred"): PeerEntry | null {
    const slot = this.#slots.get(id);
    if (!slot?.entry) return null;
    const { entry } = slot;
    slot.entry = null;
    this.#present--;
    this.#kept?.changed(id);
    this.#log.note(id);
    if (this.#slots.size > this.#present + MAX_REMEMBERED) this.#forgetDeparted();
    this.#tell({ kind: "gone", entry, cause });
    return entry;
  }

  /** Keeps the memory of those who left bounded; a new epoch makes everybody ask for the whole list. */
  #forgetDeparted(): void {
    const departed = [...this.#slots].flatMap(([id, { entry }]) => entry ? [] : [id]);
    for (const id of departed) {
      this.#slots.delete(id);
      this.#log.forget(id);
      this.#names.release(id);
    }
    this.#kept?.changed(...departed);
    this.#epoch = this.#newEpoch();
  }

  /** Takes up what a process before this one knew: who was there is listed, and expected back. */
  #remember(store: Pick<TrackerStore, "peers" | "barred">): void {
    for (const { id, entry, names } of store.peers()) {
      if (!entry && names.length === 0) continue; // Of one who is barred.
      this.#names.restore(id, names);
      if (entry) this.#present++;
      this.#slots.set(id, {
        entry: entry && { ...entry, away: true },
        token: `${++this.#lastToken}`,
        lease: RETURN_WITHIN,
        until: this.#clock.now() + RETURN_WITHIN,
      });
      this.#log.note(id);
    }
    for (const one of store.barred()) this.#barred.set(one.id, one);
    this.#barredIds = [...this.#barred.keys()];
  }

  /** What is to be remembered of an id. */
  #stateOf(id: string): RememberedPeer | null {
    const slot = this.#slots.get(id);
    const barred = this.#barred.get(id);
    const entry = slot?.entry ?? null;
    const names = this.#names.of(id);
    if (!entry && names.length === 0 && !barred) return null;
    const { name } = barred ?? {};
    return {
      ...{ id, entry, names },
      ...(barred ? { barred: name === undefined ? {} : { name } } : {}),
    };
  }

  #tell(event: RegistryEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

/** Whether two entries say the same of their peer, there or away. */
function isSameEntry(a: PeerEntry, b: PeerEntry): boolean {
  return a.id === b.id && a.name === b.name && a.host === b.host && a.port === b.port &&
    a.reachable === b.reachable &&
    areSame(a.addresses, b.addresses) &&
    (a.groups ?? []).join() === (b.groups ?? []).join();
}

function areSame(a: PeerEntry["addresses"] = [], b: PeerEntry["addresses"] = []): boolean {
  return a.length === b.length &&
    a.every(({ host, port }, i) => host === b[i]?.host && port === b[i]?.port);
}
