import { join } from "node:path";
import { type Clock, systemClock } from "../async/clock.ts";
import { asP2PError, P2PError, tellable } from "../errors.ts";
import type { Session } from "../net/session.ts";
import { MemoryBudget } from "../async/memory_budget.ts";
import type { Inbox } from "../inbox/inbox.ts";
import { pieceCountOf } from "../pieces/manifest.ts";
import { type PieceTarget, type Sink, StreamTarget } from "../inbox/stream_target.ts";
import { PartialItem } from "../inbox/partial_item.ts";
import type { ContentKey, Receipt } from "../inbox/receipts.ts";
import type { Published } from "../inbox/target.ts";
import { safeName } from "../disk/file_name.ts";
import { MAX_PIECES } from "../wire/limits.ts";
import type { Frame } from "../wire/frame.ts";
import type { MessageOf, Verb } from "../wire/message.ts";
import { WaitingOffers } from "./waiting_offers.ts";
import { Download, type Offer, type Received } from "./download.ts";
import type { BandwidthLimiter } from "./bandwidth_limiter.ts";

/** What the application hears of what arrives. */
export interface DownloadsObserver {
  /** An offer was accepted. */
  onStarted(offer: Offer): void;
  /** `bytes` are verified, and of a tree `files` complete; at most twice a second. */
  onProgress(offer: Offer, bytes: number, files?: number): void;
  /** A file is on disk under its final name. */
  onReceived(offer: Offer, received: Received): void;
  /** An offer was turned down. */
  onRefused?(offer: Offer, error: P2PError): void;
  /** A transfer ended without a file; what is worth it waits to be gone on with. */
  onFailed(offer: Offer, error: P2PError): void;
}

/** Settings of a {@linkcode Downloads}. */
export interface DownloadsOptions {
  inbox: Inbox;
  observer: DownloadsObserver;
  /** Yielder an offer down by throwing; the session reads on when that is settled. */
  admit?: (offer: Offer) => Promise<void>;
  /** Asks a person, who may take minutes: as `admit`, but the session reads on meanwhile. */
  ask?: ((offer: Offer, signal: AbortSignal) => Promise<void>) | undefined;
  /** Largest file in bytes that is accepted. */
  maxSize?: number | undefined;
  /** Where the one file goes that is received, in place of the inbox. */
  streamTo?: Sink | undefined;
  /** Shared by the transfers that come in. */
  rate?: BandwidthLimiter | undefined;
  /** Transfers at once; over it offers are answered with `busy`. */
  maxTransfers?: number;
  /** How long in milliseconds a transfer waits for its sender to come back. */
  orphanTime?: number;
  clock?: Clock;
}

/** Bytes of pieces that all transfers together may have on their way, but for two pieces each. */
const WINDOWS = 16 * 1024 * 1024;

/** Transfers of one sender at once: nobody takes all the places. */
const MAX_PER_SENDER = 128;

/** How long in milliseconds an older session of a sender may take to show that it lives. */
const PROBE_TIMEOUT = 1_000;
/** Silence in milliseconds after which it has to. */
const PROBE_AFTER = 500;

/**
 * The receiving side of all transfers of a peer. Frames come in through {@linkcode onMessage}, whichever
 * session they are on; a transfer outlives its session for a while, so that its sender can go on.
 */
export class Downloads implements AsyncDisposable {
  readonly #options: DownloadsOptions;
  readonly #clock: Clock;
  readonly #active = new Map<string, Download>();
  /** Offers that are being accepted, with their bytes: their partials are about to be. */
  readonly #starting = new Map<string, number>();
  readonly #waiting: WaitingOffers;
  readonly #windows = new MemoryBudget(WINDOWS);
  #closed = false;
  #hasStreamTarget = false;

  constructor(options: DownloadsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#waiting = new WaitingOffers(this.#clock);
  }

  /** Transfers under way. */
  get activeCount(): number {
    return this.#active.size;
  }

  /** Memory for the body of a frame on `session`: pieces go into the buffers of their transfer. */
  allocate(session: Session, verb: Verb, length: number): Uint8Array<ArrayBuffer> {
    if (verb === "PIECE") {
      for (const transfer of this.#active.values()) {
        if (transfer.session === session && length <= transfer.offer.pieceSize) {
          return transfer.buffers.take(length);
        }
      }
    }
    return new Uint8Array(length);
  }

  /** Handles SEND_FILE, SEND_TREE, HASHES, PIECE and CANCEL; false for any other verb. */
  async onMessage({ message, body }: Frame, session: Session): Promise<boolean> {
    switch (message.verb) {
      case "SEND_FILE":
      case "SEND_TREE":
        await this.#onOffer(message, session);
        return true;
      case "HASHES":
        this.#find(message.transfer, session)?.onHashes(message, body);
        return true;
      case "PIECE":
        await this.#find(message.transfer, session)?.onPiece(message.index, body);
        return true;
      case "CANCEL":
        await this.#find(message.transfer, session)?.onCancel(message);
        return true;
      default:
        return false;
    }
  }

  /** The session ended: its transfers wait for their sender to come back. */
  onSessionClosed(session: Session): void {
    for (const transfer of this.#active.values()) {
      if (transfer.session === session) transfer.orphan(this.#options.orphanTime ?? 60_000);
    }
  }

  /** Takes nothing new; resolves when what is under way has ended. Transfers without a sender fail now. */
  async drained(): Promise<void> {
    this.#closed = true;
    this.#waiting.abort(shuttingDown());
    for (const transfer of this.#active.values()) {
      if (!transfer.session) await transfer.fail(shuttingDown());
    }
    await Promise.all([...this.#active.values()].map((transfer) => transfer.ended));
  }

  /** Fails what is under way and deletes its partials. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#waiting.abort(shuttingDown());
    await Promise.all([...this.#active.values()].map((transfer) => transfer.fail(shuttingDown())));
  }

  async #onOffer(
    message: MessageOf<"SEND_FILE" | "SEND_TREE">,
    session: Session,
  ): Promise<void> {
    const { transfer: id, seq } = message;
    const offer = offerOf(message, session.remote.id);
    const key = keyOf(id, session);
    const { inbox } = this.#options;
    const { receipts } = inbox;
    const done = await receipts.ofTransfer(id, offer.from);
    if (done) return answerDone(session, seq, { state: "saved", receipt: done });
    const known = this.#active.get(key);
    if (known?.isEnding) {
      await known.ended;
      return await this.#onOffer(message, session);
    }
    if (known) return known.resume(session, offer, seq);
    const same = !this.#options.streamTo && offer.manifest &&
      await receipts.ofContent(contentOf(offer, offer.manifest));
    if (same) {
      receipts.add({ ...same, transfer: id });
      answerDone(session, seq, { state: "already", receipt: { ...same, transfer: id } });
      return this.#options.observer.onReceived(offer, receivedAs(same, inbox.path));
    }
    const { admit, ask } = this.#options;
    try {
      await this.#suspendAbandoned(offer);
      this.#check(offer);
      await admit?.(offer);
      if (!ask) await this.#accept(key, offer, { session, seq });
    } catch (error) {
      throw this.#refused(offer, error);
    }
    if (ask) void this.#acceptWhenAsked(key, offer, { session, seq });
  }

  /** Answers the offer once a person has decided; the session goes on meanwhile. */
  async #acceptWhenAsked(
    key: string,
    offer: Offer,
    { session, seq }: { session: Session; seq: number },
  ): Promise<void> {
    const { transfer, from } = offer;
    try {
      const decide = async (signal: AbortSignal) => await this.#options.ask?.(offer, signal);
      await this.#waiting.wait({ key, transfer, from, session }, decide);
      // What was checked may be otherwise by now.
      this.#check(offer);
      await this.#accept(key, offer, { session, seq });
    } catch (error) {
      session.post({ verb: "ERROR", re: seq, ...tellable(this.#refused(offer, error)) });
    }
  }

  #refused(offer: Offer, thrown: unknown): P2PError {
    const error = asP2PError(thrown);
    this.#options.observer.onRefused?.(offer, error);
    return error;
  }

  async #accept(
    key: string,
    offer: Offer,
    { session, seq }: { session: Session; seq: number },
  ): Promise<void> {
    const maxSize = await this.#maxSizeOf(offer);
    const partial = await this.#begin(key, offer);
    if (this.#closed || session.connection.closed) {
      await partial.discard();
      throw shuttingDown();
    }
    const { observer, inbox } = this.#options;
    const transfer = new Download({
      offer,
      partial,
      publish: (manifest, digest) => this.#publish(offer, partial, { manifest, ...digest }),
      release: (keep) =>
        keep && partial instanceof PartialItem ? inbox.suspend(partial, offer) : partial.discard(),
      share: this.#windows.join(),
      clock: this.#clock,
      maxSize,
      lane: this.#options.rate?.lane(),
      onProgress: (bytes, files) => observer.onProgress(offer, bytes, files),
      onEnd: (outcome) => {
        this.#active.delete(key);
        if (outcome instanceof P2PError) return observer.onFailed(offer, outcome);
        observer.onReceived(offer, outcome);
      },
    });
    this.#active.set(key, transfer);
    observer.onStarted(offer);
    transfer.begin(session, seq);
  }

  /**
   * The sender may have been started again: what its last run left half done is this offer's to go on with,
   * unless that run is alive and sends the same file a second time.
   */
  async #suspendAbandoned({ from, name, size, pieceSize, table }: Offer): Promise<void> {
    const reason = new P2PError("connection-lost", "The sender came back with a new transfer");
    for (const transfer of this.#active.values()) {
      const { offer, session } = transfer;
      const isSame = offer.from === from && offer.name === name && offer.size === size &&
        offer.pieceSize === pieceSize && offer.table === table;
      if (!isSame || session && await this.#isAlive(session)) continue;
      session?.abort(reason);
      await transfer.fail(reason);
    }
  }

  /** Whether the other side of a session still answers; one that has just been heard is not asked. */
  async #isAlive(session: Session): Promise<boolean> {
    if (this.#clock.now() - session.lastHeard < PROBE_AFTER) return !session.connection.closed;
    try {
      await session.request({ verb: "PING" }, { timeout: PROBE_TIMEOUT });
      return true;
    } catch {
      return false;
    }
  }

  /** Starts a partial; the same offer, come on another connection meanwhile, has to wait. */
  async #begin(key: string, { from, name, size, pieceSize, table }: Offer): Promise<PieceTarget> {
    if (this.#starting.has(key)) {
      throw new P2PError("busy", "Cannot receive: the same offer is being accepted; try again");
    }
    const { streamTo } = this.#options;
    if (streamTo) return this.#openStreamTarget(streamTo, table !== null);
    const promised = this.#promisedBytes();
    this.#starting.set(key, size ?? 0);
    try {
      return await this.#options.inbox.begin({ from, name, size, pieceSize, table }, promised);
    } finally {
      this.#starting.delete(key);
    }
  }

  #openStreamTarget(sink: Sink, isTree: boolean): StreamTarget {
    if (isTree || this.#hasStreamTarget) {
      const what = isTree ? "a folder" : "a second file";
      throw new P2PError("refused", `Cannot receive ${what}: standard output takes one file`);
    }
    this.#hasStreamTarget = true;
    return new StreamTarget(sink);
  }

  /** Most bytes that the offer may bring: a stream, which does not say how many, ends at the quota too. */
  async #maxSizeOf({ size }: Offer): Promise<number | undefined> {
    const { maxSize, inbox } = this.#options;
    if (size !== null) return maxSize;
    const room = await inbox.roomForStream(this.#promisedBytes());
    return room === undefined ? maxSize : Math.min(room, maxSize ?? Infinity);
  }

  /** Bytes that transfers under way will still take. */
  #promisedBytes(): number {
    let bytes = 0;
    for (const size of this.#starting.values()) bytes += size;
    for (const transfer of this.#active.values()) bytes += transfer.missingBytes;
    return bytes;
  }

  /** Gives what has arrived its name, unless this sender sent the very same before. */
  async #publish(
    offer: Offer,
    partial: PieceTarget,
    { manifest, size, sha256 }: { manifest: string; size: number; sha256: string | null },
  ): Promise<Published & { already: boolean }> {
    const { receipts, path } = this.#options.inbox;
    const { transfer, from, name: offered } = offer;
    // What went out is not there to be found again.
    if (this.#options.streamTo) return { ...await partial.publish(offered), already: false };
    const same = await receipts.ofContent(contentOf(offer, manifest));
    if (same) {
      await partial.discard();
      receipts.add({ ...same, transfer });
      return { name: same.name, path: join(path, same.name), already: true };
    }
    let receipt: Receipt | undefined;
    const published = await partial.publish(offered, async (name, identity) => {
      const files = partial.files?.count;
      receipt = { transfer, from, offered, name, size, files, manifest, sha256, ...identity };
      await receipts.intend(receipt);
    });
    if (receipt) receipts.add(receipt);
    return { ...published, already: false };
  }

  #check({ size, pieceSize, from, table }: Offer): void {
    if (this.#closed) throw shuttingDown();
    if (this.#active.size + this.#starting.size >= (this.#options.maxTransfers ?? 1024)) {
      throw new P2PError(
        "busy",
        "Cannot receive: too many transfers are under way; try again later",
      );
    }
    const theirs = [...this.#active.values()].filter((transfer) => transfer.offer.from === from);
    if (theirs.length >= MAX_PER_SENDER) {
      throw new P2PError(
        "busy",
        `Cannot receive: ${MAX_PER_SENDER} transfers of this sender are under way; try again later`,
      );
    }
    const { maxSize } = this.#options;
    if (size !== null && maxSize !== undefined && size > maxSize) {
      throw new P2PError(
        "refused",
        `Cannot receive ${size} bytes: the receiver takes up to ${maxSize}; ` +
          "its owner can raise --max-size there",
      );
    }
    if ((table ?? 0) > (size ?? Infinity)) {
      throw new P2PError("invalid", "Cannot receive a tree: its table is larger than all of it");
    }
    if (size !== null && pieceCountOf(size, pieceSize) > MAX_PIECES) {
      throw new P2PError(
        "invalid",
        `Cannot receive ${size} bytes in pieces of ${pieceSize}: too many`,
      );
    }
  }

  #find(id: string, session: Session): Download | undefined {
    const transfer = this.#active.get(keyOf(id, session));
    // Frames that were on their way when the transfer ended, or came on a session it has left.
    return transfer?.session === session ? transfer : undefined;
  }
}

/** A transfer belongs to who began it: another peer that knows its id gets nowhere. */
function keyOf(transfer: string, session: Session): string {
  return `${transfer} ${session.remote.id}`;
}

function shuttingDown(): P2PError {
  return new P2PError("shutting-down", "Cannot receive: the receiver is shutting down");
}

function offerOf(message: MessageOf<"SEND_FILE" | "SEND_TREE">, from: string): Offer {
  const { transfer, name, size, pieceSize, manifest } = message;
  const table = message.verb === "SEND_TREE" ? message.table : null;
  return { transfer, from, name: safeName(name), size, pieceSize, table, manifest };
}

function contentOf({ from, name }: Offer, manifest: string): ContentKey {
  return { manifest, from, offered: name };
}

/** Answers the offer of something that is here. */
function answerDone(
  session: Session,
  re: number,
  { state, receipt }: { state: "saved" | "already"; receipt: Receipt },
): void {
  const { transfer, name, manifest } = receipt;
  session.post({ verb: "ACK", re, transfer, state, name, manifest });
}

function receivedAs(receipt: Receipt, inbox: string): Received {
  const { name, size, files, sha256, manifest } = receipt;
  const path = join(inbox, name);
  return { name, path, size, files, sha256, manifest, already: true, seconds: 0 };
}
