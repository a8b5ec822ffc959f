import type { Clock } from "../../lib/async/clock.ts";
import { deadline } from "./deadline.ts";

interface Timer {
  at: number;
  ms: number;
  callback: () => void;
}

/** A clock that stands still until it is advanced. */
export class FakeClock implements Clock {
  readonly #timers = new Set<Timer>();
  readonly #watchers = new Set<(timer: Timer) => void>();
  #now: number;

  constructor(now = 1_000_000) {
    this.#now = now;
  }

  /** Timers that have not fired, by their length in milliseconds. */
  get pending(): number[] {
    return [...this.#timers].map(({ ms }) => ms);
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, ms, callback };
    this.#timers.add(timer);
    for (const watcher of this.#watchers) watcher(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Goes on by `ms`; timers fire in their order, also those that others start on the way. */
  advance(ms: number): void {
    const end = this.#now + ms;
    while (true) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
    this.#now = end;
  }

  /** Resolves with the length of a timer that is pending, or starts later, and that fits. */
  async timer(fits: (ms: number) => boolean): Promise<number> {
    const found = this.pending.find(fits);
    if (found !== undefined) return found;
    const { promise, resolve } = Promise.withResolvers<number>();
    const watcher = ({ ms }: Timer) => {
      if (fits(ms)) resolve(ms);
    };
    this.#watchers.add(watcher);
    try {
      return await deadline(promise, () => `a timer; pending are ${this.pending}`);
    } finally {
      this.#watchers.delete(watcher);
    }
  }
}
