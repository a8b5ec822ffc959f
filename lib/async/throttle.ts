import type { Clock } from "./clock.ts";

/** When a line of progress is due again. */
export interface ThrottleOptions {
  clock: Clock;
  /** A line is due after so many milliseconds. */
  every: number;
  /** A line is also due after so many percent more. */
  percent?: number;
  /** But never sooner than after so many milliseconds. */
  atLeast?: number;
}

/** What was last let through for one key. */
interface Last {
  at: number;
  percent: number;
}

/** Thins out the progress of many transfers, each under a key of its own. */
export class Throttle {
  readonly #options: Required<ThrottleOptions>;
  readonly #last = new Map<string, Last>();

  constructor(options: ThrottleOptions) {
    this.#options = { percent: Infinity, atLeast: 0, ...options };
  }

  /** Starts the time of `key` without letting anything through. */
  start(key: string): void {
    if (!this.#last.has(key)) this.#last.set(key, { at: this.#options.clock.now(), percent: 0 });
  }

  /** Whether what has come to `percent` is to be shown now; the first of a key always is. */
  admit(key: string, percent: number | null): boolean {
    const { clock, every, percent: step, atLeast } = this.#options;
    const now = clock.now();
    const last = this.#last.get(key);
    const reached = percent ?? 0;
    if (last !== undefined) {
      const waited = now - last.at;
      const advanced = reached - last.percent >= step && waited >= atLeast;
      if (waited < every && !advanced) return false;
    }
    this.#last.set(key, { at: now, percent: reached });
    return true;
  }

  /** Forgets every key that starts with `prefix`. */
  forget(prefix: string): void {
    for (const key of this.#last.keys()) {
      if (key.startsWith(prefix)) this.#last.delete(key);
    }
  }
}
