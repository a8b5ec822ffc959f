import type { PieceBuffers } from "../pieces/piece_buffers.ts";
import type { PeerLink } from "./peer_link.ts";

/** A piece that has come and is not verified. */
export interface EarlyPiece {
  source: PeerLink;
  body: Uint8Array<ArrayBuffer>;
}

/**
 * Pieces that came before the one by which they can be verified. They stay asked for as the picker sees it, so that there
 * are no more of them than may be under way.
 */
export class EarlyPieces {
  readonly #pieces = new Map<number, EarlyPiece>();
  readonly #buffers: Pick<PieceBuffers, "give">;

  /** @param buffers take the memory of those that are dropped. */
  constructor(buffers: Pick<PieceBuffers, "give">) {
    this.#buffers = buffers;
  }

  /** Whether the piece is here. */
  has(index: number): boolean {
    return this.#pieces.has(index);
  }

  /** Keeps a piece. */
  put(index: number, piece: EarlyPiece): void {
    this.#pieces.set(index, piece);
  }

  /** Gives a piece away, if it is here. */
  take(index: number): EarlyPiece | undefined {
    const piece = this.#pieces.get(index);
    this.#pieces.delete(index);
    return piece;
  }

  /** Drops all pieces, or those of one source; returns which they were. */
  drop(source?: PeerLink): number[] {
    const dropped: number[] = [];
    for (const [index, piece] of this.#pieces) {
      if (source !== undefined && piece.source !== source) continue;
      this.#pieces.delete(index);
      this.#buffers.give(piece.body);
      dropped.push(index);
    }
    return dropped;
  }
}
