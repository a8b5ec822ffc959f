import { networkOf, plainHost } from "../address.ts";
import type { P2PError } from "../errors.ts";
import { ProvenHosts } from "./proven_hosts.ts";

/** Least number of callers that are greeted at once. */
const MIN_ROOM = 8;

/** Somebody who has connected and not proven itself yet. */
export interface Caller {
  readonly host: string;
  /** Ends its greeting; what is to be closed or parked then changes as the greeting goes on. */
  turnAway: (reason: P2PError) => void;
}

/**
 * The callers whose greeting is under way, a bounded number. Invariant: a quarter of the room is for addresses at
 * which somebody has proven itself before.
 */
export class WaitingRoom {
  #max: number;
  /** Oldest first. */
  readonly #callers = new Set<Caller>();
  readonly #proven = new ProvenHosts();

  /** @param max callers at once. */
  constructor(max: number) {
    this.#max = max;
  }

  /** All callers, oldest first. */
  get callers(): readonly Caller[] {
    return [...this.#callers];
  }

  /**
   * Takes a caller in.
   *
   * @returns whom to turn away for it, who has left the room and came before: the oldest caller of the busiest address
   * in the busiest network (a /24 or /64); of the strangers when they have more than their part of the room.
   */
  enter(caller: Caller): Caller | undefined {
    this.#callers.add(caller);
    const strangers = this.callers.filter(({ host }) => !this.#proven.has(host));
    const maxStrangers = Math.max(1, this.#max - Math.floor(this.#max / 4));
    if (strangers.length > maxStrangers) return this.#take(strangers);
    return this.#callers.size > this.#max ? this.#take(this.callers) : undefined;
  }

  /**
   * Makes the room half as large as it is full now, for good: there are fewer descriptors than it was made for.
   *
   * @returns whom to turn away for it.
   */
  shrink(): Caller[] {
    this.#max = Math.max(MIN_ROOM, Math.floor(Math.min(this.#max, this.#callers.size) / 2));
    const out: Caller[] = [];
    while (this.#callers.size > this.#max) {
      const caller = this.#take(this.callers);
      if (caller) out.push(caller);
    }
    return out;
  }

  /** Notes that a caller has left. */
  leave(caller: Caller): void {
    this.#callers.delete(caller);
  }

  /** Notes that the caller has proven itself, so that room is kept for its address. */
  prove({ host }: Caller): void {
    this.#proven.add(host);
  }

  #take(callers: readonly Caller[]): Caller | undefined {
    const crowd = busiest(callers, ({ host }) => networkOf(host));
    const [oldest] = busiest(crowd, ({ host }) => plainHost(host));
    if (oldest) this.#callers.delete(oldest);
    return oldest;
  }
}

/** The largest of the groups that have the same key; of several the one that came first. */
function busiest(callers: readonly Caller[], keyOf: (caller: Caller) => string): readonly Caller[] {
  const groups = Map.groupBy(callers, keyOf);
  let most: readonly Caller[] = [];
  for (const group of groups.values()) {
    if (group.length > most.length) most = group;
  }
  return most;
}
