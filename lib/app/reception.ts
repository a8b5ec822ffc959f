/**
 * The end that a receiving command waits for: of a share with all its files, or of one transfer.
 *
 * @module
 */

import type { AppEvent } from "../events.ts";
import { type Clock, systemClock } from "../async/clock.ts";
import { ExitCode, isErrorCode, P2PError } from "../errors.ts";
import type { OfferedFile } from "../peer/peer.ts";

/** Decides what is taken, and knows when it has come. */
export interface Reception {
  /** See `PeerOptions.takeOffer`. */
  accept(offer: OfferedFile): Promise<() => void>;
  /** Hears every event of the peer. */
  onEvent(event: AppEvent): void;
  /** See `PeerOptions.onTrackerEnded`. */
  onTrackerEnded(error: P2PError | null): boolean;
  /** Resolves when it is complete; rejects with why it will not be. */
  readonly ended: Promise<void>;
}

/** How long in milliseconds a share that went away may take to come back. */
const GIVE_UP_AFTER = 30_000;

/** What an offer is recognised by. */
function isSame(a: OfferedFile, b: OfferedFile): boolean {
  return a.from === b.from && a.name === b.name && a.size === b.size &&
    a.pieceSize === b.pieceSize && a.table === b.table;
}

/**
 * The contents that a command takes, so many and no others: whoever sends must not fill the disk with what nobody asked
 * for. A sender that was started again goes on with the same content under another transfer, until it has come.
 */
class Contents {
  readonly #taken: { offer: OfferedFile; isDone: boolean }[] = [];

  /** How many have been begun. */
  get count(): number {
    return this.#taken.length;
  }

  /** Whether the transfer is the one that a content comes by now. */
  has(transfer: string): boolean {
    return this.#taken.some(({ offer }) => offer.transfer === transfer);
  }

  /**
   * Takes an offer; what is returned takes that back.
   *
   * @throws {P2PError} `refused` with the text when there are `most` others already.
   */
  take(offer: OfferedFile, most: number, text: string): () => void {
    const same = this.#taken.find((one) =>
      isSame(one.offer, offer) && (!one.isDone || one.offer.transfer === offer.transfer)
    );
    if (same) {
      const before = same.offer;
      same.offer = offer;
      return () => {
        if (same.offer === offer) same.offer = before;
      };
    }
    if (this.#taken.length >= most) throw new P2PError("refused", text);
    this.#taken.push({ offer, isDone: false });
    return () => this.#drop((taken) => taken === offer);
  }

  /** A content has come. */
  finish(transfer: string): void {
    for (const one of this.#taken) one.isDone ||= one.offer.transfer === transfer;
  }

  /** A content was turned down: another may come in its place. */
  forget(transfer: string): void {
    this.#drop((offer) => offer.transfer === transfer);
  }

  #drop(isMeant: (offer: OfferedFile) => boolean): void {
    const at = this.#taken.findIndex(({ offer }) => isMeant(offer));
    if (at >= 0) this.#taken.splice(at, 1);
  }
}

/** Settings of a {@linkcode ShareReception}. */
export interface ShareReceptionOptions {
  /** The only id that files are taken from. */
  sharer: string;
  /** Offers wait for this, so that what is shown of them comes in order. */
  ready: Promise<unknown>;
  /** How many contents the share has announced, once it is ready; one when it is not said. */
  contents?: () => number;
  clock?: Clock;
}

/** All that a share hands over: its tracker says BYE when that is done, and ERROR when it will not be. */
export class ShareReception implements Reception {
  readonly #options: ShareReceptionOptions;
  readonly #clock: Clock;
  readonly #ended = Promise.withResolvers<void>();
  readonly #contents = new Contents();
  #failure: P2PError | undefined;
  #cancelTimer: () => void = () => {};

  constructor(options: ShareReceptionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#ended.promise.catch(() => {});
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  async accept(offer: OfferedFile): Promise<() => void> {
    const { sharer, ready, contents = () => 1 } = this.#options;
    if (offer.from !== sharer) {
      throw new P2PError("refused", "Cannot receive: only who shares may send here");
    }
    await ready;
    const text = "Cannot receive: this is more than the share has announced";
    return this.#contents.take(offer, contents(), text);
  }

  onEvent(event: AppEvent): void {
    switch (event.event) {
      case "file-received":
        this.#contents.finish(event.transfer);
        return;
      case "receive-failed":
        this.#failure = failureOf(event);
        return;
      case "tracker-lost":
        this.#cancelTimer();
        this.#cancelTimer = this.#clock.after(GIVE_UP_AFTER, () => {
          const text = `Cannot receive everything: the share is gone (${event.reason})`;
          this.#ended.reject(new P2PError("tracker-unreachable", text));
        });
        return;
      case "registered":
        this.#cancelTimer();
        return;
    }
  }

  onTrackerEnded(error: P2PError | null): boolean {
    this.#cancelTimer();
    if (error) this.#ended.reject(this.#why(error));
    else if (this.#contents.count > 0) this.#ended.resolve();
    else this.#ended.reject(new P2PError("shutting-down", "Cannot receive: the share has ended"));
    return true;
  }

  /** The reason to show. A failure of this side is known better here, a broken connection over there. */
  #why(error: P2PError): P2PError {
    const failure = this.#failure;
    return failure && failure.exitCode !== ExitCode.peerUnreachable ? failure : error;
  }
}

/** The first transfer that somebody begins; meanwhile others are refused. */
export class OneTransfer implements Reception {
  readonly #ended = Promise.withResolvers<void>();
  readonly #contents = new Contents();

  constructor() {
    this.#ended.promise.catch(() => {});
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  async accept(offer: OfferedFile): Promise<() => void> {
    const text = "Cannot receive: this peer takes one transfer, which has begun";
    return await this.#contents.take(offer, 1, text);
  }

  onEvent(event: AppEvent): void {
    if (!("transfer" in event) || !this.#contents.has(event.transfer)) return;
    if (event.event === "file-received") this.#ended.resolve();
    if (event.event !== "receive-failed") return;
    // A transfer that was turned down has not begun: another one may come.
    if (event.code === "refused") this.#contents.forget(event.transfer);
    else this.#ended.reject(failureOf(event));
  }

  onTrackerEnded(): boolean {
    return false;
  }
}

/** The failure of a transfer as this side knows it; what its own flags refuse is no other peer's doing. */
function failureOf(
  { code, message, flag, name }: { code: string; message: string; flag?: string; name: string },
): P2PError {
  if (flag !== undefined) {
    return new P2PError(
      "quota",
      `Cannot receive ${name}: it is larger than --${flag} lets in here; raise it and receive again`,
    );
  }
  return new P2PError(isErrorCode(code) ? code : "unexpected", message);
}
