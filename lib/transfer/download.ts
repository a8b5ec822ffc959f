import { equals } from "@std/bytes/equals";
import type { Clock } from "../async/clock.ts";
import type { MemoryShare } from "../async/memory_budget.ts";
import type { SharedBytes } from "../async/shared_bytes.ts";
import type { ReceiptSigner } from "../identity/signed_receipt.ts";
import { asP2PError, keepsPartial, P2PError, tellable } from "../errors.ts";
import type { Destination } from "../inbox/destination.ts";
import type { PieceTarget } from "../inbox/piece_target.ts";
import type { ContentReader } from "../inbox/target.ts";
import { type FileDigest, Manifest } from "../pieces/manifest.ts";
import { checkOffered, checkSize } from "../pieces/manifest_check.ts";
import { sha256 } from "../pieces/hash.ts";
import { PieceBuffers } from "../pieces/piece_buffers.ts";
import type { LentPiece, Pieces } from "../pieces/pieces.ts";
import type { PieceProof, Scheme } from "../pieces/scheme.ts";
import { schemeOf, Verification } from "../pieces/verification.ts";
import { HASH_BYTES, MAX_RANGES } from "../wire/limits.ts";
import type { MessageOf } from "../wire/message.ts";
import type { BandwidthLane } from "../async/bandwidth_limiter.ts";
import { DownloadSources } from "./download_sources.ts";
import { usableOf } from "./earlier_try.ts";
import { EarlyPieces } from "./early_pieces.ts";
import { HaveReporter, REPORT_INTERVAL } from "./have_reporter.ts";
import { isSameContent, type Offer, type Received } from "./offer.ts";
import type { LargeTurns } from "./large_turns.ts";
import type { PeerLink } from "./peer_link.ts";
import { Patience } from "./patience.ts";
import { PiecePicker } from "./picker.ts";
import { PieceWrites } from "./piece_writes.ts";
import type { TransferObserver } from "./settings.ts";
import type { Supply, SwarmTalk } from "./supply.ts";
import { Seed } from "./swarm/seed.ts";

/** Bad copies of one piece before the transfer is given up. */
const MAX_BAD = 4;

/**
 * Longest time in milliseconds without a new piece, over all sessions: twenty minutes on each of the six that a sender
 * usually tries. Who keeps a place for longer has to get further.
 */
const MAX_IDLE = 2 * 60 * 60_000;

/** How long in milliseconds it waits for its sender to come back. */
const ORPHAN_TIME = 60_000;

/** What a sharer hears that counts on this side to serve the others. */
const NO_MORE = { code: "cancelled", message: "It serves nothing of this transfer any more" };

/** Verified bytes below which a partial is not worth keeping. */
const WORTH_KEEPING = 1024 * 1024;

/** What a {@linkcode Download} needs. */
export interface DownloadOptions {
  offer: Offer;
  /** Where the pieces go; begun at `destination`. */
  target: PieceTarget;
  destination: Pick<Destination, "publish" | "release">;
  /** Memory for what is on its way, shared with the other transfers. */
  share: MemoryShare;
  /** Turns of the transfers whose pieces are too large for their share. */
  turns: LargeTurns;
  clock: Clock;
  /** Verified bytes of all transfers that the disk has not taken yet: while they are too many no more are read. */
  unwritten: SharedBytes;
  /** Bytes of the hashes of all transfers. */
  hashes: SharedBytes;
  /** Most bytes that may come. */
  maxSize: number | undefined;
  /** Holds requests for pieces back under a rate limit. */
  lane?: BandwidthLane | undefined;
  /** Makes the supply of a transfer that is a swarm; absent for any other. */
  swarm?: ((parts: SwarmParts) => Supply & SwarmTalk) | undefined;
  /** Signs that it has arrived; without it there is no receipt. */
  signReceipt?: ReceiptSigner | undefined;
  /** Hears how far it is at most twice a second. */
  observer: TransferObserver;
  /** How long in milliseconds it serves the other members of a swarm when it has everything; 0: not at all. */
  seedFor: number;
  /** Called once, when nothing more will come of it. */
  onEnd(outcome: Received | P2PError): void;
  /** Called after that, when nothing is served of it any more. */
  onOver(): void;
}

/** What the supply of a swarm needs of its download. */
export interface SwarmParts {
  /** The state of each piece, in which what is asked of whom is not used. */
  picker: PiecePicker;
  /** What is verified here, for others to have. */
  pieces: Pieces;
  /** The link to the sharer, if it is there. */
  sharer: () => PeerLink | undefined;
  /** Has nothing to do with a source any more. */
  leave(source: PeerLink): void;
  /** Hashes of the pieces. */
  manifest: Manifest;
}

type State =
  /** No sender has had its offer accepted yet. */
  | { at: "new" }
  /** Pieces are asked for; `sender` is the link on which it was offered. */
  | { at: "receiving"; sender: PeerLink }
  /** The sender is lost, and may come back. */
  | { at: "orphaned" }
  /** Every piece is verified, and it is being published. */
  | { at: "finishing"; sender: PeerLink | undefined; done: Promise<void> }
  /** It has been published, and the other members of the swarm still have pieces of it from here. */
  | { at: "seeding"; sender: PeerLink | undefined; seed: Seed }
  | { at: "ended" };

/**
 * One file or tree on its way in: asks for pieces whose hash is known, verifies each before it is written,
 * and publishes when all are there. The pieces come from the sender and from whoever else has joined as a
 * source; what is verified and written can be served to others meanwhile. A lost sender only pauses it.
 *
 * Invariant: nothing is written that was not verified. Once it has ended, or seeds, nothing more is taken in: `onEnd` is
 * called, then `ended` resolves.
 */
export class Download implements Pieces {
  readonly offer: Offer;
  readonly #options: DownloadOptions;
  readonly #started: number;
  readonly #buffers: PieceBuffers;
  readonly #manifest: Manifest;
  readonly #verification: Verification;
  readonly #picker = new PiecePicker();
  readonly #reporter: HaveReporter;
  readonly #supply: Supply;
  /** The same, where other receivers have to do with it. */
  readonly #swarm: (Supply & SwarmTalk) | undefined;
  readonly #patience: Patience;
  readonly #bad = new Map<number, number>();
  /** The pieces that an earlier try left, as far as they are of use. */
  readonly #known: Map<number, PieceProof>;
  /**
   * Whether this side asks for independent hashes from some piece on, and `awaits` those that start exactly there: what
   * comes before them was under way.
   */
  #apart: "no" | "asks" | "awaits" = "no";
  readonly #early: EarlyPieces;
  /** When the offer was answered whose first hashes have yet to come. */
  #answered: number | undefined;
  #verifiedBytes = 0;
  /** Who has sent pieces that were right: ids of peers, and in insecure mode, where there are none, sessions. */
  readonly #suppliers = new Set<string | PeerLink>();
  /** Bytes of pieces that came in this run and were right. */
  #receivedBytes = 0;
  readonly #writes: PieceWrites;
  /** Why the first write failed that did. */
  #writeFailure: P2PError | undefined;
  #state: State = { at: "new" };
  readonly #over = Promise.withResolvers<void>();
  #cancelTimer: () => void = () => {};

  constructor(options: DownloadOptions) {
    const { offer, target, clock, observer } = options;
    const { transfer, pieceSize, table, scheme } = offer;
    this.#options = options;
    this.offer = offer;
    this.#started = clock.now();
    this.#patience = new Patience(MAX_IDLE, clock);
    this.#buffers = new PieceBuffers(pieceSize);
    this.#early = new EarlyPieces(this.#buffers);
    const { known, lost, independentFrom } = usableOf(target.known, scheme);
    this.#manifest = new Manifest(pieceSize, { table, scheme, independentFrom });
    this.#verification = new Verification(this.#manifest, { hasDigest: table === null });
    this.#reporter = new HaveReporter({
      transfer,
      post: (message) => this.sender?.session.post(message),
      sources: () => this.#swarm && this.#suppliers.size,
      onProgress: (bytes) => observer.onProgress(bytes, target.files?.within(bytes)),
    });
    this.#writes = new PieceWrites({
      target,
      buffers: this.#buffers,
      unwritten: options.unwritten,
      onFailed: (error) => this.#onWriteFailed(error),
      onSettled: (index) => this.#onWriteSettled(index),
    });
    this.#known = known;
    if (scheme === "prefix" && known.size > 0) this.#apart = "asks";
    if (lost.length > 0) this.#forget(lost);
    for (const index of this.#known.keys()) {
      this.#picker.adopt(index);
      this.#verifiedBytes += this.lengthOf(index);
    }
    this.#swarm = options.swarm?.({
      picker: this.#picker,
      pieces: this,
      sharer: () => this.sender,
      leave: (source) => this.leave(source),
      manifest: this.#manifest,
    });
    this.#supply = this.#swarm ?? new DownloadSources({
      offer,
      picker: this.#picker,
      lengthOf: (index) => this.lengthOf(index),
      share: options.share,
      turns: options.turns,
      lane: options.lane,
      clock,
    });
  }

  /** The link to the sender; undefined while it is lost. */
  get sender(): PeerLink | undefined {
    return "sender" in this.#state ? this.#state.sender : undefined;
  }

  /** Resolves when the transfer has ended, well or not; what came may be served to others from then on. */
  get ended(): Promise<void> {
    return this.#over.promise;
  }

  /** Whether nothing more will come of it: {@linkcode ended} is about to resolve. */
  get isEnding(): boolean {
    return this.#state.at === "ended";
  }

  /** Whether all of it is here, and others may have it. */
  get isSeeding(): boolean {
    return this.#state.at === "seeding";
  }

  /** Accepts the offer on the sender's link. */
  begin(sender: PeerLink, seq: number): void {
    this.#state = { at: "receiving", sender };
    this.#add(sender);
    if (!this.#isGoingOn()) return;
    this.#acknowledge(sender, seq);
    this.#schedule();
    // Only now: a GET must not come before the answer to the offer.
    this.#ask();
  }

  /**
   * Goes on with a sender that has come back, maybe before this side noticed that it was gone.
   *
   * @throws {P2PError} `invalid` when it offers something else.
   */
  resume(sender: PeerLink, offer: Offer, seq: number): void {
    if (!isSameContent(offer, this.offer)) {
      throw new P2PError("invalid", "Cannot resume: the offer is not the one that was accepted");
    }
    const { sender: before } = this;
    if (before && before !== sender) {
      const reason = "The sender came back on a new connection";
      this.#drop(before);
      before.session.abort(new P2PError("connection-lost", reason));
    }
    this.#drop(sender);
    if (this.#state.at === "finishing") {
      // The last ACK follows.
      this.#state = { ...this.#state, sender };
      sender.attach(this);
      return this.#acknowledge(sender, seq);
    }
    this.begin(sender, seq);
  }

  /** Has another link serve pieces as well; those of the sender go on. */
  join(source: PeerLink): void {
    if (this.#state.at === "ended") return;
    this.#add(source);
    this.#ask();
  }

  /** Serves nothing any more of what has been published. */
  async stopSeeding(): Promise<void> {
    if (this.#state.at === "seeding") await this.#state.seed.end();
  }

  /** Whether the other side of the link may have pieces of this side, and the other way round. */
  admits(source: PeerLink): boolean {
    return this.#state.at !== "ended" && (this.#swarm?.admits(source) ?? false);
  }

  /** What hears the other members of the swarm; undefined where there is none, or not any more. */
  get swarm(): SwarmTalk | undefined {
    return this.#state.at === "ended" ? undefined : this.#swarm;
  }

  /** A source is gone: what it owes is asked of others; without the sender the transfer waits for it. */
  leave(source: PeerLink): void {
    this.#drop(source);
    if (source !== this.sender) return this.#ask();
    if (this.#state.at === "finishing" || this.#state.at === "seeding") {
      this.#state = { ...this.#state, sender: undefined };
      if (this.#state.at === "seeding") this.#state.seed.leftAlone();
      return;
    }
    if (this.#state.at === "ended") return;
    this.#state = { at: "orphaned" };
    this.#patience.setTurn("theirs");
    this.#awaitSender();
  }

  /** Gives up when the sender does not come back, and nobody else brings the transfer further meanwhile. */
  #awaitSender(): void {
    const { clock } = this.#options;
    const before = this.#verifiedBytes;
    const giveUpAt = clock.now() + ORPHAN_TIME;
    const look = () => {
      if (this.#verifiedBytes > before) return this.#awaitSender();
      const left = giveUpAt - clock.now();
      if (left <= 0) {
        const reason = "The sender was lost and did not come back";
        return void this.fail(new P2PError("connection-lost", reason));
      }
      this.#supply.abortOverdue();
      this.#cancelTimer = clock.after(Math.min(REPORT_INTERVAL, left), look);
    };
    this.#cancelTimer();
    look();
  }

  /** Memory for a piece; none for one that the source was not asked for, or that is too long. */
  memoryFor(source: PeerLink, index: number, length: number): Uint8Array<ArrayBuffer> | null {
    const isWanted = !this.#isComplete && this.#isOwed(source, index);
    return isWanted && length <= this.offer.pieceSize ? this.#buffers.take(length) : null;
  }

  /** Takes the hashes of more pieces from the sender, which may be asked for from now on. */
  onHashes(source: PeerLink, message: MessageOf<"HASHES">, body: Uint8Array): void {
    const { start, scheme, signature, last } = message;
    // Only the sender says what it offers.
    if (this.#isComplete || source !== this.sender) return;
    const { size } = this.offer;
    const { maxSize, clock } = this.#options;
    if (this.#answered !== undefined) this.#supply.answeredIn(clock.now() - this.#answered);
    this.#answered = undefined;
    try {
      const by = schemeOf(scheme ?? this.offer.scheme);
      if (this.#apart === "awaits") {
        if (by !== "independent" || start !== this.#manifest.independentFrom) return;
        this.#apart = "asks";
      }
      this.#addHashes(start, body, by);
      this.#swarm?.onHashes(start + body.length / HASH_BYTES, signature);
      checkSize(this.#manifest, { size, maxSize });
      if (last) {
        this.#manifest.finish(last);
        checkSize(this.#manifest, { size, maxSize });
        // Where this side asked for other hashes the id is another one.
        const { manifest } = this.#apart === "no" ? this.offer : {};
        checkOffered(this.#manifest, { ...this.offer, manifest });
      }
    } catch (error) {
      void this.fail(asP2PError(error));
      return;
    }
    this.#dropChanged(start, start + body.length / HASH_BYTES);
    this.#goOn();
  }

  /**
   * Verifies a piece that a source has sent, and has it written.
   *
   * @returns what to await before the next piece is read: see {@linkcode PieceWrites.room}.
   */
  onPiece(
    source: PeerLink,
    index: number,
    body: Uint8Array<ArrayBuffer>,
  ): Promise<void> | undefined {
    this.#onPiece(source, index, body);
    return this.#writes.room();
  }

  #onPiece(source: PeerLink, index: number, body: Uint8Array<ArrayBuffer>): void {
    if (this.#isComplete) return;
    if (!this.#isOwed(source, index)) {
      // What was taken back may be on its way all the same.
      if (this.#swarm && (body.length === 0 || this.#picker.isVerified(index))) return;
      return this.#blame(source, new P2PError("malformed", `Piece ${index} came unasked`));
    }
    const length = this.lengthOf(index);
    if (body.length !== length) {
      const wrong = `piece ${index} does not have its ${length} bytes`;
      return this.#blame(
        source,
        new P2PError("integrity", `Cannot receive ${this.offer.name}: ${wrong}`),
      );
    }
    this.#early.put(index, { source, body });
    if (this.#verification.canCheck(index)) this.#verifyFrom(index);
    else this.#dropStuck();
    this.#goOn();
  }

  /** Whether the source was asked for the piece, and has not sent it. */
  #isOwed(source: PeerLink, index: number): boolean {
    const hasCome = this.#early.has(index) || this.#swarm && this.#picker.isVerified(index);
    return this.#supply.isOwed(source, index) && !hasCome;
  }

  /** Verifies a piece that came, and those after it that waited for it. */
  #verifyFrom(index: number): void {
    for (let at = index; this.#verification.canCheck(at); at++) {
      const piece = this.#early.take(at);
      if (!piece) return;
      const { source, body } = piece;
      const hash = this.#manifest.hashOf(at);
      if (!hash || !this.#verification.check(at, body, hash)) {
        this.#buffers.give(body);
        this.#onBadPiece(source, at);
        return this.#dropStuck();
      }
      this.#accept(source, at, { body, hash });
    }
  }

  /**
   * Gives up pieces that wait for one that nobody has been asked for, so that there is room to ask for that one: they
   * have to come again.
   */
  #dropStuck(): void {
    if (this.#picker.isAsked(this.#verification.count)) return;
    for (const index of this.#early.drop()) this.#picker.failed(index);
  }

  /** Whether the piece is verified and can be read. */
  has(index: number): boolean {
    return this.#state.at !== "ended" && this.#options.target.isReadable &&
      this.#picker.isStored(index);
  }

  lengthOf(index: number): number {
    const { size, pieceSize } = this.offer;
    const known = size ?? this.#manifest.digest?.size ?? Infinity;
    return Math.min(pieceSize, known - index * pieceSize);
  }

  /** Lends a verified piece, for others to have. */
  async lend(index: number): Promise<LentPiece> {
    const bytes = this.#buffers.take(this.lengthOf(index));
    const release = () => this.#buffers.give(bytes);
    try {
      if (!this.has(index)) throw new P2PError("cancelled", `Piece ${index} is not here any more`);
      if (this.#state.at === "seeding") await this.#state.seed.read(index, bytes);
      else await this.#options.target.read(index, bytes);
      return { bytes, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /**
   * A source gives up: without the sender the transfer is over, without another source it goes on. So it does without a
   * sharer that was interrupted: the others may have what is missing.
   */
  onCancel(source: PeerLink, error: P2PError): void {
    const isSender = source === this.sender;
    const isOver = isSender && this.#state.at === "seeding";
    const goesOn = isOver || this.#swarm && error.code === "interrupted";
    if (isSender && !goesOn) return void this.fail(error);
    this.leave(source);
    if (isOver) void this.stopSeeding();
  }

  /** Ends the transfer: keeps what may be gone on with, deletes the rest, and tells the sender why. */
  async fail(error: P2PError): Promise<void> {
    // Once every byte is verified only the disk can fail it.
    if (this.#state.at === "finishing") await this.#state.done;
    await this.#failNow(error);
  }

  async #failNow(reason: P2PError): Promise<void> {
    if (this.#isComplete) return await this.stopSeeding();
    const { sender } = this;
    const { target } = this.#options;
    this.#end();
    target.stop();
    await Promise.allSettled(this.#writes.underWay);
    // What the disk says of an earlier piece tells more than what came of a later one.
    const error = this.#writeFailure ?? reason;
    const keep = keepsPartial(error.code) && this.#verifiedBytes >= WORTH_KEEPING;
    // What cannot be deleted now goes with the next sweep.
    await this.#options.destination.release(target, keep).catch(() => {});
    // Only now: a sender that comes back at once finds what is kept.
    if (!error.remote) {
      const { transfer } = this.offer;
      sender?.session.post({ verb: "CANCEL", transfer, ...tellable(error) });
    }
    this.#options.onEnd(error);
    this.#options.onOver();
    this.#over.resolve();
  }

  /** Whether nothing more is taken in: it has ended, or been published. */
  get #isComplete(): boolean {
    return this.#state.at === "ended" || this.#state.at === "seeding";
  }

  /** A source that breaks the rules: without it the transfer goes on, unless it is the sender. */
  #blame(source: PeerLink, error: P2PError): void {
    if (source === this.sender) void this.fail(error);
    else this.leave(source);
  }

  #add(source: PeerLink): void {
    source.attach(this);
    this.#supply.add(source);
  }

  /** Notes whose turn it is; false, and the transfer has ended, when others have had all their time. */
  #isGoingOn(): boolean {
    if (this.#patience.isOver) {
      void this.fail(new P2PError("timeout", "Cannot go on: the sender gets no further"));
      return false;
    }
    this.#patience.setTurn(this.#supply.areOwing ? "theirs" : "ours");
    return true;
  }

  /** Answers an offer: which pieces are there already. */
  #acknowledge(sender: PeerLink, seq: number): void {
    sender.session.post({ ...this.#ready(), re: seq });
    this.#answered = this.#options.clock.now();
  }

  #ready(): MessageOf<"ACK"> {
    const { transfer } = this.offer;
    const have = this.#picker.ranges().slice(0, MAX_RANGES);
    const { independentFrom } = this.#manifest;
    const apart = this.#apart === "no" ? {} : { independentFrom };
    const swarm = this.#swarm ? { swarm: true } : {};
    return { verb: "ACK", transfer, state: "ready", have, ...apart, ...swarm };
  }

  #drop(source: PeerLink): void {
    // What it owes is wanted again when it is dropped, these included.
    this.#early.drop(source);
    this.#supply.drop(source);
    this.#dropStuck();
    // What it signs for what it has served wrong is waited for.
    if (!this.#swarm?.isSuspect(source)) source.detach(this);
  }

  #addHashes(start: number, body: Uint8Array, scheme: Scheme): void {
    const { hashes } = this.#options;
    const before = this.#manifest.count;
    this.#manifest.add(start, body, scheme);
    hashes.add((this.#manifest.count - before) * HASH_BYTES);
    if (!hashes.areTooMany) return;
    throw new P2PError(
      "busy",
      "Cannot receive: the transfers under way have too many pieces together; try again later",
    );
  }

  /** Something has become known or has come: asks for more, or finishes. */
  #goOn(): void {
    this.#grow();
    this.#ask();
    this.#finishIfComplete();
  }

  /** Says which pieces may be asked for. */
  #grow(): void {
    const { headPieces } = this.#options.target;
    // Of a stream the last known piece may be a short one: how long it is shows with the next hash.
    const isOpen = this.offer.size === null && !this.#manifest.digest;
    const known = this.#manifest.count - (isOpen ? 1 : 0);
    // Where the files of a tree are only its table says.
    this.#supply.grow(this.#picker.hasAllBelow(headPieces) ? known : Math.min(known, headPieces));
  }

  #ask(): void {
    if (this.#state.at === "receiving") this.#supply.fill();
  }

  /** Pieces of an earlier try that are not what the sender has now have to come again. */
  #dropChanged(start: number, end: number): void {
    if (this.#known.size === 0 || this.#state.at === "finishing") return;
    const { headPieces } = this.#options.target;
    const changed: number[] = [];
    for (let index = start; index < end; index++) {
      const [before, hash] = [this.#known.get(index), this.#manifest.hashOf(index)];
      const scheme = this.#manifest.schemeAt(index);
      if (!before || !hash || scheme === before.scheme && equals(before.hash, hash)) continue;
      if (index < headPieces) return this.#beginAnew();
      if (scheme === "prefix") return this.#compareApart(index);
      changed.push(index);
    }
    if (changed.length === 0) return;
    for (const index of changed) this.#lose(index);
    this.#forget(changed);
  }

  #forget(indices: readonly number[]): void {
    this.#options.target.forget(indices).catch((error) => this.#onWriteFailed(error));
  }

  /**
   * The content has changed before the end of piece `from`. Which of the pieces behind are as they were only their own
   * hashes say: they are made here, and asked for.
   */
  #compareApart(from: number): void {
    const { hashes } = this.#options;
    hashes.remove((this.#manifest.count - from) * HASH_BYTES);
    this.#manifest.proveApartFrom(from);
    this.#apart = "awaits";
    this.#hashApart(from)
      // What could not be read comes again.
      .catch(() => {})
      .then(() => {
        if (this.#state.at === "receiving") this.#state.sender.session.post(this.#ready());
      });
  }

  async #hashApart(from: number): Promise<void> {
    const indices = [...this.#known].filter(([index, { scheme }]) =>
      index >= from && scheme === "prefix"
    ).map(([index]) => index);
    // That the journal does not name them from here on bounds how often they are read.
    await this.#options.target.forget(indices);
    for (const index of indices) {
      const { bytes, release } = await this.lend(index);
      this.#known.set(index, { scheme: "independent", hash: sha256(bytes) });
      release();
    }
  }

  /** Throws away what an earlier try left: with another table every file begins elsewhere. */
  #beginAnew(): void {
    for (const index of [...this.#known.keys()]) this.#lose(index);
    this.#options.target.restart().catch((error) => this.#onWriteFailed(error));
  }

  #lose(index: number): void {
    this.#known.delete(index);
    this.#supply.lost(index);
    this.#verifiedBytes -= this.lengthOf(index);
  }

  #accept(
    source: PeerLink,
    index: number,
    { body, hash }: { body: Uint8Array<ArrayBuffer>; hash: Uint8Array },
  ): void {
    this.#picker.verified(index);
    this.#suppliers.add(source.session.remote.id || source);
    this.#verifiedBytes += body.length;
    this.#receivedBytes += body.length;
    this.#patience.reached(this.#receivedBytes);
    this.#supply.verified(source, index);
    this.#reporter.verified(index, body.length);
    this.#verification.accept(index, body);
    this.#writes.add(index, body, { scheme: this.#manifest.schemeAt(index), hash });
  }

  #onWriteSettled(index: number): void {
    // After a failure the transfer is over, and nobody asks for the piece.
    this.#picker.stored(index);
    this.#supply.stored(index);
    // What waited to be written had taken memory that the next ones need.
    this.#ask();
  }

  #onWriteFailed(thrown: unknown): void {
    const error = asP2PError(thrown, "disk");
    if (error.code !== "cancelled") this.#writeFailure ??= error;
    void this.#failNow(error);
  }

  #onBadPiece(source: PeerLink, index: number): void {
    // What another source says is wrong costs nothing but that source: the sender has the piece.
    if (source !== this.sender) {
      this.#swarm?.accuse(source, index);
      return this.leave(source);
    }
    const bad = (this.#bad.get(index) ?? 0) + 1;
    this.#bad.set(index, bad);
    if (bad < MAX_BAD) {
      this.#supply.failed(source, index);
      return this.#ask();
    }
    const wrong = `piece ${index} was wrong ${bad} times`;
    void this.fail(new P2PError("integrity", `Cannot receive ${this.offer.name}: ${wrong}`));
  }

  #finishIfComplete(): void {
    const { digest, count } = this.#manifest;
    if (!digest || this.#picker.verifiedCount < count) return;
    if (this.#state.at === "finishing" || this.#isComplete) return;
    const done = this.#finish(digest).catch((error) => this.#failNow(asP2PError(error)));
    this.#state = { at: "finishing", sender: this.sender, done };
  }

  async #finish({ size, sha256: stated }: FileDigest): Promise<void> {
    await Promise.all(this.#writes.underWay);
    // A write that failed has ended the transfer.
    if (this.isEnding) return;
    const { target, destination, clock } = this.#options;
    // Every piece is verified. What the sender says of the whole is never passed on unchecked.
    const sha256 = this.#verification.digest(this.#manifest.count);
    if (sha256 !== null && stated !== null && sha256 !== stated) {
      throw new P2PError("integrity", `Cannot receive ${this.offer.name}: its SHA-256 is wrong`);
    }
    const manifest = this.#manifest.id as string;
    const { proof } = this.#manifest;
    const files = target.files?.count;
    const keepsReading = this.#swarm !== undefined && this.#options.seedFor > 0;
    const { reader, ...published } = await destination.publish(
      target,
      { manifest, proof, size, sha256 },
      { keepsReading },
    );
    const seconds = (clock.now() - this.#started) / 1000;
    const { sender } = this;
    if (reader) this.#seed(reader);
    else this.#end();
    const { transfer, from } = this.offer;
    const { name, already, renamed = 0, renames = [] } = published;
    const state = already ? "already" : "saved";
    const told = renamed === 0 ? {} : { renamed, renames: [...renames] };
    // Both know it then.
    const proven = proof === "prefix" && sha256 !== null ? { sha256 } : {};
    const what = { transfer, sender: from, size, name, manifest, ...proven };
    const receipt = this.#options.signReceipt?.(what);
    sender?.session.post({
      verb: "ACK",
      transfer,
      state,
      name,
      manifest,
      ...proven,
      ...told,
      ...receipt,
      ...(reader ? { swarm: true } : {}),
    });
    this.#options.onEnd({
      ...published,
      size,
      sha256,
      manifest,
      files,
      seconds,
      bytesReceived: this.#receivedBytes,
      isRelayed: sender?.isRelayed ?? false,
    });
    if (!reader) this.#options.onOver();
    this.#over.resolve();
  }

  /** Goes on serving the other members of the swarm, from what has been published. */
  #seed(reader: ContentReader): void {
    const { clock, share, seedFor, onOver } = this.#options;
    const { sender } = this;
    this.#cancelTimer();
    share[Symbol.dispose]();
    const seed = new Seed({
      reader,
      pieceSize: this.offer.pieceSize,
      isRight: (index, bytes) => {
        const hash = this.#manifest.hashOf(index);
        return hash !== undefined && equals(sha256(bytes), hash);
      },
      clock,
      seedFor,
      onOver: () => {
        this.sender?.session.post({ verb: "CANCEL", transfer: this.offer.transfer, ...NO_MORE });
        this.#end();
        onOver();
      },
    });
    this.#state = { at: "seeding", sender, seed };
    if (!sender?.isOpen) seed.leftAlone();
  }

  #end(): void {
    if (this.#state.at === "ended") return;
    const { sender } = this;
    this.#state = { at: "ended" };
    this.#early.drop();
    for (const source of this.#supply.stop()) source.detach(this);
    // A sender that came back while the file was being published is not among the sources.
    sender?.detach(this);
    this.#options.share[Symbol.dispose]();
    this.#options.hashes.remove(this.#manifest.count * HASH_BYTES);
    this.#cancelTimer();
  }

  /** Looks after the sources and reports, again and again. */
  #schedule(): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(REPORT_INTERVAL, () => {
      this.#schedule();
      this.#look();
    });
  }

  #look(): void {
    const isSyncing = this.#state.at === "finishing";
    if (!isSyncing && !this.#isGoingOn()) return;
    if (!isSyncing) this.#supply.abortOverdue();
    const isQuiet = this.sender?.session.connection.isQuiet ?? false;
    const isMissed = !isSyncing && isQuiet && this.#supply.areOwing;
    this.#reporter.report({ verifiedBytes: this.#verifiedBytes, isSyncing, isMissed });
  }
}
