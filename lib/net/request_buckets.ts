import type { Clock } from "../async/clock.ts";

/**
 * Number of keys from which on each request has those forgotten whose bucket is full again: they are as good as new. No
 * cap: keys with tokens missing stay, however many they are.
 */
const SWEEP_ABOVE = 1024;

/** Refusals of one address that are reported, per second and at once: strangers must not fill the log of a service. */
export const REFUSALS_TOLD = { rate: 0.1, burst: 5 };

/** A token bucket per key, for example an id or an address: `rate` requests per second on average, `burst` at once. */
export class RequestBuckets {
  readonly #rate: number;
  readonly #burst: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor({ rate, burst, clock }: { rate: number; burst: number; clock: Clock }) {
    this.#rate = rate;
    this.#burst = burst;
    this.#clock = clock;
  }

  /** Takes one token of `key`; false when there is none. */
  take(key: string): boolean {
    if (this.#buckets.size >= SWEEP_ABOVE) this.#sweep();
    const now = this.#clock.now();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#burst, at: now };
    const tokens = Math.min(this.#burst, bucket.tokens + (now - bucket.at) * this.#rate / 1000);
    const allowed = tokens >= 1;
    this.#buckets.set(key, { tokens: allowed ? tokens - 1 : tokens, at: now });
    return allowed;
  }

  /** Forgets keys whose bucket is full again. */
  #sweep(): void {
    const now = this.#clock.now();
    for (const [key, { tokens, at }] of this.#buckets) {
      if (tokens + (now - at) * this.#rate / 1000 >= this.#burst) this.#buckets.delete(key);
    }
  }
}
