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

/** Settings of a {@linkcode ShareReception}. */
export interface ShareReceptionOptions {
  /** The only id that files are taken from. */
  sharer: string;
  /** Offers wait for this, so that what is shown of them comes in order. */
  ready: Promise<unknown>;
  clock?: Clock;
}

/** All that a share hands over: its tracker says BYE when that is done, and ERROR when it will not be. */
export class ShareReception implements Reception {
  readonly #options: ShareReceptionOptions;
  readonly #clock: Clock;
  readonly #ended = Promise.withResolvers<void>();
  #offers = 0;
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

  async accept({ from }: OfferedFile): Promise<() => void> {
    const { sharer, ready } = this.#options;
    if (from !== sharer) {
      throw new P2PError("refused", "Cannot receive: only who shares may send here");
    }
    await ready;
    this.#offers++;
    return () => this.#offers--;
  }

  onEvent(event: AppEvent): void {
    switch (event.event) {
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
    else if (this.#offers > 0) this.#ended.resolve();
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
  #taken: OfferedFile | undefined;

  constructor() {
    this.#ended.promise.catch(() => {});
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** A sender that was started again goes on with the same file under another transfer. */
  accept(offer: OfferedFile): Promise<() => void> {
    const taken = this.#taken;
    const goesOn = taken === undefined || taken.from === offer.from &&
        (taken.transfer === offer.transfer ||
          taken.name === offer.name && taken.size === offer.size);
    if (!goesOn) {
      const text = "Cannot receive: this peer takes one transfer, which has begun";
      return Promise.reject(new P2PError("refused", text));
    }
    this.#taken = offer;
    return Promise.resolve(() => {
      if (this.#taken === offer) this.#taken = taken;
    });
  }

  onEvent(event: AppEvent): void {
    if (!("transfer" in event) || event.transfer !== this.#taken?.transfer) return;
    if (event.event === "file-received") this.#ended.resolve();
    if (event.event !== "receive-failed") return;
    // A transfer that was turned down has not begun: another one may come.
    if (event.code === "refused") this.#taken = undefined;
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
