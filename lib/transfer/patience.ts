import type { Clock } from "../async/clock.ts";

/** Milliseconds that each KiB of progress gives back: whoever keeps to 1 KiB a second is never given up. */
const TIME_PER_KIB = 1_000;

/**
 * How long the other side of a transfer may still leave this one waiting, over all sessions: an allowance that runs down
 * while it is the other side's turn and that only progress fills up again. Signs of life do not.
 */
export class Patience {
  readonly #clock: Clock;
  readonly #most: number;
  #left: number;
  /** Since when it has been the other side's turn; undefined while it is not. */
  #since: number | undefined;
  /** Time that the other side has taken since it got further last, as far as it is over. */
  #spent = 0;
  #progress = 0;
  #hasAsked = false;

  /** @param most milliseconds that it may wait without any progress. */
  constructor(most: number, clock: Clock) {
    this.#most = most;
    this.#left = most;
    this.#clock = clock;
  }

  /** Milliseconds that are left. */
  get left(): number {
    return this.#left - this.#running;
  }

  /** Whether the other side has had all its time. */
  get isOver(): boolean {
    return this.left <= 0;
  }

  /** Milliseconds that the other side has taken since it got further last. */
  get spent(): number {
    return this.#spent + this.#running;
  }

  get #running(): number {
    return this.#since === undefined ? 0 : this.#clock.now() - this.#since;
  }

  /** Says whose turn it is from now on. */
  setTurn(turn: "theirs" | "ours"): void {
    const running = this.#running;
    this.#left -= running;
    this.#spent += running;
    this.#since = turn === "theirs" ? this.#clock.now() : undefined;
  }

  /**
   * Says how far the other side is.
   *
   * @param bytes in all; those that it had reached before, on whichever session, are no progress.
   */
  reached(bytes: number): void {
    if (bytes <= this.#progress) return;
    this.setTurn(this.#since === undefined ? "ours" : "theirs");
    const gained = (bytes - this.#progress) / 1024 * TIME_PER_KIB;
    this.#left = Math.max(this.#left, Math.min(this.#most, this.#left + gained));
    this.#progress = bytes;
    this.#spent = 0;
  }

  /** The other side asks a person, which is given `time` milliseconds more, once. */
  allowForPerson(time: number): void {
    if (this.#hasAsked) return;
    this.#hasAsked = true;
    this.#left += time;
    this.#spent -= time;
  }
}
