import type { Clock } from "../async/clock.ts";
import { asP2PError, P2PError } from "../errors.ts";
import type { Pieces } from "../pieces/pieces.ts";
import type { BandwidthLane } from "../async/bandwidth_limiter.ts";
import { awaitTurn } from "./pace.ts";
import type { PeerLink } from "./peer_link.ts";

/** GETs of one transfer that may wait at a time: twice what a receiver keeps open with the smallest pieces. */
const MAX_WAITING = 1024;

/**
 * Times that one piece goes out at most: a receiver gives up after four wrong copies, and asks once more for what it lost
 * or found changed.
 */
const MAX_COPIES = 8;

/** What a {@linkcode PieceServer} needs. */
export interface PieceServerOptions {
  transfer: string;
  pieces: Pieces;
  /** Where the pieces go. */
  link: PeerLink;
  clock: Clock;
  /** Holds pieces back under a rate limit. */
  lane?: BandwidthLane | undefined;
  /** Called with the bytes of each piece that went out, and its index. */
  onSent?: (bytes: number, index: number) => void;
  /** Called when no GET waits any more. */
  onIdle?: () => void;
  /** Called once when pieces cannot be served any longer, with the reason; the server has stopped. */
  onFailed: (error: P2PError) => void;
}

/**
 * Answers the GETs of one transfer on one link, in their order and off the read loop: while a piece goes out
 * the link's frames are read, and its control frames leave before the next piece. Invariant: a piece waits at
 * most once, and goes out {@linkcode MAX_COPIES} times at most.
 */
export class PieceServer {
  readonly #options: PieceServerOptions;
  readonly #waiting = new Set<number>();
  /** How often each piece has gone out, by its index: a byte for each of a million pieces. */
  #copies = new Uint8Array(64);
  readonly #stop = new AbortController();
  #serving: Promise<void> | undefined;

  constructor(options: PieceServerOptions) {
    this.#options = options;
  }

  /** Whether a piece waits or goes out. */
  get isBusy(): boolean {
    return this.#serving !== undefined;
  }

  /**
   * Takes a GET.
   *
   * @throws {P2PError} `malformed` when the piece cannot be served: its hash has not been sent.
   */
  request(index: number): void {
    if (this.#stop.signal.aborted) return;
    if (!this.#options.pieces.has(index)) {
      throw new P2PError("malformed", `Cannot serve piece ${index}: its hash has not been sent`);
    }
    if ((this.#copies[index] ?? 0) >= MAX_COPIES) {
      return this.#fail(
        new P2PError("malformed", `Cannot serve piece ${index} more than ${MAX_COPIES} times`),
      );
    }
    this.#waiting.add(index);
    if (this.#waiting.size > MAX_WAITING) {
      return this.#fail(
        new P2PError("malformed", `Cannot serve more than ${MAX_WAITING} GETs at a time`),
      );
    }
    this.#serving ??= this.#serve();
  }

  /** Serves nothing any more; a piece that is half out goes out whole. */
  stop(): void {
    this.#waiting.clear();
    this.#stop.abort(new P2PError("cancelled", "Nothing is served any more"));
  }

  async #serve(): Promise<void> {
    try {
      for (const index of this.#waiting) {
        await this.#servePiece(index);
        if (this.#stop.signal.aborted) break;
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#fail(asP2PError(error));
    } finally {
      this.#serving = undefined;
      this.#options.onIdle?.();
    }
  }

  async #servePiece(index: number): Promise<void> {
    const { transfer, pieces, link, lane, clock, onSent } = this.#options;
    if (lane) {
      const { signal } = this.#stop;
      await awaitTurn(pieces.lengthOf(index), { lane, session: link.session, clock, signal });
    }
    const { bytes, release } = await pieces.lend(index);
    try {
      // From here on the piece may be asked for again: what is on its way may turn out to be wrong.
      this.#waiting.delete(index);
      this.#count(index);
      await link.sendPiece({ verb: "PIECE", transfer, index }, bytes, this.#stop.signal);
      onSent?.(bytes.length, index);
    } finally {
      release();
    }
  }

  #count(index: number): void {
    if (index >= this.#copies.length) {
      const copies = new Uint8Array(2 * index);
      copies.set(this.#copies);
      this.#copies = copies;
    }
    this.#copies[index] = (this.#copies[index] ?? 0) + 1;
  }

  #fail(error: P2PError): void {
    this.stop();
    this.#options.onFailed(error);
  }
}
