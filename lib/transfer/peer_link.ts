import { Gate } from "../async/gate.ts";
import { formatAddress } from "../address.ts";
import { asP2PError, P2PError, tellable } from "../errors.ts";
import type { Path } from "../events.ts";
import type { Session, SessionHandler } from "../net/session.ts";
import type { Frame } from "../wire/frame.ts";
import { type Message, type MessageOf, remoteError, type Verb } from "../wire/message.ts";
import type { Download } from "./download.ts";
import type { Downloads, OfferMessage, OfferRequest } from "./downloads.ts";
import { PieceServer, type PieceServerOptions } from "./piece_server.ts";
import type { Delivery, Upload } from "./upload.ts";

/** Ids of transfers that have ended on a link and are remembered: frames of them may be on their way. */
const MAX_REMEMBERED = 1024;

/** Offers of one link that are decided on at a time: each may look at what the disk has of it. */
const MAX_DECIDING = 128;

/** What an upload ends with on a link that is left for a better one, on which it goes on: no failure, and no retry. */
export const MOVED = new P2PError("connection-lost", "The transfer goes on on a direct path");

/** A MESSAGE and its text. */
export interface IncomingText {
  message: MessageOf<"MESSAGE">;
  body: Uint8Array;
}

/** What a peer does for those it has a link to. */
export interface LinkServices {
  /** Takes offers; absent where nothing is received. */
  downloads?: Downloads | undefined;
  /** Takes messages; absent where none are. */
  onText?: ((incoming: IncomingText, session: Session) => void | Promise<void>) | undefined;
}

/** An offer of the other side that is being decided on. */
interface DecidedOffer {
  message: OfferMessage;
  request: OfferRequest;
  /** Takes the offer back. */
  over: AbortController;
}

/** How a {@linkcode PeerLink} is made. */
export interface PeerLinkOptions {
  services?: LinkServices;
  /** Whether the other side has opened the session: it may have been there for long. */
  isAccepted?: boolean;
  /** Hears that nothing is under way on it any more, in either direction. */
  onIdle?: ((link: PeerLink) => void) | undefined;
}

/** Handlers by verb, of the frames that one peer may send another outside a request's answer. */
type Handlers = {
  [V in Verb]?: (
    link: PeerLink,
    message: MessageOf<V>,
    body: Uint8Array<ArrayBuffer>,
  ) => void | Promise<void>;
};

/**
 * A session between two peers, whichever side opened it: any number of uploads and downloads side by side. It
 * is run as soon as it is made. No handler waits for longer than a turn of the event loop: what takes time goes on
 * beside the read loop, so that the transfers of one direction never hold up those of the other.
 */
export class PeerLink implements SessionHandler {
  static readonly #HANDLERS: Handlers = {
    SEND_FILE: (link, message) => link.#onOffer(message),
    SEND_TREE: (link, message) => link.#onOffer(message),
    HASHES: (link, message, body) =>
      link.#downloads.get(message.transfer)?.onHashes(link, message, body),
    PIECE: (link, { transfer, index }, body) =>
      link.#downloads.get(transfer)?.onPiece(link, index, body),
    GET: (link, message) => link.#onGet(message),
    HAVE: (link, message) => link.#onHave(message),
    GIVE: (link, { transfer, index }) => link.#downloads.get(transfer)?.swarm?.onGiven(link, index),
    WITHDRAW: (link, message) => link.#onWithdraw(message),
    SERVED: (link, { transfer, signature }, body) =>
      link.#downloads.get(transfer)?.swarm?.onServed(link, body, signature),
    NEIGHBOURS: (link, message) => link.#options.services?.downloads?.onNeighbours(link, message),
    SWARM: (link, message) => link.#onSwarm(message),
    ACK: (link, message) => link.#uploadOf(message)?.onAck(message),
    CANCEL: (link, message) => link.#onCancel(message),
    MESSAGE: (link, message, body) => link.#onText({ message, body }),
  };

  readonly session: Session;
  /** Resolves when the session has ended. */
  readonly ended: Promise<void>;
  readonly #options: PeerLinkOptions;
  /** By the id of the transfer, as all of these. */
  readonly #uploads = new Map<string, Upload>();
  readonly #downloads = new Map<string, Download>();
  readonly #servers = new Map<string, PieceServer>();
  /** Transfers that have ended here and for whose others the link is kept, and what hears that it is not any more. */
  readonly #kept = new Map<string, () => void>();
  /** Offers of the other side that are being decided on. */
  readonly #deciding = new Map<string, DecidedOffer>();
  /** Uploads and servers that have ended. */
  readonly #past = new Set<string>();
  /** Requests beside the transfers that are under way. */
  #asking = 0;
  /** Gate of the pieces: one goes out at a time, of the transfers in turn; control frames pass in between. */
  readonly #pieces = new Gate(1);
  #isFresh: boolean;
  #isClosing = false;
  #refusesOffers = false;

  constructor(session: Session, options: PeerLinkOptions = {}) {
    this.session = session;
    this.#options = options;
    this.#isFresh = !options.isAccepted;
    this.ended = session.run(this);
  }

  /** Whether this side has just opened it, and nothing was carried on it yet. */
  get isFresh(): boolean {
    return this.#isFresh;
  }

  /** Who opened it, and the other end. */
  get path(): Path {
    const { connection, remote: { token } } = this.session;
    if (connection.relay) return { via: "relay", address: formatAddress(connection.relay) };
    const isTheirs = this.#options.isAccepted || token !== undefined;
    return { via: isTheirs ? "dialled-back" : "direct", address: formatAddress(connection.remote) };
  }

  /** Whether its bytes go through the tracker. */
  get isRelayed(): boolean {
    return this.session.connection.relay !== undefined;
  }

  /** Whether it can carry another transfer. */
  get isOpen(): boolean {
    return !this.#isClosing && !this.session.connection.closed;
  }

  /** Whether something is sent on it, or offered. */
  get isSending(): boolean {
    return this.#uploads.size > 0;
  }

  /** Whether nothing is under way on it. */
  get isIdle(): boolean {
    const { size: uploads } = this.#uploads;
    const transfers = uploads + this.#downloads.size + this.#servers.size + this.#kept.size;
    return transfers + this.#deciding.size + this.#asking === 0;
  }

  /**
   * Carries an upload to its end.
   *
   * @throws {P2PError} as {@linkcode Upload.deliver}.
   */
  async carry(upload: Upload): Promise<Delivery> {
    this.#uploads.set(upload.transfer, upload);
    try {
      return await upload.deliver();
    } catch (error) {
      const isRefused = error instanceof P2PError && error.code === "unexpected-verb";
      this.#refusesOffers ||= isRefused && error.remote && !upload.wasAccepted;
      throw error;
    } finally {
      this.#uploads.delete(upload.transfer);
      this.#remember(upload.transfer);
      this.#servers.delete(upload.transfer);
      this.#settle();
    }
  }

  /** Whether the other side has said that it takes no offers on this session. */
  get refusesOffers(): boolean {
    return this.#refusesOffers;
  }

  /** Has `action` ask the other side something beside the transfers. */
  async ask<T>(action: (session: Session) => Promise<T>): Promise<T> {
    this.#asking++;
    this.#isFresh = false;
    try {
      return await action(this.session);
    } finally {
      this.#asking--;
      this.#settle();
    }
  }

  /** Whether nothing that is under way on it has the id of the transfer. */
  isFreeFor(transfer: string): boolean {
    return !this.#downloads.has(transfer) && !this.#uploads.has(transfer) &&
      !this.#servers.has(transfer);
  }

  /** Whether the upload is all that is under way on it. */
  isCarryingOnly({ transfer }: Upload): boolean {
    const isAlone = this.#uploads.size === 1 && this.#uploads.has(transfer);
    const others = [...this.#servers.keys()].some((other) => other !== transfer);
    const more = this.#downloads.size + this.#deciding.size + this.#asking + this.#kept.size;
    return isAlone && !others && more === 0;
  }

  /**
   * Makes what answers the GETs of a transfer on this link, until its upload or {@linkcode endServing} ends that. Those
   * of a swarm go through its picker.
   */
  serve(options: Omit<PieceServerOptions, "link">): PieceServer {
    const server = new PieceServer({ ...options, link: this });
    this.#servers.set(options.transfer, server);
    return server;
  }

  /** Answers no GETs of the transfer any more; those of an upload end by themselves. */
  endServing(transfer: string): void {
    this.#servers.get(transfer)?.stop();
    this.#servers.delete(transfer);
    this.#remember(transfer);
    this.#settle();
  }

  /**
   * Keeps the link for a transfer that has ended on it, since the other side goes on serving others.
   *
   * @param onOver hears that it does so no longer, or that the session has ended; unless {@linkcode letGo} comes first.
   */
  keepFor(transfer: string, onOver: () => void): void {
    this.#kept.set(transfer, onOver);
  }

  /** Keeps it for the transfer no longer; where that `isOver` the other side is told, and serves nothing of it any more. */
  letGo(transfer: string, isOver: boolean): void {
    if (!this.#kept.delete(transfer)) return;
    const over = { code: "cancelled", message: "All have it" };
    if (isOver) this.session.post({ verb: "CANCEL", transfer, ...over });
    this.#settle();
  }

  /**
   * Sends a piece when it is its turn; resolves when the socket has taken it.
   *
   * @throws the signal's reason when that has aborted before its turn came, or why the session has ended.
   */
  async sendPiece(
    message: MessageOf<"PIECE">,
    bytes: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#pieces.run(() => {
      signal.throwIfAborted();
      return this.session.send(message, bytes);
    });
  }

  /** Nothing is to be carried on it after all. */
  release(): void {
    this.#settle();
  }

  /** Gives the frames of its transfer to a download. */
  attach(download: Download): void {
    this.#isFresh = false;
    this.#downloads.set(download.offer.transfer, download);
    this.session.connection.startStreaming();
  }

  /** The download is over, or goes on elsewhere. */
  detach(download: Download): void {
    const { transfer } = download.offer;
    if (this.#downloads.get(transfer) !== download) return;
    this.#downloads.delete(transfer);
    this.#remember(transfer);
    this.#settle();
  }

  /** Has what goes out go on on another link. What comes in does when its sender does the same. */
  leave(): void {
    for (const upload of this.#uploads.values()) upload.onFailed(MOVED);
    this.#settle();
  }

  /** Says goodbye. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.session.close();
    await this.ended;
  }

  /** Memory for what somebody here waits for; what is late or not asked for gets none. */
  allocate(message: Message, length: number): Uint8Array<ArrayBuffer> | null {
    switch (message.verb) {
      case "PIECE":
        return this.#downloads.get(message.transfer)?.memoryFor(this, message.index, length) ??
          null;
      case "HASHES":
      case "SERVED":
        return this.#downloads.has(message.transfer) ? new Uint8Array(length) : null;
      case "MESSAGE":
        return this.#options.services?.onText ? new Uint8Array(length) : null;
      default:
        return null;
    }
  }

  onMessage({ message, body }: Frame): void | Promise<void> {
    const handler = PeerLink.#HANDLERS[message.verb] as
      | ((link: PeerLink, message: Message, body: Uint8Array<ArrayBuffer>) => void | Promise<void>)
      | undefined;
    if (!handler) throw unexpected(message.verb);
    return handler(this, message, body);
  }

  onClosed(error: P2PError | null): void {
    const reason = error ??
      new P2PError("connection-lost", "The receiver ended the connection before its ACK");
    for (const upload of this.#uploads.values()) upload.onFailed(reason);
    for (const server of this.#servers.values()) server.stop();
    for (const { over } of this.#deciding.values()) over.abort(takenBack());
    for (const transfer of [...this.#kept.keys()]) this.#unkeep(transfer);
    for (const download of [...this.#downloads.values()]) download.leave(this);
  }

  /** Decides on an offer beside the read loop: the other direction goes on meanwhile. */
  #onOffer(message: OfferMessage): void {
    const { downloads } = this.#options.services ?? {};
    if (!downloads) throw unexpected(message.verb);
    const { transfer, seq } = message;
    const before = this.#deciding.get(transfer);
    if (before) return this.#onOfferAgain(before, message);
    if (this.#deciding.size >= MAX_DECIDING) {
      throw new P2PError(
        "busy",
        `Cannot receive: ${MAX_DECIDING} offers of this session wait for an answer; try again later`,
      );
    }
    const over = new AbortController();
    const request = { link: this, seq, signal: over.signal };
    this.#deciding.set(transfer, { message, request, over });
    downloads.onOffer(message, request)
      .catch((error) => {
        this.session.post({ verb: "ERROR", re: request.seq, ...tellable(asP2PError(error)) });
      })
      .finally(() => {
        this.#deciding.delete(transfer);
        this.#settle();
      });
  }

  /** Has an offer that is made anew wait for the answer to the one before: nobody is asked twice. */
  #onOfferAgain({ message: before, request }: DecidedOffer, message: OfferMessage): void {
    const isSame = JSON.stringify({ ...before, seq: 0 }) === JSON.stringify({ ...message, seq: 0 });
    if (!isSame) throw new P2PError("invalid", "Cannot receive: another offer has that transfer");
    this.session.post({ verb: "ERROR", re: request.seq, ...tellable(takenBack()) });
    request.seq = message.seq;
  }

  #onGet({ transfer, index, verb }: MessageOf<"GET">): void {
    const { swarm } = this.#downloads.get(transfer) ?? {};
    if (swarm) return swarm.onGet(this, index);
    const upload = this.#uploads.get(transfer);
    // Of an earlier try on this link GETs may still be on their way.
    if (upload && !upload.wasAccepted && this.#past.has(transfer)) return;
    if (upload) return upload.onGet(index);
    const server = this.#servers.get(transfer);
    if (server) return server.request(index);
    if (!this.#past.has(transfer)) throw notOffered(verb);
  }

  #onHave(message: MessageOf<"HAVE">): void {
    const { transfer, pieces, sources } = message;
    const { swarm } = this.#downloads.get(transfer) ?? {};
    if (swarm) swarm.onHave(this, pieces);
    else this.#uploadOf(message)?.onHave(pieces, sources);
  }

  #onWithdraw(message: MessageOf<"WITHDRAW">): void {
    const { transfer, index } = message;
    const { swarm } = this.#downloads.get(transfer) ?? {};
    if (swarm) swarm.onWithdrawn(this, index);
    else this.#uploadOf(message)?.onWithdrawn(index);
  }

  /** Another recipient wants to have pieces of this one, and the other way round. */
  #onSwarm(message: MessageOf<"SWARM">): void {
    const { downloads } = this.#options.services ?? {};
    const { transfer } = message;
    // Both may have been told to meet the other.
    if (this.#downloads.has(transfer) || downloads?.onSwarm(this, message)) return;
    // What it has sent with it is on its way.
    if (this.isFreeFor(transfer)) this.#remember(transfer);
    this.session.post({
      verb: "CANCEL",
      transfer,
      code: "cancelled",
      message: "It is not received here, or not any more",
    });
  }

  #uploadOf(message: MessageOf<"ACK" | "HAVE" | "WITHDRAW">): Upload | undefined {
    const { transfer, verb } = message;
    const upload = this.#uploads.get(transfer);
    if (!upload && !this.#servers.has(transfer) && !this.#past.has(transfer)) {
      throw notOffered(verb);
    }
    return upload;
  }

  #onCancel(message: MessageOf<"CANCEL">): void {
    const { transfer } = message;
    const upload = this.#uploads.get(transfer);
    if (upload) return upload.onFailed(remoteError(message));
    this.#unkeep(transfer);
    this.#deciding.get(transfer)?.over.abort(remoteError(message));
    this.#downloads.get(transfer)?.onCancel(this, remoteError(message));
  }

  #onText(incoming: IncomingText): void | Promise<void> {
    const { onText } = this.#options.services ?? {};
    if (!onText) throw unexpected("MESSAGE");
    return onText(incoming, this.session);
  }

  #remember(transfer: string): void {
    this.#isFresh = false;
    this.#past.add(transfer);
    for (const oldest of this.#past) {
      if (this.#past.size <= MAX_REMEMBERED) break;
      this.#past.delete(oldest);
    }
  }

  #unkeep(transfer: string): void {
    const onOver = this.#kept.get(transfer);
    if (!this.#kept.delete(transfer)) return;
    onOver?.();
    this.#settle();
  }

  #settle(): void {
    if (this.isIdle) this.#options.onIdle?.(this);
  }
}

function takenBack(): P2PError {
  return new P2PError("connection-lost", "Cannot go on: the sender took the offer back");
}

function unexpected(verb: Verb): P2PError {
  return new P2PError("unexpected-verb", `Cannot answer ${verb}: a peer does not take it here`);
}

function notOffered(verb: Verb): P2PError {
  return new P2PError(
    "unexpected-verb",
    `Cannot answer ${verb}: its transfer was not offered here`,
  );
}
