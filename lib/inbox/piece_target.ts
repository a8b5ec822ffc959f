import type { PieceProof } from "../pieces/scheme.ts";
import type { FileCount } from "../pieces/tree_table.ts";

/** Where a download writes its verified pieces. */
export interface PieceTarget {
  /** The pieces that an earlier run left, and what they were proven by. */
  readonly known: ReadonlyMap<number, PieceProof>;
  /** Pieces that have to be written before any other: those of a tree's table. */
  readonly headPieces: number;
  /** The files of a tree, once its table is there; null for anything else. */
  readonly files: FileCount | null;
  /** Whether `read` works. */
  readonly isReadable: boolean;
  /**
   * Writes a piece that `proof` has verified; `bytes` must stay as they are until it resolves.
   *
   * @throws {P2PError} `no-space` or `disk`; of a tree also `malformed` or `refused`, naming the path.
   */
  write(index: number, bytes: Uint8Array, proof: PieceProof): Promise<void>;
  /**
   * Fills `into` with a piece that was written.
   *
   * @throws {P2PError} `disk`
   */
  read(index: number, into: Uint8Array): Promise<void>;
  /**
   * Takes back that pieces of an earlier run are there: others are about to be written over them. Durable when it
   * resolves, and before any write that follows.
   */
  forget(indices: readonly number[]): Promise<void>;
  /** Says that no more pieces come: writes that wait for pieces before theirs are given up. */
  stop(): void;
  /** Throws away what an earlier run left: the writes that follow are the first. */
  restart(): Promise<void>;
}
