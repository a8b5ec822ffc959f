import type { Clock } from "../async/clock.ts";
import type { MemoryShare } from "../async/memory_budget.ts";
import type { PiecePicker } from "./picker.ts";
import type { BandwidthLane } from "./bandwidth_limiter.ts";

/** Bytes of pieces that may be asked for and not there yet. */
const WINDOW = 8 * 1024 * 1024;
/** Silence of the sender in milliseconds, with pieces missing, after which it counts as gone. */
const SENDER_SILENCE = 120_000;
/** Such times that a sender may fill with signs of life, without a new piece. */
const MAX_KEEPALIVE_EXTENSIONS = 10;

/** What {@linkcode PieceRequests} need. */
export interface PieceRequestsOptions {
  picker: PiecePicker;
  /** Bytes. */
  pieceSize: number;
  /** Bytes of a piece that is asked for. */
  lengthOf(index: number): number;
  /** Memory for what is on its way. */
  share: MemoryShare;
  /** Holds requests back under a rate limit. */
  lane?: BandwidthLane | undefined;
  clock: Clock;
  /** Asks the sender for a piece. */
  get(index: number): void;
}

/**
 * Keeps the sender busy, and knows when it owes a piece for too long. Invariant: of the pieces that the picker
 * has given out and that have not come, the rate limit holds `#held` back and the sender has been asked for
 * all others.
 */
export class PieceRequests {
  readonly #options: PieceRequestsOptions;
  /** Pieces that the rate limit holds back. */
  #held = 0;
  /** Ends the waiting of those. */
  #unhold = new AbortController();
  /** When a new piece came last, or the sender could not have sent one. */
  #lastProgress: number;

  constructor(options: PieceRequestsOptions) {
    this.#options = options;
    this.#lastProgress = options.clock.now();
  }

  /** Pieces that may be asked for and not there yet. */
  get #window(): number {
    const { share, pieceSize } = this.#options;
    return Math.max(2, Math.floor(Math.min(WINDOW, share.bytes) / pieceSize));
  }

  /** Asks for as many pieces as may be on their way at once. */
  fill(): void {
    const { picker, lane, get } = this.#options;
    for (const window = this.#window; picker.askedCount < window;) {
      const index = picker.take();
      if (index === undefined) return;
      if (lane) void this.#hold(index, lane);
      else get(index);
    }
  }

  /** Nothing that was asked for will come: it will be asked for again. */
  forget(): void {
    this.stop();
    this.#unhold = new AbortController();
    this.#options.picker.forgetAsked();
  }

  /** What is held back will not be asked for. */
  stop(): void {
    this.#unhold.abort();
  }

  /** A new piece came, or a session on which one can: the sender has all its time again. */
  progressed(): void {
    this.#lastProgress = this.#options.clock.now();
  }

  /**
   * Whether the sender, which was heard last at `lastHeard`, owes a piece and has been silent or has merely
   * said that it lives for too long.
   */
  isOverdue(lastHeard: number): boolean {
    const { picker, clock } = this.#options;
    const now = clock.now();
    const isOwed = this.#held === 0 || picker.askedCount > this.#held;
    if (!isOwed) this.progressed();
    return now - Math.max(this.#lastProgress, lastHeard) > SENDER_SILENCE ||
      now - this.#lastProgress > MAX_KEEPALIVE_EXTENSIONS * SENDER_SILENCE;
  }

  /** Asks for a piece when the rate limit lets it pass. */
  async #hold(index: number, lane: BandwidthLane): Promise<void> {
    const { lengthOf, get } = this.#options;
    const { signal } = this.#unhold;
    this.#held++;
    try {
      await lane.take(lengthOf(index), signal);
      signal.throwIfAborted();
      // The time in which it was not asked for is not the sender's.
      this.progressed();
      get(index);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#held--;
    }
  }
}
