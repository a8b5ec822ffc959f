import { Gate } from "../async/gate.ts";
import { P2PError } from "../errors.ts";
import type { PieceTarget } from "./piece_target.ts";

/** Takes the next bytes, and resolves when it can take more. */
export type Sink = (bytes: Uint8Array) => Promise<void>;

/**
 * A target that keeps nothing: verified pieces go out in their order, for example to standard output. Pieces that come
 * before their turn wait in memory; there are never more of them than a transfer asks for at a time.
 */
export class StreamTarget implements PieceTarget {
  readonly known: ReadonlyMap<number, Uint8Array> = new Map();
  readonly headPieces = 0;
  readonly files = null;
  readonly isReadable = false;
  readonly #sink: Sink;
  readonly #early = new Map<number, Uint8Array>();
  #next = 0;
  /** One write after another: the sink takes one at a time. */
  readonly #writes = new Gate(1);

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Writes a verified piece when its turn has come; `bytes` must stay as they are until it resolves. */
  write(index: number, bytes: Uint8Array): Promise<void> {
    return this.#writes.run(() => this.#writeNow(index, bytes));
  }

  /** Does nothing: there is never anything of an earlier run. */
  restart(): Promise<void> {
    return Promise.resolve();
  }

  /** What went out cannot be read again. */
  read(): Promise<void> {
    return Promise.reject(new TypeError("a stream cannot be read again"));
  }

  /** Resolves when the writes that were begun have come to their end. */
  flushed(): Promise<void> {
    return this.#writes.run(() => {});
  }

  async #writeNow(index: number, bytes: Uint8Array): Promise<void> {
    if (index !== this.#next) {
      this.#early.set(index, bytes.slice());
      return;
    }
    try {
      for (let ready: Uint8Array | undefined = bytes; ready; ready = this.#early.get(this.#next)) {
        await this.#sink(ready);
        this.#early.delete(this.#next++);
      }
    } catch (cause) {
      throw new P2PError("disk", "Cannot write to standard output: nobody reads it", { cause });
    }
  }
}
