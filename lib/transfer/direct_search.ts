import { type Clock, delay } from "../async/clock.ts";
import type { Session } from "../net/session.ts";
import type { PeerLink } from "./peer_link.ts";

/** Pause in milliseconds before the first look for a direct path; it doubles. */
const FIRST_PAUSE = 10_000;
/** Longest pause in milliseconds. */
const LONGEST_PAUSE = 5 * 60_000;

/** What {@linkcode DirectSearch} needs. */
export interface DirectSearchOptions {
  /** The relayed link, with whose end the search is over. */
  link: PeerLink;
  /** Opens a session to the peer on a direct path. */
  open: () => Promise<Session>;
  /** How often a link to the peer has left the relay before: a direct path that does not hold is tried less often. */
  moves: number;
  clock: Clock;
}

/** The search for a direct path to a peer that is reached through the tracker. */
export class DirectSearch {
  readonly #options: DirectSearchOptions;
  #wake: () => void = () => {};
  #isOver = false;

  constructor(options: DirectSearchOptions) {
    this.#options = options;
    void options.link.ended.then(() => {
      this.#isOver = true;
      this.#wake();
    });
  }

  /** Has it look at once: the addresses of this machine or of the peer have changed. */
  lookAgain(): void {
    this.#wake();
  }

  /** Resolves with a session on a direct path, or with undefined when the link has ended. */
  async run(): Promise<Session | undefined> {
    const { open, moves } = this.#options;
    let pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** moves);
    while (true) {
      await this.#rest(pause);
      if (this.#isOver) return undefined;
      pause = Math.min(LONGEST_PAUSE, 2 * pause);
      try {
        return await open();
      } catch {
        // There is none yet.
      }
    }
  }

  async #rest(ms: number): Promise<void> {
    if (this.#isOver) return;
    const over = new AbortController();
    this.#wake = () => over.abort();
    await delay(this.#options.clock, ms, over.signal).catch(() => {});
  }
}
