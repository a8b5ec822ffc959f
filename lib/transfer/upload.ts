import type { Clock } from "../async/clock.ts";
import { asP2PError, P2PError, tellable } from "../errors.ts";
import type { Session, SessionHandler, WithoutSeq } from "../net/session.ts";
import type { Place, SourcePieces } from "../content/source_pieces.ts";
import type { Frame } from "../wire/frame.ts";
import { MAX_HASHES } from "../wire/limits.ts";
import { type MessageOf, remoteError } from "../wire/message.ts";
import type { Range } from "../wire/fields.ts";
import { awaitTurn } from "./pace.ts";
import type { BandwidthLane } from "./bandwidth_limiter.ts";

/** Time-outs that a receiver may fill with signs of life, without a piece that comes or goes. */
const MAX_KEEPALIVE_EXTENSIONS = 40;

/** How long in milliseconds the receiver may take to hear that this side gives up. */
const GOODBYE_TIMEOUT = 5_000;

/** How a recipient keeps what it was sent. */
export interface Delivery {
  state: "delivered" | "already";
  /** The name it was saved under. */
  savedAs: string;
}

/** What an {@linkcode Upload} needs. */
export interface UploadOptions {
  /** Id of the transfer, the same for every try. */
  transfer: string;
  source: SourcePieces;
  /** How far the recipient is, over all tries. */
  place: Place;
  /** Longest silence of the receiver, milliseconds. */
  ackTimeout: number;
  clock: Clock;
  /** Holds pieces back under a rate limit. */
  lane?: BandwidthLane | undefined;
  /** Ends the waiting for the rate limit. */
  signal?: AbortSignal | undefined;
  /** `bytes` are verified by the receiver. */
  onProgress(bytes: number): void;
  /** The receiver has to ask a person first; said once. */
  onWaiting?: (() => void) | undefined;
  /** Bytes of pieces that went out. */
  onSent(bytes: number): void;
  /** The receiver had a part of something older: once. */
  onStale(): void;
}

/**
 * One try at sending one file over one session: offers it, sends hashes as they become known, serves the
 * pieces that the receiver asks for, and settles with its ACK.
 */
export class Upload implements SessionHandler {
  readonly #options: UploadOptions;
  readonly #session: Session;
  readonly #ack = Promise.withResolvers<Delivery>();
  readonly #verified = new Set<number>();
  #verifiedBytes = 0;
  /** The receiver has all pieces below. */
  #prefix = 0;
  #offered = false;
  #hasGivenUp = false;
  #isStale = false;
  #waiting = false;
  #settled = false;
  /** When a piece went out or was said to be verified for the first time. */
  #lastProgress: number;
  #cancelWatch: () => void = () => {};

  constructor(session: Session, options: UploadOptions) {
    this.#session = session;
    this.#options = options;
    this.#lastProgress = options.clock.now();
    this.#ack.promise.catch(() => {});
  }

  /**
   * Offers the file and waits until the receiver has it on disk.
   *
   * @throws {P2PError} what the receiver refused or broke off with, `timeout`, `connection-lost`, or why
   * the source could not be read.
   */
  async deliver(): Promise<Delivery> {
    const { source, transfer, ackTimeout } = this.#options;
    source.start();
    // The answer may take a person's time, while the receiver says that it lives.
    this.#watch();
    try {
      const { message } = await this.#session.request(this.#offer(transfer), {
        timeout: MAX_KEEPALIVE_EXTENSIONS * ackTimeout,
      });
      if (message.verb !== "ACK") {
        throw new P2PError(
          "unexpected-verb",
          `The receiver answered an offer with ${message.verb}`,
        );
      }
      if (message.state === "saved" || message.state === "already") this.#onAck(message);
      else {
        this.#offered = true;
        this.#onHave(message.have ?? []);
        this.#watch();
        this.#sendHashes().catch((error) => this.#giveUp(asP2PError(error)));
      }
      return await this.#recvAck();
    } finally {
      this.#settled = true;
      this.#cancelWatch();
    }
  }

  /** Its id. */
  get transfer(): string {
    return this.#options.transfer;
  }

  /** Whether the receiver has accepted the offer. */
  get isAccepted(): boolean {
    return this.#offered;
  }

  async onMessage({ message }: Frame): Promise<void> {
    if (!("transfer" in message) || message.transfer !== this.#options.transfer) {
      throw new P2PError("unexpected-verb", `Cannot answer ${message.verb} on a transfer`);
    }
    if (this.#settled || this.#hasGivenUp) return;
    this.#watch();
    switch (message.verb) {
      case "GET":
        return await this.#servePiece(message.index);
      case "HAVE":
        return this.#onHave(message.pieces);
      case "ACK":
        return this.#onAck(message);
      case "CANCEL":
        return this.#ack.reject(remoteError(message));
      default:
        throw new P2PError("unexpected-verb", `Cannot answer ${message.verb} on a transfer`);
    }
  }

  onClosed(error: P2PError | null): void {
    this.#ack.reject(
      error ?? new P2PError("connection-lost", "The receiver ended the connection before its ACK"),
    );
  }

  #offer(transfer: string): WithoutSeq<MessageOf<"SEND_FILE" | "SEND_TREE">> {
    const { name, pieceSize, offeredSize, manifest: { id, table } } = this.#options.source;
    const offer = { transfer, name, pieceSize, ...(id === undefined ? {} : { manifest: id }) };
    return table !== null && offeredSize !== null
      ? { verb: "SEND_TREE", ...offer, size: offeredSize, table }
      : { verb: "SEND_FILE", ...offer, size: offeredSize };
  }

  /** Waits for the final ACK, the original's `recv_ack`. */
  #recvAck(): Promise<Delivery> {
    return this.#ack.promise;
  }

  #onAck({ state, name, manifest }: MessageOf<"ACK">): void {
    if (state === "waiting") return this.#onWaiting();
    if (state === "ready" || state === "syncing") return;
    if (name === undefined || manifest === undefined) {
      this.#ack.reject(
        new P2PError("malformed", "Cannot read ACK: it lacks the name or the manifest"),
      );
      return;
    }
    // A receiver cannot have what this side has not read to its end.
    if (this.#options.source.manifest.id !== manifest) {
      this.#ack.reject(
        new P2PError(
          "integrity",
          `Cannot send ${this.#options.source.name}: the receiver has other bytes`,
        ),
      );
      return;
    }
    this.#options.onProgress(this.#options.source.size ?? 0);
    this.#ack.resolve({ state: state === "saved" ? "delivered" : "already", savedAs: name });
  }

  #onWaiting(): void {
    if (!this.#waiting) this.#options.onWaiting?.();
    this.#waiting = true;
  }

  #onHave(pieces: Range[]): void {
    const { source, onProgress } = this.#options;
    for (const [start, end] of pieces) {
      for (let index = start; index < Math.min(end, source.pieceCount); index++) {
        if (this.#verified.has(index)) continue;
        this.#verified.add(index);
        this.#progressed();
        this.#verifiedBytes += source.lengthOf(index);
      }
    }
    while (this.#verified.has(this.#prefix)) this.#prefix++;
    this.#options.place.advance(this.#prefix);
    if (pieces.length > 0) onProgress(this.#verifiedBytes);
  }

  /** Sends every hash as soon as it is known; the last frame carries the SHA-256 of the file. */
  async #sendHashes(): Promise<void> {
    const { source, transfer } = this.#options;
    for (let next = 0; !this.#settled;) {
      const { start, hashes, digest } = await source.hashesFrom(next, MAX_HASHES);
      await this.#session.send(
        { verb: "HASHES", transfer, start, ...(digest ? { last: digest } : {}) },
        hashes,
      );
      if (digest) return;
      next = start + hashes.length / 32;
    }
  }

  async #servePiece(index: number): Promise<void> {
    const { source, transfer } = this.#options;
    if (!this.#offered || source.manifest.hashOf(index) === undefined) {
      throw new P2PError("malformed", `Cannot serve piece ${index}: its hash has not been sent`);
    }
    if (this.#verified.has(index) && !this.#isStale) {
      this.#isStale = true;
      this.#options.onStale();
    }
    // Meanwhile nothing is read: a receiver that takes its bytes slowly is not a silent one.
    this.#cancelWatch();
    try {
      await this.#awaitTurn(index);
      const piece = await source.lend(index);
      try {
        await this.#session.send({ verb: "PIECE", transfer, index }, piece.bytes);
        this.#options.onSent(piece.bytes.length);
        this.#progressed();
      } finally {
        piece.release();
      }
    } catch (error) {
      this.#giveUp(asP2PError(error));
    }
    if (!this.#settled) this.#watch();
  }

  /** Waits until the rate limit lets the piece pass. */
  async #awaitTurn(index: number): Promise<void> {
    const { source, lane, clock, signal } = this.#options;
    if (!lane) return;
    const bytes = source.lengthOf(index);
    await awaitTurn(bytes, { lane, session: this.#session, clock, signal });
  }

  /** This side cannot go on: the receiver is told, and drops what it has. */
  async #giveUp(error: P2PError): Promise<void> {
    if (this.#hasGivenUp) return;
    this.#hasGivenUp = true;
    if (!this.#settled && !this.#session.connection.closed) {
      const { transfer } = this.#options;
      this.#session.post({ verb: "CANCEL", transfer, ...tellable(error) });
      // Closing with what the receiver has sent unread would reset the connection, and it would never hear
      // why: its PONG says that it has.
      await this.#session.request({ verb: "PING" }, { timeout: GOODBYE_TIMEOUT }).catch(() => {});
    }
    this.#ack.reject(error);
  }

  #progressed(): void {
    this.#lastProgress = this.#options.clock.now();
  }

  /** Every frame of the receiver puts the time-out off, but not for ever: words alone are no progress. */
  #watch(): void {
    const { clock, ackTimeout } = this.#options;
    if (clock.now() - this.#lastProgress > MAX_KEEPALIVE_EXTENSIONS * ackTimeout) return;
    this.#cancelWatch();
    this.#cancelWatch = clock.after(ackTimeout, () => {
      const error = new P2PError(
        "timeout",
        `No ACK: the receiver was silent for ${ackTimeout / 1000} s`,
      );
      this.#ack.reject(error);
      this.#session.abort(error);
    });
  }
}
