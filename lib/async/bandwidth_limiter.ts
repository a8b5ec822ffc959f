import { onAbort } from "./abort.ts";
import type { Clock } from "./clock.ts";

/** Most bytes that one lane gets before it is the next one's turn: the smallest piece. */
const SLICE = 16 * 1024;
/** Seconds' worth that gather while nobody asks: what may pass at once after a pause. */
const BURST = 0.1;
/** Longest pause in seconds between two servings while lanes wait: how smooth it is. */
const SERVING = 0.02;
/** Shortest pause in milliseconds: timers are no finer. */
const MIN_PAUSE = 1;

interface Waiter {
  /** Bytes still to be granted, and those that have been. */
  left: number;
  granted: number;
  resolve(): void;
}

interface Lane {
  /** Requests of the lane that wait, the first one first. */
  waiters: Waiter[];
}

/** The place of one transfer at a {@linkcode BandwidthLimiter}. */
export interface BandwidthLane {
  /**
   * Resolves when `bytes` may pass. Requests of one lane are granted in their order.
   *
   * @throws the reason of `signal` once that aborts; what had been granted by then goes to the others.
   */
  take(bytes: number, signal?: AbortSignal): Promise<void>;
}

/**
 * A token bucket that transfers share: `rate` bytes per second in all, dealt out in slices, one lane after
 * the other, so that a transfer of small pieces gets as much as one of large pieces. A request may be
 * larger than the bucket; it is granted when all its slices are. The bucket is empty at the start.
 */
export class BandwidthLimiter {
  readonly #rate: number;
  readonly #clock: Clock;
  readonly #burst: number;
  /** Lanes in which somebody waits, the next one first. */
  readonly #waiting: Lane[] = [];
  #tokens = 0;
  #at: number;
  #cancel: (() => void) | undefined;

  /** @param options `rate` is in bytes per second, at least 1. */
  constructor({ rate, clock }: { rate: number; clock: Clock }) {
    this.#rate = rate;
    this.#clock = clock;
    this.#burst = Math.max(1, rate * BURST);
    this.#at = clock.now();
  }

  /** A lane for one transfer; it needs no closing. */
  lane(): BandwidthLane {
    const lane: Lane = { waiters: [] };
    return { take: (bytes, signal) => this.#take(lane, bytes, signal) };
  }

  async #take(lane: Lane, bytes: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (bytes <= 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { left: bytes, granted: 0, resolve };
    using _ = onAbort(signal, () => {
      this.#drop(lane, waiter);
      reject(signal?.reason);
    });
    if (lane.waiters.push(waiter) === 1) this.#waiting.push(lane);
    this.#serve();
    await promise;
  }

  /** Gives up a request; a lane that has no other leaves the round. */
  #drop(lane: Lane, waiter: Waiter): void {
    const index = lane.waiters.indexOf(waiter);
    if (index < 0) return;
    lane.waiters.splice(index, 1);
    if (lane.waiters.length === 0) this.#waiting.splice(this.#waiting.indexOf(lane), 1);
    this.#tokens = Math.min(this.#burst, this.#tokens + waiter.granted);
    this.#serve();
  }

  /** Deals out what there is, and comes back when there is more. */
  #serve(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const now = this.#clock.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#rate / 1000);
    this.#at = now;
    while (this.#tokens >= 1 && this.#serveNext());
    if (this.#waiting.length === 0) return;
    const missing = Math.max(1, Math.min(this.#wanted, this.#rate * SERVING)) - this.#tokens;
    const pause = Math.max(MIN_PAUSE, missing * 1000 / this.#rate);
    this.#cancel = this.#clock.after(pause, () => this.#serve());
  }

  /** One slice for the lane whose turn it is; false when none waits. */
  #serveNext(): boolean {
    const lane = this.#waiting.shift();
    const waiter = lane?.waiters[0];
    if (!lane || !waiter) return false;
    const slice = Math.min(waiter.left, SLICE, Math.floor(this.#tokens));
    this.#tokens -= slice;
    waiter.left -= slice;
    waiter.granted += slice;
    if (waiter.left === 0) {
      lane.waiters.shift();
      waiter.resolve();
    }
    if (lane.waiters.length > 0) this.#waiting.push(lane);
    return true;
  }

  /** Bytes that the first requests of all lanes lack. */
  get #wanted(): number {
    return this.#waiting.reduce((sum, { waiters: [first] }) => sum + (first?.left ?? 0), 0);
  }
}
