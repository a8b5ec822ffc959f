import { P2PError } from "../errors.ts";
import type { Destination, Found, OfferedItem } from "./destination.ts";
import type { PieceTarget } from "./piece_target.ts";
import { type Sink, StreamTarget } from "./stream_target.ts";
import type { Published } from "./target.ts";

/** A destination for one file, whose bytes go out as they come: standard output. */
export class StreamInbox implements Destination {
  readonly #sink: Sink;
  /** The one target, from when it was begun, and the name that was offered. */
  #begun: { target: StreamTarget; name: string } | undefined;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** What went out is not there to be found again. */
  alreadyHas(): Promise<Found | null> {
    return Promise.resolve(null);
  }

  begin({ name, table }: OfferedItem): Promise<PieceTarget> {
    if (table !== null || this.#begun) {
      const what = table !== null ? "a folder" : "a second file";
      return Promise.reject(
        new P2PError("refused", `Cannot receive ${what}: standard output takes one file`),
      );
    }
    const target = new StreamTarget(this.#sink);
    this.#begun = { target, name };
    return Promise.resolve(target);
  }

  async publish(): Promise<Published & { already: boolean }> {
    await this.#begun?.target.flushed();
    return { name: this.#begun?.name ?? "", path: "-", already: false };
  }

  /** What went out stays out: another file is taken only where nothing did. */
  async release(): Promise<void> {
    await this.#begun?.target.flushed();
    if (!this.#begun?.target.hasBegun) this.#begun = undefined;
  }
}
