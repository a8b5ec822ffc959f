import type { Clock } from "../async/clock.ts";
import { asP2PError, type ErrorCode, P2PError, tellable } from "../errors.ts";
import type { Session } from "../net/session.ts";
import { Sha256, sha256 } from "../pieces/hash.ts";
import type { MemoryShare } from "../async/memory_budget.ts";
import { type FileDigest, Manifest, sameBytes } from "../pieces/manifest.ts";
import type { PieceTarget } from "../inbox/stream_target.ts";
import { PieceBuffers } from "../pieces/piece_buffers.ts";
import type { Published } from "../inbox/target.ts";
import { MAX_RANGES } from "../wire/limits.ts";
import { type MessageOf, remoteError } from "../wire/message.ts";
import { checkOffered, checkSize } from "./manifest_check.ts";
import { PiecePicker } from "./picker.ts";
import { PieceRequests } from "./piece_requests.ts";
import type { BandwidthLane } from "./bandwidth_limiter.ts";
import { HaveReporter, REPORT_INTERVAL } from "./have_reporter.ts";

/** Writes to disk that may wait while the next piece is read from the network. */
const MAX_WRITES = 2;
/** Bad copies of one piece before the transfer is given up. */
const MAX_BAD = 4;

/** Failures after which the sender may come back and go on. */
const KEPT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "connection-lost",
  "timeout",
  "busy",
  "shutting-down",
  "interrupted",
  "no-space",
  "quota",
  "disk",
]);
/** Verified bytes below which a partial is not worth keeping. */
const WORTH_KEEPING = 1024 * 1024;

/** What a sender offers. */
export interface Offer {
  transfer: string;
  /** The sender's id. */
  from: string;
  /** Safe already. */
  name: string;
  /** Bytes; null when the sender does not know. */
  size: number | null;
  /** Bytes. */
  pieceSize: number;
  /** Bytes of the table of a tree; null for a file. */
  table: number | null;
  /** The manifest's id, when the sender knew it. */
  manifest?: string | undefined;
}

/** A file or tree that has arrived, is verified and durable. */
export interface Received extends Published {
  /** Bytes. */
  size: number;
  /** SHA-256, base64url; null when this side has not computed it. */
  sha256: string | null;
  /** The manifest's id, base64url. */
  manifest: string;
  /** Files of a tree. */
  files?: number | undefined;
  /** The sender sent it before; nothing new was made. */
  already: boolean;
  /** From offer to publication. */
  seconds: number;
}

/** What an {@linkcode Download} needs. */
export interface DownloadOptions {
  offer: Offer;
  partial: PieceTarget;
  /** Gives what is complete its name, unless this content is there already. */
  publish(manifest: string, digest: FileDigest): Promise<Published & { already: boolean }>;
  /** Takes the partial of a transfer that failed: to be deleted, or kept to be gone on with. */
  release(keep: boolean): Promise<void>;
  /** Memory for what is on its way, shared with the other transfers. */
  share: MemoryShare;
  clock: Clock;
  maxSize: number | undefined;
  /** Holds requests for pieces back under a rate limit. */
  lane?: BandwidthLane | undefined;
  /** Hears how many bytes are verified, and of a tree how many files are complete; at most twice a second. */
  onProgress(bytes: number, files?: number): void;
  /** Called once, when nothing more will happen. */
  onEnd(outcome: Received | P2PError): void;
}

/**
 * One file or tree on its way in: asks for pieces whose hash is known, verifies each before it is written,
 * and publishes when all are there. A lost session only pauses it.
 *
 * Invariant: nothing is written that was not verified. Once `#ended` nothing more is taken in: `onEnd` is
 * called, then `ended` resolves.
 */
export class Download {
  readonly offer: Offer;
  readonly buffers: PieceBuffers;
  /** The session it runs on; undefined while the sender is lost. */
  session: Session | undefined;
  readonly #options: DownloadOptions;
  readonly #started: number;
  readonly #bad = new Map<number, number>();
  readonly #picker = new PiecePicker();
  readonly #requests: PieceRequests;
  readonly #reporter: HaveReporter;
  readonly #manifest: Manifest;
  /** Over the pieces from the first on, as long as they come in order; not of a tree, which has none. */
  readonly #hash: Sha256 | undefined;
  #hashed = 0;
  /** Hashes of the pieces that an earlier try left, as far as they are of use. */
  readonly #known: Map<number, Uint8Array>;
  #verifiedBytes = 0;
  #writes = new Set<Promise<void>>();
  #finishing: Promise<void> | undefined;
  #ended = false;
  readonly #over = Promise.withResolvers<void>();
  #cancelTimer: () => void = () => {};

  constructor(options: DownloadOptions) {
    const { offer, partial, clock } = options;
    const { transfer, pieceSize, table } = offer;
    this.#options = options;
    this.offer = offer;
    this.buffers = new PieceBuffers(pieceSize);
    this.#manifest = new Manifest(pieceSize, table);
    this.#hash = table === null ? new Sha256() : undefined;
    this.#started = clock.now();
    this.#requests = new PieceRequests({
      picker: this.#picker,
      pieceSize,
      lengthOf: (index) => this.#lengthOf(index),
      share: options.share,
      lane: options.lane,
      clock,
      get: (index) => this.session?.post({ verb: "GET", transfer, index }),
    });
    this.#reporter = new HaveReporter({
      transfer,
      post: (message) => this.session?.post(message),
      onProgress: (bytes) => options.onProgress(bytes, partial.files?.within(bytes)),
    });
    this.#known = new Map(partial.known);
    for (const index of this.#known.keys()) {
      this.#picker.verified(index);
      this.#verifiedBytes += this.#lengthOf(index);
    }
  }

  /** Resolves when the transfer has ended, well or not. */
  get ended(): Promise<void> {
    return this.#over.promise;
  }

  /** Whether nothing more will come of it: {@linkcode ended} is about to resolve. */
  get isEnding(): boolean {
    return this.#ended;
  }

  /** Bytes of the offer that are not on disk yet; 0 for a stream. */
  get missingBytes(): number {
    return Math.max(0, (this.offer.size ?? 0) - this.#verifiedBytes);
  }

  /** Pieces that may wait for the disk while another is read from the network. */
  get #maxWrites(): number {
    const pieces = Math.floor(this.#options.share.bytes / this.offer.pieceSize);
    return Math.min(MAX_WRITES, Math.max(0, pieces - 1));
  }

  /** Accepts the offer on `session`. */
  begin(session: Session, seq: number): void {
    this.session = session;
    this.#requests.progressed();
    session.connection.startStreaming();
    const { transfer } = this.offer;
    session.post({
      verb: "ACK",
      re: seq,
      transfer,
      state: "ready",
      have: this.#picker.ranges().slice(0, MAX_RANGES),
    });
    this.#schedule();
  }

  /** The sender has come back, maybe before this side noticed that it was gone. */
  resume(session: Session, offer: Offer, seq: number): void {
    const { size, pieceSize, name, table } = this.offer;
    const isSame = offer.size === size && offer.pieceSize === pieceSize && offer.name === name &&
      offer.table === table;
    if (!isSame) {
      throw new P2PError("invalid", "Cannot resume: the offer is not the one that was accepted");
    }
    if (this.session !== session) {
      this.session?.abort(
        new P2PError("connection-lost", "The sender came back on a new connection"),
      );
    }
    this.#cancelTimer();
    this.#requests.forget();
    this.begin(session, seq);
    this.#ask();
  }

  /** The session is gone; without a new one in `ms` the transfer fails. */
  orphan(ms: number): void {
    this.session = undefined;
    this.#cancelTimer();
    if (this.#ended || this.#finishing) return;
    this.#requests.forget();
    this.#cancelTimer = this.#options.clock.after(ms, () => {
      this.fail(new P2PError("connection-lost", "The sender was lost and did not come back"));
    });
  }

  /** Takes the hashes of more pieces, which may be asked for from now on. */
  onHashes({ start, last }: MessageOf<"HASHES">, body: Uint8Array): void {
    if (this.#ended) return;
    const { size } = this.offer;
    const { maxSize } = this.#options;
    try {
      this.#manifest.add(start, body);
      checkSize(this.#manifest, { size, maxSize });
      if (last) {
        this.#manifest.finish(last);
        checkSize(this.#manifest, { size, maxSize });
        checkOffered(this.#manifest, this.offer);
      }
    } catch (error) {
      this.fail(asP2PError(error));
      return;
    }
    this.#dropChanged(start, this.#manifest.count);
    this.#grow();
    this.#ask();
    this.#finishIfComplete();
  }

  /** Verifies a piece and queues it to be written; waits when the disk is behind. */
  async onPiece(index: number, body: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#ended) return;
    if (!this.#picker.isAsked(index)) {
      return await this.fail(new P2PError("malformed", `Piece ${index} came unasked`));
    }
    if (body.length !== this.#lengthOf(index)) {
      const wrong = `piece ${index} has ${body.length} bytes and not ${this.#lengthOf(index)}`;
      return await this.fail(
        new P2PError("integrity", `Cannot receive ${this.offer.name}: ${wrong}`),
      );
    }
    const hash = this.#manifest.hashOf(index);
    if (!hash || !sameBytes(sha256(body), hash)) {
      this.buffers.give(body);
      return await this.#onBadPiece(index);
    }
    this.#accept(index, body, hash);
    this.#grow();
    this.#ask();
    this.#finishIfComplete();
    while (this.#writes.size > this.#maxWrites) await Promise.race(this.#writes);
  }

  /** Says which pieces may be asked for. */
  #grow(): void {
    const { headPieces } = this.#options.partial;
    // Of a stream the last known piece may be a short one: how long it is shows with the next hash.
    const isOpen = this.offer.size === null && !this.#manifest.digest;
    const known = this.#manifest.count - (isOpen ? 1 : 0);
    // Where the files of a tree are only its table says.
    this.#picker.grow(this.#picker.hasAllBelow(headPieces) ? known : Math.min(known, headPieces));
  }

  /** The sender gives up. */
  async onCancel(message: MessageOf<"CANCEL">): Promise<void> {
    await this.fail(remoteError(message));
  }

  /** Ends the transfer: keeps what may be gone on with, deletes the rest, and tells the sender why. */
  async fail(error: P2PError): Promise<void> {
    // Once every byte is verified only the disk can fail it.
    await this.#finishing;
    if (!this.#ended) await this.#failNow(error);
  }

  async #failNow(error: P2PError): Promise<void> {
    this.#end();
    await Promise.allSettled(this.#writes);
    const keep = KEPT.has(error.code) && this.#verifiedBytes >= WORTH_KEEPING;
    // What cannot be deleted now goes with the next sweep.
    await this.#options.release(keep).catch(() => {});
    // Only now: a sender that comes back at once finds what is kept.
    if (!error.remote) {
      const { transfer } = this.offer;
      this.session?.post({ verb: "CANCEL", transfer, ...tellable(error) });
    }
    this.#options.onEnd(error);
    this.#over.resolve();
  }

  /** Pieces of an earlier try that are not what the sender has now have to come again. */
  #dropChanged(start: number, end: number): void {
    if (this.#known.size === 0 || this.#finishing) return;
    const { partial } = this.#options;
    for (let index = start; index < end; index++) {
      const [before, now] = [this.#known.get(index), this.#manifest.hashOf(index)];
      if (!before || !now || sameBytes(before, now)) continue;
      // With another table every file begins elsewhere.
      if (index < partial.headPieces) return this.#beginAnew();
      this.#lose(index);
    }
  }

  /** Nothing of what an earlier try left is of use. */
  #beginAnew(): void {
    for (const index of [...this.#known.keys()]) this.#lose(index);
    this.#options.partial.restart().catch((error) =>
      this.#onWriteFailed(asP2PError(error, "disk"))
    );
  }

  #lose(index: number): void {
    this.#known.delete(index);
    this.#picker.lost(index);
    this.#verifiedBytes -= this.#lengthOf(index);
  }

  /** Bytes of a piece that has been asked for. */
  #lengthOf(index: number): number {
    const { size, pieceSize } = this.offer;
    const known = size ?? this.#manifest.digest?.size ?? Infinity;
    return Math.min(pieceSize, known - index * pieceSize);
  }

  #ask(): void {
    if (this.session && !this.#ended && !this.#finishing) this.#requests.fill();
  }

  #accept(index: number, body: Uint8Array<ArrayBuffer>, hash: Uint8Array): void {
    this.#picker.verified(index);
    this.#verifiedBytes += body.length;
    this.#requests.progressed();
    this.#reporter.verified(index, body.length);
    if (index === this.#hashed) {
      this.#hash?.update(body);
      this.#hashed++;
    }
    const write: Promise<void> = this.#options.partial.write(index, body, hash).then(
      () => this.buffers.give(body),
      (error) => this.#onWriteFailed(asP2PError(error, "disk")),
    ).finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }

  #onWriteFailed(error: P2PError): void {
    if (!this.#ended) void this.#failNow(error);
  }

  async #onBadPiece(index: number): Promise<void> {
    const bad = (this.#bad.get(index) ?? 0) + 1;
    this.#bad.set(index, bad);
    if (bad >= MAX_BAD) {
      return await this.fail(
        new P2PError(
          "integrity",
          `Cannot receive ${this.offer.name}: piece ${index} was wrong ${bad} times`,
        ),
      );
    }
    this.#picker.failed(index);
    this.#ask();
  }

  #finishIfComplete(): void {
    const { digest, count } = this.#manifest;
    if (!digest || this.#picker.verifiedCount < count || this.#finishing || this.#ended) return;
    this.#finishing = this.#finish(digest).catch((error) => this.#failNow(asP2PError(error)));
  }

  async #finish({ size, sha256: stated }: FileDigest): Promise<void> {
    await Promise.all(this.#writes);
    // A write that failed has ended the transfer.
    if (this.#ended) return;
    // Every piece is verified. What the sender says of the whole is never passed on unchecked.
    const sha256 = this.#hashed === this.#manifest.count ? this.#hash?.digest() ?? null : null;
    if (sha256 !== null && stated !== null && sha256 !== stated) {
      throw new P2PError("integrity", `Cannot receive ${this.offer.name}: its SHA-256 is wrong`);
    }
    const manifest = this.#manifest.id as string;
    const published = await this.#options.publish(manifest, { size, sha256 });
    const seconds = (this.#options.clock.now() - this.#started) / 1000;
    this.#end();
    const { transfer } = this.offer;
    const { name, already } = published;
    const state = already ? "already" : "saved";
    this.session?.post({ verb: "ACK", transfer, state, name, manifest });
    const files = this.#options.partial.files?.count;
    this.#options.onEnd({ ...published, size, sha256, manifest, files, seconds });
    this.#over.resolve();
  }

  #end(): void {
    this.#ended = true;
    this.#requests.stop();
    this.#options.share[Symbol.dispose]();
    this.#cancelTimer();
  }

  /** Looks after the sender and reports, again and again. */
  #schedule(): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(REPORT_INTERVAL, () => {
      this.#look();
      this.#schedule();
    });
  }

  #look(): void {
    const { session } = this;
    const isSyncing = this.#finishing !== undefined;
    if (session && !isSyncing && this.#requests.isOverdue(session.lastHeard)) {
      session.abort(new P2PError("timeout", "Cannot go on: the sender sends no more pieces"));
    }
    this.#reporter.report({ verifiedBytes: this.#verifiedBytes, isSyncing });
  }
}
