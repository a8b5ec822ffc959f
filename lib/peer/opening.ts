import { type Clock, delay } from "../async/clock.ts";

/** How long in milliseconds what is open waits for what is being opened. */
const TOGETHER = 500;

/**
 * Links that are opened at the same time. The first one that is open waits a moment for the others before anything is
 * sent on it: on a slow line their greetings would wait behind that for longer than they may take.
 */
export class Opening {
  readonly #clock: Clock;
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves with what `opening` does, when the others are open too, have failed, or take too long. */
  async join<T>(opening: Promise<T>): Promise<T> {
    this.#underWay.add(opening);
    try {
      await opening;
    } finally {
      this.#underWay.delete(opening);
    }
    if (this.#underWay.size > 0) await this.#others();
    return await opening;
  }

  async #others(): Promise<void> {
    const over = new AbortController();
    const enough = delay(this.#clock, TOGETHER, over.signal).catch(() => {});
    await Promise.race([Promise.allSettled(this.#underWay), enough]);
    over.abort();
  }
}
