import type { Clock } from "../async/clock.ts";
import type { BandwidthLane } from "../async/bandwidth_limiter.ts";
import type { PiecePicker, SourceKey } from "./picker.ts";

/** Silence of a source in milliseconds, with pieces missing, after which it counts as gone. */
const SOURCE_SILENCE = 120_000;
/** Times {@linkcode SOURCE_SILENCE} that a source which owes pieces may go on with signs of life and no new piece. */
const MAX_KEEPALIVE_EXTENSIONS = 10;

/** Bytes of pieces that may be asked for at a time: what is on its way when one side is killed has to come again. */
const WINDOW = 8 * 1024 * 1024;
/** The same for a source that is far away: what a line holds whose round trip is 100 ms, at 2.5 Gbit/s. */
const WINDOW_FAR = 32 * 1024 * 1024;
/** Round trip in milliseconds from which on a source is: {@linkcode WINDOW} fills a line of 3 Gbit/s below that. */
export const FAR = 20;
/** Pieces that may be asked for at a time, however small: a source takes twice as many. */
const MAX_PIECES = 512;
/** Pieces that may wait to be written without fewer being asked for: the disk is now and then behind for a moment. */
export const MAX_WRITES = 2;

/**
 * Pieces that may be asked for at a time: two at least, and fewer while the disk is behind, since what comes then stays
 * in memory.
 *
 * @param memory bytes that there are for pieces.
 * @param pieceSize bytes.
 * @param unwritten pieces that have come and wait to be written.
 */
export function windowPieces(
  memory: number,
  pieceSize: number,
  { unwritten, isFar }: { unwritten: number; isFar: boolean },
): number {
  const within = (window: number) =>
    Math.min(MAX_PIECES, Math.floor(Math.min(window, memory) / pieceSize));
  const pieces = within(isFar ? WINDOW_FAR : WINDOW);
  const behind = unwritten - Math.min(MAX_WRITES, Math.max(0, pieces - 1));
  if (behind <= 0) return Math.max(2, pieces);
  return Math.max(2, within(WINDOW)) - behind;
}

/** What {@linkcode SourceRequests} need. */
export interface SourceRequestsOptions {
  picker: PiecePicker;
  /** Whoever is asked, as the picker knows it. */
  source: SourceKey;
  /** Bytes of a piece that is asked for. */
  lengthOf(index: number): number;
  /** Pieces that this source may be asked for at a time, now. */
  window(): number;
  /** Holds requests back under a rate limit. */
  lane?: BandwidthLane | undefined;
  clock: Clock;
  /** Asks the source for a piece. */
  get(index: number): void;
}

/**
 * The GETs that one source owes an answer to: keeps it busy, and knows when it owes a piece for too long.
 * Invariant: of the pieces that the picker has given out for this source and that have not come, the rate limit
 * holds `#held` back and the source has been asked for all others.
 */
export class SourceRequests {
  readonly #options: SourceRequestsOptions;
  /** Pieces that the rate limit holds back. */
  #held = 0;
  /** Ends the waiting of those that are held back. */
  #unhold = new AbortController();
  /** When a new piece came last, or the source could not have sent one. */
  #lastProgress: number;

  constructor(options: SourceRequestsOptions) {
    this.#options = options;
    this.#lastProgress = options.clock.now();
  }

  /** Asks for as many pieces as may be on their way at once. */
  fill(): void {
    const { picker, source, window, lane, get } = this.#options;
    for (const most = window(); picker.askedOf(source) < most;) {
      const index = picker.take(source);
      if (index === undefined) return;
      if (lane) void this.#hold(index, lane);
      else get(index);
    }
  }

  /** Gives up what the source was asked for: it is wanted again, of whomever. */
  forget(): void {
    this.stop();
    this.#unhold = new AbortController();
    this.#options.picker.forgetAsked(this.#options.source);
  }

  /** What is held back will not be asked for. */
  stop(): void {
    this.#unhold.abort();
  }

  /** A new piece came, or a session on which one can: the source has all its time again. */
  progressed(): void {
    this.#lastProgress = this.#options.clock.now();
  }

  /**
   * Whether something is for the source to send: a piece, or the hashes by which one can be asked for. While it is asked
   * for nothing because of the rate limit, or because the disk is behind, it owes nothing.
   */
  get isOwed(): boolean {
    const { picker, source } = this.#options;
    const isHeldUp = this.#held > 0 || picker.unwrittenCount > 0;
    return !isHeldUp || picker.askedOf(source) > this.#held;
  }

  /**
   * Whether the source, which was heard last at `lastHeard`, owes a piece and has been silent or has merely
   * said that it lives for too long.
   */
  isOverdue(lastHeard: number): boolean {
    const now = this.#options.clock.now();
    if (!this.isOwed) this.progressed();
    return now - Math.max(this.#lastProgress, lastHeard) > SOURCE_SILENCE ||
      now - this.#lastProgress > MAX_KEEPALIVE_EXTENSIONS * SOURCE_SILENCE;
  }

  /** Asks for a piece when the rate limit lets it pass. */
  async #hold(index: number, lane: BandwidthLane): Promise<void> {
    const { lengthOf, get } = this.#options;
    const { signal } = this.#unhold;
    this.#held++;
    try {
      await lane.take(lengthOf(index), signal);
      signal.throwIfAborted();
      // The time in which it was not asked for is not the source's.
      this.progressed();
      get(index);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#held--;
    }
  }
}
