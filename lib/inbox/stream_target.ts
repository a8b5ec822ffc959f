import { P2PError } from "../errors.ts";
import type { PieceProof } from "../pieces/scheme.ts";
import type { PieceTarget } from "./piece_target.ts";

/** Takes the next bytes, and resolves when it can take more. */
export type Sink = (bytes: Uint8Array) => Promise<void>;

interface Waiting {
  bytes: Uint8Array;
  done: PromiseWithResolvers<void>;
}

/**
 * Verified pieces that go out as they come, for example to standard output, and nowhere else. A piece that comes
 * before its turn waits, and its write with it: it counts as unwritten, so that no more of them come than there is
 * memory for.
 */
export class StreamTarget implements PieceTarget {
  readonly known: ReadonlyMap<number, PieceProof> = new Map();
  readonly headPieces = 0;
  readonly files = null;
  readonly isReadable = false;
  readonly #sink: Sink;
  readonly #waiting = new Map<number, Waiting>();
  /** Piece that goes out next: those below are out. */
  #next = 0;
  #isDraining = false;
  /** Resolves when what goes out now is out. */
  #drained: Promise<void> = Promise.resolve();
  #failure: P2PError | undefined;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Whether something has gone out. */
  get hasBegun(): boolean {
    return this.#next > 0;
  }

  /** Writes a verified piece when its turn has come; `bytes` must stay as they are until it resolves. */
  write(index: number, bytes: Uint8Array): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    const done = Promise.withResolvers<void>();
    this.#waiting.set(index, { bytes, done });
    if (!this.#isDraining) this.#drained = this.#drain();
    return done.promise;
  }

  /** Nothing of an earlier run is there. */
  forget(): Promise<void> {
    return Promise.resolve();
  }

  /** Nothing of an earlier run is there. */
  restart(): Promise<void> {
    return Promise.resolve();
  }

  /** What went out cannot be read again. */
  read(): Promise<void> {
    return Promise.reject(new TypeError("a stream cannot be read again"));
  }

  stop(): void {
    this.#fail(new P2PError("cancelled", "Cannot write to standard output: no more pieces come"));
  }

  /** Resolves when nothing is going out. */
  async flushed(): Promise<void> {
    await this.#drained;
  }

  async #drain(): Promise<void> {
    this.#isDraining = true;
    for (let ready = this.#takeNext(); ready; ready = this.#takeNext()) {
      try {
        await this.#sink(ready.bytes);
        this.#next++;
        ready.done.resolve();
      } catch (cause) {
        const message = "Cannot write to standard output: nobody reads it";
        const error = new P2PError("disk", message, { cause });
        ready.done.reject(error);
        this.#fail(error);
      }
    }
    this.#isDraining = false;
  }

  #takeNext(): Waiting | undefined {
    const ready = this.#waiting.get(this.#next);
    this.#waiting.delete(this.#next);
    return ready;
  }

  /** Gives up all writes that wait, and those to come. */
  #fail(error: P2PError): void {
    this.#failure ??= error;
    for (const { done } of this.#waiting.values()) done.reject(this.#failure);
    this.#waiting.clear();
  }
}
