import { Gate } from "../async/gate.ts";
import { P2PError } from "../errors.ts";
import type { PartialItem } from "./partial_item.ts";
import type { Published } from "./target.ts";

/** The part of a {@linkcode PartialItem} that a transfer writes its verified pieces to. */
export type PieceTarget = Pick<
  PartialItem,
  "known" | "headPieces" | "files" | "write" | "restart" | "publish" | "discard"
>;

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

  /** Resolves when all is written. */
  async publish(name: string): Promise<Published> {
    await this.#written();
    return { name, path: "-" };
  }

  /** Resolves when nothing is being written any more; what went out cannot be taken back. */
  async discard(): Promise<void> {
    await this.#written();
  }

  /** Resolves when the writes that were begun have come to their end. */
  #written(): Promise<void> {
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
