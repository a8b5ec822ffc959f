import type { SharedBytes } from "../async/shared_bytes.ts";
import { yieldTurn } from "../async/yielder.ts";
import type { PieceTarget } from "../inbox/piece_target.ts";
import type { PieceBuffers } from "../pieces/piece_buffers.ts";
import type { PieceProof } from "../pieces/scheme.ts";
import { MAX_WRITES } from "./source_requests.ts";

/** What {@linkcode PieceWrites} need. */
export interface PieceWritesOptions {
  target: Pick<PieceTarget, "write">;
  /** Takes the memory of a piece that is written. */
  buffers: Pick<PieceBuffers, "give">;
  /** Verified bytes of all transfers that the disk has not taken yet: while they are too many no more are read. */
  unwritten: SharedBytes;
  /** Hears why a piece could not be written. */
  onFailed(error: unknown): void;
  /** Hears of each piece that is on its way no more, written or not. */
  onSettled(index: number): void;
}

/** The verified pieces of one download that are on their way to the disk, and the memory that they have until then. */
export class PieceWrites {
  readonly #options: PieceWritesOptions;
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: PieceWritesOptions) {
    this.#options = options;
  }

  /** A promise for each piece on its way, which resolves after `onSettled`, written or not. */
  get underWay(): ReadonlySet<Promise<void>> {
    return this.#underWay;
  }

  /** Has a piece written; its memory is the target's from now on. */
  add(index: number, bytes: Uint8Array<ArrayBuffer>, proof: PieceProof): void {
    const { target, buffers, unwritten, onFailed, onSettled } = this.#options;
    const { length } = bytes;
    unwritten.add(length);
    const write: Promise<void> = target.write(index, bytes, proof).then(
      () => buffers.give(bytes),
      onFailed,
    ).finally(() => {
      this.#underWay.delete(write);
      unwritten.remove(length);
      onSettled(index);
    });
    this.#underWay.add(write);
  }

  /**
   * What to await before the next piece is read, while the disk is behind: a turn of the event loop, in which finished
   * writes give their memory back (a socket that always has more to read would go on without one), or the time until all
   * transfers together wait for less. Undefined while the disk keeps up.
   */
  room(): Promise<void> | undefined {
    const room = this.#options.unwritten.room();
    if (room) return room;
    return this.#underWay.size > MAX_WRITES ? yieldTurn() : undefined;
  }
}
