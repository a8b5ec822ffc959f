import { MemoryBudget, type MemoryShare } from "../async/memory_budget.ts";
import { PieceBuffers } from "../pieces/piece_buffers.ts";
import type { LentPiece } from "../pieces/pieces.ts";

/** Bytes that are read ahead of the recipient furthest along, so that it never waits for the disk. */
const AHEAD = 8 * 1024 * 1024;
/** Bytes that are read before any piece has been asked for: the answer to the offer should not have to wait. */
const EARLY = 1024 * 1024;
/** Bytes that stay in memory behind the recipient furthest along, for others that are close to it. */
const BEHIND = 8 * 1024 * 1024;
/** Bytes of a stream between the slowest recipient and what is read: a stream cannot be read again. */
const STREAM_WINDOW = 32 * 1024 * 1024;
/** Memory of all caches of this process, but for a piece each: with many contents, each keeps little. */
const CACHES = new MemoryBudget(16 * 1024 * 1024);
/** The same for what is read ahead beside {@linkcode AHEAD} where the line holds more: 32 MiB are 100 ms at 2.5 Gbit/s. */
const FURTHER = new MemoryBudget(24 * 1024 * 1024);

interface CachedPiece {
  bytes: Uint8Array<ArrayBuffer>;
  loans: number;
  evicted: boolean;
}

/** The place of one recipient in a content. */
export interface Place extends Disposable {
  /** The recipient has all pieces below `index`. */
  advance(index: number): void;
}

/** What a {@linkcode PieceCache} needs. */
export interface PieceCacheOptions {
  /** Bytes. */
  pieceSize: number;
  /** Whether pieces can be read again; else they stay until every recipient has them. */
  isSeekable: boolean;
}

/**
 * The pieces of one content that are in memory, and how far it may be read: a window that follows the
 * recipient furthest along, or where nothing can be read again the slowest one. Invariant: the memory of a
 * piece is given back when it is evicted and not on loan.
 */
export class PieceCache implements Disposable {
  readonly #options: PieceCacheOptions;
  readonly #buffers: PieceBuffers;
  readonly #share = CACHES.join();
  #further: MemoryShare | undefined;
  readonly #pieces = new Map<number, CachedPiece>();
  readonly #places = new Set<{ index: number }>();
  #demand = 0;

  constructor(options: PieceCacheOptions) {
    this.#options = options;
    this.#buffers = new PieceBuffers(options.pieceSize);
  }

  /** Whether there is memory for one piece at a time only: the next is read when the last one is back. */
  get isScarce(): boolean {
    return this.#share.bytes < 2 * this.#options.pieceSize;
  }

  /** The first piece that may not be read yet. */
  get limit(): number {
    return (this.#options.isSeekable ? this.#demand : this.#slowest) + this.#ahead;
  }

  /** Notes that a recipient has come to piece `index`. */
  want(index: number): void {
    this.#demand = Math.max(this.#demand, index);
  }

  /** Has more read ahead from now on: a recipient that is far away asks for pieces a round trip after it may. */
  readFurther(): void {
    if (this.#options.isSeekable) this.#further ??= FURTHER.join();
  }

  /** Makes room for a recipient; `onMove` hears that the window may have moved. */
  enter(onMove: () => void): Place {
    const place = { index: 0 };
    this.#places.add(place);
    return {
      advance: (index) => {
        place.index = Math.max(place.index, index);
        this.want(index);
        onMove();
      },
      [Symbol.dispose]: () => {
        this.#places.delete(place);
        onMove();
      },
    };
  }

  /** Memory for a piece of `length` bytes. */
  buffer(length: number): Uint8Array<ArrayBuffer> {
    return this.#buffers.take(length);
  }

  /** Lends bytes of {@linkcode buffer} that are not kept. */
  lendOnce(bytes: Uint8Array<ArrayBuffer>): LentPiece {
    return { bytes, release: () => this.#buffers.give(bytes) };
  }

  /** Evicts what piece `index`, which is about to be read, needs the memory of. */
  makeRoom(index: number): void {
    const { isSeekable } = this.#options;
    const oldest = isSeekable ? index - this.#ahead - this.#behind + 1 : this.#slowest;
    // Not in their order once some have been read again for other hashes.
    for (const [other, piece] of this.#pieces) {
      if (other >= oldest) continue;
      this.#pieces.delete(other);
      piece.evicted = true;
      if (piece.loans === 0) this.#buffers.give(piece.bytes);
    }
  }

  /** Keeps the next piece. */
  put(index: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#pieces.set(index, { bytes, loans: 0, evicted: false });
  }

  /** Lends a piece that is in memory. */
  lend(index: number): LentPiece | undefined {
    const piece = this.#pieces.get(index);
    if (!piece) return undefined;
    piece.loans++;
    return {
      bytes: piece.bytes,
      release: () => {
        if (--piece.loans === 0 && piece.evicted) this.#buffers.give(piece.bytes);
      },
    };
  }

  /** Leaves its memory to others. Loans stay valid. */
  [Symbol.dispose](): void {
    this.#share[Symbol.dispose]();
    this.#further?.[Symbol.dispose]();
  }

  /** Pieces that are read ahead, at least one. */
  get #ahead(): number {
    const { isSeekable, pieceSize } = this.#options;
    if (!isSeekable) return STREAM_WINDOW / pieceSize;
    const most = this.#demand === 0 ? EARLY : AHEAD;
    const bytes = Math.min(most, this.#share.bytes / 2) + (this.#further?.bytes ?? 0);
    return Math.max(1, Math.floor(bytes / pieceSize));
  }

  /** Pieces that stay in memory behind. */
  get #behind(): number {
    return Math.floor(Math.min(BEHIND, this.#share.bytes / 2) / this.#options.pieceSize);
  }

  get #slowest(): number {
    if (this.#places.size === 0) return 0;
    return Math.min(...[...this.#places].map(({ index }) => index));
  }
}
