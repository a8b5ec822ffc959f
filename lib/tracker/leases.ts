import type { Clock } from "../async/clock.ts";
import type { Registry } from "./registry/registry.ts";
import { LEASE, type Roster } from "./roster.ts";

/** Renewals that may fail, one after the other, before a lease is over. */
const SPARE = 2;

/**
 * Renews the leases of all members for as long as this tracker lives, and takes those off the list that
 * nobody renews: what a tracker that died has left in a registry that outlives it.
 */
export class Leases {
  readonly #options: { registry: Registry; roster: Roster; clock: Clock };
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(options: { registry: Registry; roster: Roster; clock: Clock }) {
    this.#options = options;
    this.#schedule();
  }

  /** Renews no more. */
  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.after(LEASE / (SPARE + 1), () => void this.#round());
  }

  async #round(): Promise<void> {
    const { registry, roster } = this.#options;
    try {
      // Renewed first: after a sleep of the machine all leases are over.
      await roster.renew();
      await registry.expire();
    } catch {
      // A registry that cannot be reached is tried again in the next round.
    }
    if (!this.#stopped) this.#schedule();
  }
}
