import type { Clock } from "../../async/clock.ts";
import { P2PError } from "../../errors.ts";
import type { ContentReader } from "../../inbox/target.ts";

/** Milliseconds after the sharer has gone in which nobody asks for anything, after which nobody is taken to need it. */
const LONELY = 60_000;

/** What a {@linkcode Seed} needs. */
export interface SeedOptions {
  /** What has been published; the seed closes it. */
  reader: ContentReader;
  /** Bytes of a piece. */
  pieceSize: number;
  /** Whether the bytes are those of the piece. */
  isRight(index: number, bytes: Uint8Array): boolean;
  clock: Clock;
  /** How long in milliseconds it serves at most; Infinity for as long as the share goes on. */
  seedFor: number;
  /** Serves nothing any more. */
  onOver(): void;
}

/**
 * A receiver that has everything, and serves the others: until its sharer says that all have it, and where that is gone
 * as long as somebody asks. What it serves belongs to its owner by now, who may change it, so each piece is looked at
 * before it goes out.
 */
export class Seed {
  readonly #options: SeedOptions;
  readonly #cancelLimit: () => void;
  #cancelWait: () => void = () => {};
  #isAlone = false;
  #ending: Promise<void> | undefined;

  constructor(options: SeedOptions) {
    const { clock, seedFor } = options;
    this.#options = options;
    this.#cancelLimit = Number.isFinite(seedFor)
      ? clock.after(seedFor, () => void this.end())
      : () => {};
  }

  /**
   * Fills `into` with a piece.
   *
   * @throws {P2PError} `source-changed` when it is not there any more as it came; then the seed is over.
   */
  async read(index: number, into: Uint8Array): Promise<void> {
    const { reader, pieceSize, isRight } = this.#options;
    try {
      await reader.read(index * pieceSize, into);
    } catch (cause) {
      void this.end();
      throw new P2PError("source-changed", `Cannot serve piece ${index}: it is gone`, { cause });
    }
    if (!isRight(index, into)) {
      void this.end();
      throw new P2PError("source-changed", `Cannot serve piece ${index}: it was changed`);
    }
    if (this.#isAlone) this.#wait();
  }

  /** The sharer is gone: from now on it is for those who ask to keep this one. */
  leftAlone(): void {
    this.#isAlone = true;
    this.#wait();
  }

  /** Lets go of what it serves. */
  end(): Promise<void> {
    return this.#ending ??= this.#end();
  }

  async #end(): Promise<void> {
    const { reader, onOver } = this.#options;
    this.#cancelLimit();
    this.#cancelWait();
    onOver();
    // What cannot be deleted now goes with the next sweep.
    await reader.close().catch(() => {});
  }

  #wait(): void {
    if (this.#ending) return;
    this.#cancelWait();
    this.#cancelWait = this.#options.clock.after(LONELY, () => void this.end());
  }
}
