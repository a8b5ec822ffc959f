import type { FileAttributes } from "../disk/file_mode.ts";
import { asP2PError, P2PError, tellable } from "../errors.ts";
import type { Place } from "../content/piece_cache.ts";
import type { SourcePieces } from "../content/source_pieces.ts";
import type { ReceiptSignature, ReceiptSubject } from "../identity/signed_receipt.ts";
import type { WithoutSeq } from "../net/session.ts";
import type { Range } from "../wire/fields.ts";
import { BLOCK_PIECES, HASH_BYTES, MAX_HASHES } from "../wire/limits.ts";
import type { MessageOf, Rename } from "../wire/message.ts";
import type { BandwidthLane } from "../async/bandwidth_limiter.ts";
import type { Patience } from "./patience.ts";
import type { PeerLink } from "./peer_link.ts";
import type { PieceServer } from "./piece_server.ts";
import type { BlockSigner } from "./swarm/block_signer.ts";
import type { SwarmShare } from "./swarm/swarm_share.ts";
import {
  ASK_TIME,
  STALLED_AFTER,
  type TransferObserver,
  type TransferSettings,
} from "./settings.ts";

/** How long in milliseconds the receiver may take to hear that this side gives up. */
const GOODBYE_TIMEOUT = 5_000;

/**
 * Milliseconds without a GET after which the receiver is far away: with a round trip of so long 8 MiB, which are read
 * ahead, fill a line of 3 Gbit/s.
 */
const FAR = 20;
/** How often that has to be so in a row. */
const TIMES_FAR = 3;

/** How a recipient keeps what it was sent. */
export interface Delivery {
  state: "delivered" | "already";
  /** The name it was saved under. */
  savedAs: string;
  /** How many names inside a folder are others there, and some of them. */
  renamed: number;
  renames: readonly Rename[];
  /** What it has signed of that, unchecked; undefined where it signs nothing. */
  receipt: SignedContent | undefined;
}

/** What a recipient has signed: a receipt without what both ends know. */
export type SignedContent =
  & Pick<ReceiptSubject, "manifest" | "sha256" | "size" | "name">
  & ReceiptSignature;

/** What is sent to one recipient, on whichever link. */
export interface UploadOptions {
  /** Id of the transfer, the same for every try. */
  transfer: string;
  source: SourcePieces;
  /** How far the recipient is, over all tries; of a stream it has to be there before the first GET. */
  place: Place;
  settings: TransferSettings;
  observer: TransferObserver;
  /** How long the recipient may still leave this side waiting, over all tries. */
  patience: Patience;
  /** Holds pieces back under a rate limit. */
  lane?: BandwidthLane | undefined;
  /** The swarm that the recipient may take part in, and its id there. */
  swarm?: { share: SwarmShare; recipient: string } | undefined;
}

type PresentAttributes = { [K in keyof FileAttributes]: NonNullable<FileAttributes[K]> };

type State =
  /** The receiver has not answered. */
  | { at: "offering" }
  /** The receiver pulls; with a `share` it is served as the swarm wants it. */
  | { at: "sending"; server: PieceServer; share: SwarmShare | undefined }
  /** This side gives up, and waits until the receiver has heard. */
  | { at: "cancelling" }
  | { at: "ended" };

/**
 * One try at sending one content over one link: the dialogue of an offer, from SEND_FILE or SEND_TREE to the last ACK,
 * beside a {@linkcode PieceServer} that answers the GETs.
 */
export class Upload {
  readonly #options: UploadOptions;
  readonly #link: PeerLink;
  readonly #ack = Promise.withResolvers<Delivery>();
  readonly #verified = new Set<number>();
  /** Of how many peers the receiver has its pieces, as far as it says. */
  #sources: number | undefined;
  #verifiedBytes = 0;
  /** The receiver has all pieces below. */
  #prefix = 0;
  #state: State = { at: "offering" };
  #wasAccepted = false;
  #saysStale = true;
  #saysWaiting = true;
  /** Hashes that have been sent, and whether they are all; replaced when others are asked for. */
  #hashes = { sent: 0, areAll: false };
  #hasProvenApart = false;
  /** Since when no piece waits to go out; undefined while one does. */
  #idleSince: number | undefined;
  /** How often in a row it took {@linkcode FAR} until the receiver asked for more. */
  #timesLate = 0;
  /** When the receiver said anything, or its turn began. */
  #lastSign = 0;
  #cancelWatch: () => void = () => {};

  constructor(link: PeerLink, options: UploadOptions) {
    this.#link = link;
    this.#options = options;
    this.#ack.promise.catch(() => {});
  }

  /** Id of the transfer. */
  get transfer(): string {
    return this.#options.transfer;
  }

  /** Whether the receiver has accepted the offer. */
  get wasAccepted(): boolean {
    return this.#wasAccepted;
  }

  /**
   * Offers the content and waits until the receiver has it on disk.
   *
   * @throws {P2PError} what the receiver refused or broke off with, `timeout`, `connection-lost`, or why
   * the source could not be read.
   */
  async deliver(): Promise<Delivery> {
    const { source, patience } = this.#options;
    source.start();
    this.#watch();
    // Longer than this side has patience, which ends the wait before.
    this.#link.session.request(this.#offer(), { timeout: patience.left + 2 * ASK_TIME })
      .then(({ message }) => this.#onAnswer(message))
      .catch((error) => this.#onNoAnswer(asP2PError(error)));
    try {
      return await this.#recvAck();
    } finally {
      this.#stopServing();
      this.#state = { at: "ended" };
      this.#cancelWatch();
      patience.setTurn("ours");
    }
  }

  /** The receiver asks for a piece. */
  onGet(index: number): void {
    if (this.#state.at === "offering") {
      throw new P2PError("malformed", `Cannot serve piece ${index}: its hash has not been sent`);
    }
    if (this.#state.at !== "sending") return;
    if (this.#verified.has(index) && this.#saysStale) {
      this.#saysStale = false;
      this.#options.observer.onStale?.();
    }
    this.#lookHowFar();
    const { server, share } = this.#state;
    if (share) share.onGet(this.#link, index);
    else server.request(index);
    this.#watch();
  }

  /** The receiver takes a GET back. */
  onWithdrawn(index: number): void {
    if (this.#state.at === "sending") this.#state.share?.onWithdrawn(this.#link, index);
  }

  /**
   * Has more read ahead for a receiver whose GETs come long after it was sent the last piece that it had asked for, again
   * and again: one that is near is late now and then, when its disk is.
   */
  #lookHowFar(): void {
    const { source, settings: { clock } } = this.#options;
    if (this.#idleSince === undefined) return;
    this.#timesLate = clock.now() - this.#idleSince >= FAR ? this.#timesLate + 1 : 0;
    this.#idleSince = undefined;
    if (this.#timesLate >= TIMES_FAR) source.readFurther();
  }

  /** The receiver has verified pieces, which it has of so many peers. */
  onHave(pieces: Range[], sources?: number): void {
    if (this.#isOver) return;
    this.#sources = sources ?? this.#sources;
    this.#note(pieces);
    if (this.#state.at === "sending") this.#state.share?.onHave(this.#link, pieces);
    this.#watch();
  }

  /** The receiver says where it is, or that it has everything. */
  onAck(message: MessageOf<"ACK">): void {
    if (this.#isOver) return;
    this.#watch();
    const { state, independentFrom, name, manifest, sha256 } = message;
    const { renamed = 0, renames = [] } = message;
    if (state === "waiting") return this.#onWaiting();
    if (state === "ready" && independentFrom !== undefined) {
      return this.#proveApart(independentFrom);
    }
    if (state === "ready" || state === "syncing") return;
    const { source, observer } = this.#options;
    if (name === undefined || manifest === undefined && sha256 === undefined) {
      return void this.cancel(wrongAck("it lacks the name or the manifest"));
    }
    // A receiver cannot have what this side does not know.
    const isRight = manifest === undefined
      ? state === "already" && source.sha256 === sha256
      : source.manifest.id === manifest;
    if (!isRight) {
      return this.#ack.reject(
        new P2PError("integrity", `Cannot send ${source.name}: the receiver has other bytes`),
      );
    }
    observer.onProgress(source.size ?? 0, undefined, this.#sources);
    this.#leaveSwarm(message.swarm ?? false);
    const kept = state === "saved" ? "delivered" : "already";
    this.#ack.resolve({
      state: kept,
      savedAs: name,
      renamed,
      renames,
      receipt: this.#receiptOf(message),
    });
  }

  /** What an ACK that is right signs: of a SHA-256 it is the one that this side knows, whatever it says. */
  #receiptOf(
    { name = "", manifest, sha256, time, signature }: MessageOf<"ACK">,
  ): SignedContent | undefined {
    const { source } = this.#options;
    if (time === undefined || signature === undefined) return undefined;
    const what = sha256 === undefined ? { manifest } : { sha256: source.sha256 ?? "" };
    return { ...what, size: source.size ?? 0, name, time, signature };
  }

  /** The receiver gives up, or the link is gone. */
  onFailed(error: P2PError): void {
    this.#ack.reject(error);
  }

  /** This side gives up: the receiver is told, and keeps or drops what it has as the code says. */
  async cancel(error: P2PError): Promise<void> {
    if (this.#isOver) return;
    this.#stopServing();
    this.#cancelWatch();
    this.#state = { at: "cancelling" };
    const { session } = this.#link;
    if (!session.connection.closed) {
      session.post({ verb: "CANCEL", transfer: this.transfer, ...tellable(error) });
      // Closing with what the receiver has sent unread would reset the connection, and it would never hear
      // why: its PONG says that it has.
      await session.request({ verb: "PING" }, { timeout: GOODBYE_TIMEOUT }).catch(() => {});
    }
    this.#ack.reject(error);
  }

  get #isOver(): boolean {
    return this.#state.at === "cancelling" || this.#state.at === "ended";
  }

  #offer(): WithoutSeq<MessageOf<"SEND_FILE" | "SEND_TREE">> {
    const { source, transfer, swarm } = this.#options;
    const { name, pieceSize, offeredSize, manifest, attributes } = source;
    const { id, table, scheme } = manifest;
    const known = id === undefined ? {} : { manifest: id };
    const { sha256 } = source;
    const offer = {
      transfer,
      name,
      pieceSize,
      scheme,
      ...known,
      ...present(attributes),
      ...(swarm ? { swarm: true } : {}),
    };
    return table !== null && offeredSize !== null
      ? { verb: "SEND_TREE", ...offer, size: offeredSize, table }
      : { verb: "SEND_FILE", ...offer, size: offeredSize, ...(sha256 ? { sha256 } : {}) };
  }

  /** What the receiver says of the offer. */
  #onAnswer(answer: MessageOf<"ACK">): void {
    if (this.#state.at !== "offering") return;
    const { transfer, state } = answer;
    if (transfer !== this.transfer) {
      throw wrongAck(`it answers the offer of ${this.transfer} and names transfer ${transfer}`);
    }
    if (state === "waiting" || state === "syncing") {
      throw wrongAck(`an offer is not answered with ${state}`);
    }
    if (state === "ready") this.#begin(answer);
    else this.onAck(answer);
  }

  /** The receiver is ready, and has some pieces already. */
  #begin({ have = [], independentFrom = Infinity, swarm: takesPart }: MessageOf<"ACK">): void {
    const { transfer, source, settings: { clock }, observer, lane, swarm } = this.#options;
    this.#wasAccepted = true;
    observer.onAccepted?.();
    source.proveApartFrom(independentFrom);
    const server = this.#link.serve({
      transfer,
      pieces: source,
      clock,
      lane,
      onSent: (bytes) => observer.onSent?.(bytes),
      onIdle: () => {
        this.#idleSince = clock.now();
        this.#watch();
      },
      onFailed: (error) => void this.cancel(error),
    });
    const share = takesPart ? swarm?.share : undefined;
    this.#state = { at: "sending", server, share };
    this.#note(have);
    this.#watch();
    share?.join(this.#link, { id: swarm?.recipient ?? "", server, have });
    this.#beginHashes(0);
  }

  /** The receiver has found that it needs other hashes, from that piece on: once, since they cost more than to ask. */
  #proveApart(index: number): void {
    const { source } = this.#options;
    if (this.#state.at !== "sending" || index >= source.manifest.independentFrom) return;
    if (this.#hasProvenApart) {
      return void this.cancel(wrongAck("it asks for other hashes a second time"));
    }
    this.#hasProvenApart = true;
    try {
      source.proveApartFrom(index);
    } catch (error) {
      return void this.cancel(asP2PError(error));
    }
    this.#beginHashes(Math.min(index, this.#hashes.sent));
  }

  #beginHashes(start: number): void {
    this.#hashes = { sent: start, areAll: false };
    this.#sendHashes(this.#hashes).catch((error) => this.cancel(asP2PError(error)));
  }

  /** The offer came to nothing. A receiver that has taken it, and said so wrongly, is told. */
  #onNoAnswer(error: P2PError): void {
    if (error.code === "malformed" && !error.remote) void this.cancel(error);
    else this.#ack.reject(error);
  }

  /** The receiver has everything, and may go on serving others. */
  #leaveSwarm(serves: boolean): void {
    if (this.#state.at !== "sending") return;
    const { share } = this.#state;
    if (serves) share?.complete(this.#link);
    else share?.leave(this.#link, true);
    this.#state = { ...this.#state, share: undefined };
  }

  #stopServing(): void {
    if (this.#state.at !== "sending") return;
    this.#state.server.stop();
    this.#state.share?.leave(this.#link, false);
  }

  /** Waits for the last ACK: `recv_ack` of the Python system that this one grew from. */
  #recvAck(): Promise<Delivery> {
    return this.#ack.promise;
  }

  #onWaiting(): void {
    const { observer, patience } = this.#options;
    if (this.#saysWaiting) observer.onWaiting?.();
    this.#saysWaiting = false;
    patience.allowForPerson(ASK_TIME);
  }

  /**
   * Notes pieces that the receiver says to have.
   *
   * @throws {P2PError} `malformed` when the content has no such pieces, or their hashes are not known yet.
   */
  #note(pieces: Range[]): void {
    const { source, observer, place, patience } = this.#options;
    const [, end = 0] = pieces.at(-1) ?? [];
    if (end > source.pieceCount) {
      throw new P2PError(
        "malformed",
        `Cannot note piece ${end - 1} as verified: ${source.name} has ${source.pieceCount} pieces`,
      );
    }
    for (const [start, end] of pieces) {
      for (let index = start; index < end; index++) {
        if (this.#verified.has(index)) continue;
        this.#verified.add(index);
        this.#verifiedBytes += source.lengthOf(index);
      }
    }
    while (this.#verified.has(this.#prefix)) this.#prefix++;
    place.advance(this.#prefix);
    patience.reached(this.#verifiedBytes);
    if (pieces.length > 0) observer.onProgress(this.#verifiedBytes, undefined, this.#sources);
  }

  /** What signs the hashes in a swarm. */
  get #blocks(): BlockSigner | undefined {
    return this.#state.at === "sending" ? this.#state.share?.blocks : undefined;
  }

  /** Sends every hash as soon as it is known; the last frame carries the size and, of a file or stream, the SHA-256. */
  async #sendHashes(progress: { sent: number; areAll: boolean }): Promise<void> {
    const { source, transfer } = this.#options;
    const isGoingOn = () => this.#state.at === "sending" && this.#hashes === progress;
    while (isGoingOn() && !progress.areAll) {
      // A frame ends where a block does, with the signature of that.
      const left = BLOCK_PIECES - progress.sent % BLOCK_PIECES;
      const most = this.#blocks ? left : MAX_HASHES;
      const { start, scheme, hashes, digest } = await source.hashesFrom(progress.sent, most);
      if (!isGoingOn()) return;
      const signature = this.#blocks?.signatureOf(start + hashes.length / HASH_BYTES);
      const isOther = hashes.length > 0 && scheme !== source.manifest.scheme;
      const sending = this.#link.session.send(
        {
          verb: "HASHES",
          transfer,
          start,
          ...(isOther ? { scheme } : {}),
          ...(signature === undefined ? {} : { signature }),
          ...(digest ? { last: digest } : {}),
        },
        hashes,
      );
      progress.sent = start + hashes.length / HASH_BYTES;
      // What is sent from here on comes after them.
      if (this.#state.at === "sending") this.#state.share?.reached(this.#link, progress.sent);
      await sending;
      progress.areAll = digest !== undefined;
      this.#look();
    }
  }

  /** Whether a piece waits to go out, or does. */
  get #isServing(): boolean {
    return this.#state.at === "sending" && this.#state.server.isBusy;
  }

  /**
   * Whether this side has to find out what comes next: of what is known so far the receiver lacks nothing but the last
   * piece, for which it may have to wait (PROTOCOL.md, "Streams").
   */
  get #isReading(): boolean {
    const { sent, areAll } = this.#hashes;
    return this.#state.at === "sending" && !areAll && this.#verified.size >= sent - 1;
  }

  /** The receiver has said something, or its turn begins: its time-out runs anew. */
  #watch(): void {
    this.#lastSign = this.#options.settings.clock.now();
    this.#look();
  }

  /**
   * Looks whose turn it is, and whether the receiver has been silent or has left this side waiting for too long. No timer
   * runs while pieces go out: a receiver that takes its bytes slowly is not silent, and one that takes none is the
   * connection's to notice.
   */
  #look(): void {
    const { patience, observer, settings: { clock, ackTimeout } } = this.#options;
    this.#cancelWatch();
    if (this.#isOver) return;
    const isTheirs = !this.#isServing && !this.#isReading;
    patience.setTurn(isTheirs ? "theirs" : "ours");
    observer.onStalled?.(patience.spent >= STALLED_AFTER * ackTimeout);
    if (this.#isServing) return;
    const untilSilent = this.#lastSign + ackTimeout - clock.now();
    if (untilSilent <= 0) {
      return this.#giveUp(`No ACK: the receiver was silent for ${ackTimeout / 1000} s`);
    }
    if (patience.isOver) {
      return this.#giveUp("No ACK: the receiver says that it lives, and gets no further");
    }
    const wait = isTheirs ? Math.min(untilSilent, patience.left) : untilSilent;
    this.#cancelWatch = clock.after(wait, () => this.#look());
  }

  #giveUp(reason: string): void {
    const { clock, ackTimeout } = this.#options.settings;
    const { session } = this.#link;
    const error = new P2PError("timeout", reason);
    this.#ack.reject(error);
    // Other transfers on the link show that the receiver lives: only this one is given up.
    if (clock.now() - session.lastHeard >= ackTimeout) session.abort(error);
    else session.post({ verb: "CANCEL", transfer: this.transfer, ...tellable(error) });
  }
}

function wrongAck(why: string): P2PError {
  return new P2PError("malformed", `Cannot read ACK: ${why}`);
}

/** The attributes that there are: a field that is undefined has no place in a message. */
function present({ mtime, executable, mode }: FileAttributes): PresentAttributes {
  return {
    ...(mtime === undefined ? {} : { mtime: Math.trunc(mtime) }),
    ...(executable ? { executable } : {}),
    ...(mode === undefined ? {} : { mode }),
  };
}
