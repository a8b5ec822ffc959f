import { ownerOf } from "../address.ts";
import type { Clock } from "../async/clock.ts";

/**
 * Number of keys from which on each request has those forgotten whose bucket is full again: they are as good as new. No
 * cap: keys with tokens missing stay, however many they are.
 */
const SWEEP_ABOVE = 1024;

/** So many a second on average, and so many at once. */
export interface Rate {
  readonly rate: number;
  readonly burst: number;
}

/** The rates of one kind of request: of one key (an id), of one address (a /64 of IPv6), and of all together. */
export interface Rates {
  readonly key: Rate;
  readonly address: Rate;
  readonly all: Rate;
}

/** Refusals that are reported: strangers must not fill the log of a service, from however many addresses. */
export const REFUSALS_TOLD: Rates = {
  key: { rate: 0.1, burst: 5 },
  address: { rate: 0.1, burst: 5 },
  all: { rate: 1, burst: 50 },
};

/** A token bucket per key, for example an id or an address: `rate` requests per second on average, `burst` at once. */
export class RequestBuckets {
  readonly #rate: number;
  readonly #burst: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor({ rate, burst, clock }: Rate & { clock: Clock }) {
    this.#rate = rate;
    this.#burst = burst;
    this.#clock = clock;
  }

  /** Whether there is a token of `key`. */
  has(key: string): boolean {
    return this.#tokens(key) >= 1;
  }

  /** Takes one token of `key`; false when there is none. */
  take(key: string): boolean {
    if (this.#buckets.size >= SWEEP_ABOVE) this.#sweep();
    const tokens = this.#tokens(key);
    const allowed = tokens >= 1;
    this.#buckets.set(key, { tokens: allowed ? tokens - 1 : tokens, at: this.#clock.now() });
    return allowed;
  }

  #tokens(key: string): number {
    const bucket = this.#buckets.get(key);
    if (!bucket) return this.#burst;
    return Math.min(
      this.#burst,
      bucket.tokens + (this.#clock.now() - bucket.at) * this.#rate / 1000,
    );
  }

  /** Forgets keys whose bucket is full again. */
  #sweep(): void {
    const now = this.#clock.now();
    for (const [key, { tokens, at }] of this.#buckets) {
      if (tokens + (now - at) * this.#rate / 1000 >= this.#burst) this.#buckets.delete(key);
    }
  }
}

/**
 * Limits of one kind of request. Keys cost nothing, and some have many addresses, so that a limit by either alone is
 * none. A request that is refused uses up nothing: what one asks for in vain is not taken from all.
 */
export class RequestLimits {
  readonly #keys: RequestBuckets;
  readonly #addresses: RequestBuckets;
  readonly #all: RequestBuckets;

  constructor({ key, address, all, clock }: Rates & { clock: Clock }) {
    this.#keys = new RequestBuckets({ ...key, clock });
    this.#addresses = new RequestBuckets({ ...address, clock });
    this.#all = new RequestBuckets({ ...all, clock });
  }

  /**
   * Whether another request of `key` may come from the address `host`, where the address is not the key itself: for
   * those that have to be looked at before they are known to be good ones, which alone count.
   */
  has(key: string, host = key): boolean {
    return this.#keys.has(key) && this.#addresses.has(ownerOf(host)) && this.#all.has("");
  }

  /** Counts a request; false, and nothing counted, when it is one too many. */
  take(key: string, host = key): boolean {
    if (!this.has(key, host)) return false;
    return this.#keys.take(key) && this.#addresses.take(ownerOf(host)) && this.#all.take("");
  }
}
