import type { Clock } from "./clock.ts";

/** When a line of progress is due again. */
export interface ThrottleOptions {
  clock: Clock;
  /** Milliseconds after which a line is due. */
  every: number;
  /** Percent more at which a line is due before that; without it time alone decides. */
  percent?: number;
  /** Milliseconds between two lines at the least, however many percent there are between them. */
  atLeast?: number;
}

/** The last progress of one key that was let through. */
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

  /** Whether a key that has come to `percent` is to be shown now; the first time it always is. */
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
