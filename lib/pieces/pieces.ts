/** A piece on loan; its bytes stay as they are until `release`. */
export interface LentPiece {
  bytes: Uint8Array<ArrayBuffer>;
  /** Says that the bytes are not needed any longer; once. */
  release(): void;
}

/** Pieces that can be served: of a content that is sent, or of a download that is under way in a swarm. */
export interface Pieces {
  /** Whether the piece can be lent now. */
  has(index: number): boolean;
  /** Bytes of a piece. */
  lengthOf(index: number): number;
  /**
   * Lends a piece that is there.
   *
   * @throws {P2PError} `source-changed`, `file-not-found` or `disk` when it cannot be read.
   */
  lend(index: number): Promise<LentPiece>;
}
