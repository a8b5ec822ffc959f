import { MAX_RANGES } from "../wire/limits.ts";
import type { MessageOf } from "../wire/message.ts";
import { rangesOf } from "./ranges.ts";

/** Time in milliseconds between two reports. */
export const REPORT_INTERVAL = 500;
/** Verified bytes after which the sender is told at once: one that sends a stream waits for it. */
const REPORT_BYTES = 8 * 1024 * 1024;
/** Reports without news after which an empty one tells the sender that this side lives, and the line (1 s). */
const QUIET_REPORTS = 2;

/** What a {@linkcode HaveReporter} needs. */
export interface HaveReporterOptions {
  transfer: string;
  /** Sends to the sender, if it is there. */
  post(message: MessageOf<"HAVE" | "ACK">): void;
  /** Of how many peers the pieces are, where the sender is to hear it. */
  sources(): number | undefined;
  /** Hears how many bytes are verified. */
  onProgress(bytes: number): void;
}

/**
 * Says how far a transfer is: to the sender which pieces are verified, and to the application how many bytes
 * that makes. Invariant: a piece is in `#news` from when it is verified until the sender is told. Should that
 * be lost with the session, the ACK by which the transfer goes on names all pieces.
 */
export class HaveReporter {
  readonly #options: HaveReporterOptions;
  #news: number[] = [];
  #newBytes = 0;
  /** Verified bytes when the application heard of them last. */
  #reportedBytes = 0;
  /** Reports since one that had news. */
  #quiet = 0;

  constructor(options: HaveReporterOptions) {
    this.#options = options;
  }

  /** A piece of `bytes` is verified. */
  verified(index: number, bytes: number): void {
    this.#news.push(index);
    this.#newBytes += bytes;
    if (this.#newBytes >= REPORT_BYTES) this.#tellSender();
  }

  /**
   * Tells both sides what they have not heard; to be called every {@linkcode REPORT_INTERVAL}. The sender
   * hears now and then that this side lives, also while all is verified and on its way to the disk, unless it is
   * `isMissed`: owes something of which nothing comes, so that it has to find out whether the line is there.
   */
  report(
    { verifiedBytes, isSyncing, isMissed }: {
      verifiedBytes: number;
      isSyncing: boolean;
      isMissed: boolean;
    },
  ): void {
    const { transfer, post, onProgress } = this.#options;
    this.#tellSender();
    if (verifiedBytes !== this.#reportedBytes) {
      this.#quiet = 0;
      this.#reportedBytes = verifiedBytes;
      onProgress(verifiedBytes);
    } else if (++this.#quiet >= QUIET_REPORTS && !isMissed) {
      this.#quiet = 0;
      post(
        isSyncing
          ? { verb: "ACK", transfer, state: "syncing" }
          : { verb: "HAVE", transfer, pieces: [] },
      );
    }
  }

  #tellSender(): void {
    const { transfer, post } = this.#options;
    const sources = this.#options.sources();
    const more = sources === undefined ? {} : { sources };
    const ranges = rangesOf(this.#news);
    this.#news = [];
    this.#newBytes = 0;
    for (let at = 0; at < ranges.length; at += MAX_RANGES) {
      post({ verb: "HAVE", transfer, pieces: ranges.slice(at, at + MAX_RANGES), ...more });
    }
  }
}
