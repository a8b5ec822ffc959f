import { P2PError } from "../errors.ts";
import { MemoryBudget } from "../async/memory_budget.ts";
import type { Content } from "./content.ts";
import type { FileCount } from "../pieces/tree_table.ts";
import { diskError, sourceChanged } from "../disk/disk_error.ts";
import { Sha256, sha256 } from "../pieces/hash.ts";
import {
  type FileDigest,
  Manifest,
  pieceCountOf,
  pieceSizeFor,
  sameBytes,
} from "../pieces/manifest.ts";
import type { CachedManifest, ManifestCache } from "./manifest_cache.ts";
import { PieceBuffers } from "../pieces/piece_buffers.ts";

/** Bytes that are read ahead of the recipient that is furthest. */
const AHEAD = 8 * 1024 * 1024;
/** The same before anybody has asked for a piece: the answer to the offer should not have to wait. */
const EARLY = 1024 * 1024;
/** Bytes that stay in memory behind it, for recipients that are close. */
const BEHIND = 8 * 1024 * 1024;
/** The same for what cannot be read again: bytes between the slowest recipient and what is read. */
const STREAM_WINDOW = 32 * 1024 * 1024;
/** What all sources of this process keep, but for a piece each: with many, each keeps little. */
const CACHES = new MemoryBudget(16 * 1024 * 1024);

/** A piece on loan; its bytes stay as they are until `release`. */
export interface LentPiece {
  bytes: Uint8Array<ArrayBuffer>;
  /** Says that the bytes are not needed any longer; once. */
  release(): void;
}

interface Cached {
  bytes: Uint8Array<ArrayBuffer>;
  loans: number;
  evicted: boolean;
}

/** Hashes that have become known: those from `start` on, and the digest when they are the last. */
export interface HashSegment {
  start: number;
  hashes: Uint8Array<ArrayBuffer>;
  digest?: FileDigest | undefined;
}

/** How far one recipient is. */
export interface Place extends Disposable {
  /** It has all pieces below `index`. */
  advance(index: number): void;
}

/**
 * What is being sent to any number of recipients, in pieces. It is read and hashed once, front to back, a
 * little ahead of the recipient that is furthest; pieces that are asked for later are read again and
 * checked against their hash. What cannot be read again stays in memory until all recipients have it, so
 * that the slowest sets the pace.
 */
export class SourcePieces implements AsyncDisposable {
  readonly manifest: Manifest;
  readonly #content: Content;
  readonly #buffers: PieceBuffers;
  readonly #share = CACHES.join();
  readonly #cached: CachedManifest | null;
  /** Undefined when reading begins in the middle: the hash of the whole cannot be known then. */
  readonly #hash: Sha256 | undefined;
  readonly #cache = new Map<number, Cached>();
  readonly #places = new Set<{ index: number }>();
  /** Pieces that were served without being hashed: whoever asks again got something wrong. */
  readonly #trusted = new Set<number>();
  #demand = 0;
  #reading: Promise<void> | undefined;
  #grown = Promise.withResolvers<void>();
  #failure: P2PError | undefined;
  #closed = false;
  #againTurn: Promise<unknown> = Promise.resolve();

  private constructor(content: Content, cached: CachedManifest | null) {
    this.#content = content;
    this.#cached = cached;
    const pieceSize = pieceSizeFor(content.size);
    this.manifest = new Manifest(pieceSize, content.table);
    this.#buffers = new PieceBuffers(pieceSize);
    this.#hash = this.#adopt(cached);
    this.#grown.promise.catch(() => {});
  }

  /**
   * Makes a source of a content, which it closes at the end; with the hashes that `cache` has of it. What is
   * one piece is read at once, which takes no longer than to look it up: its manifest is known from the start.
   */
  static async open(content: Content, cache?: ManifestCache): Promise<SourcePieces> {
    const { key, size } = content;
    const pieceSize = pieceSizeFor(size);
    if (size !== null && size <= pieceSize) {
      const source = new SourcePieces(content, null);
      source.start();
      // A failure is told to each who asks.
      await source.hashesFrom(1, 1).catch(() => {});
      return source;
    }
    const cached = cache && key !== null && size !== null
      // A cache that cannot be used costs a hashing.
      ? await cache.open({ key, size, pieceSize, pieces: pieceCountOf(size, pieceSize) })
        .catch(() => null)
      : null;
    return new SourcePieces(content, cached);
  }

  /** Name under which it is offered. */
  get name(): string {
    return this.#content.name;
  }

  /** Bytes; null for a stream whose end has not been read. */
  get size(): number | null {
    return this.#content.size ?? this.manifest.digest?.size ?? null;
  }

  /** Bytes as offered: null for a stream. */
  get offeredSize(): number | null {
    return this.#content.size;
  }

  /** Whether pieces can be read again, and recipients come later. */
  get isSeekable(): boolean {
    return this.#content.isSeekable;
  }

  /** The files of a tree; null for anything else. */
  get files(): FileCount | null {
    return this.#content.files;
  }

  /** Paths below it that are left out. */
  get skipped(): readonly string[] {
    return this.#content.skipped;
  }

  /** Bytes of every piece but the last. */
  get pieceSize(): number {
    return this.manifest.pieceSize;
  }

  /** How many pieces there are, as far as that is known. */
  get pieceCount(): number {
    const { size } = this;
    return size === null ? this.manifest.count : pieceCountOf(size, this.pieceSize);
  }

  /** Bytes of a piece. */
  lengthOf(index: number): number {
    return Math.min(this.pieceSize, (this.size ?? Infinity) - index * this.pieceSize);
  }

  /** Pieces that are read ahead, at least one. */
  get #ahead(): number {
    if (!this.isSeekable) return STREAM_WINDOW / this.pieceSize;
    const most = this.#demand === 0 ? EARLY : AHEAD;
    return Math.max(1, Math.floor(Math.min(most, this.#share.bytes / 2) / this.pieceSize));
  }

  /** Pieces that stay in memory behind. */
  get #behind(): number {
    return Math.floor(Math.min(BEHIND, this.#share.bytes / 2) / this.pieceSize);
  }

  /** Starts reading; the first hashes follow. Idempotent. */
  start(): void {
    this.#want(0);
  }

  /** Makes room for a recipient. Of a stream all have to come before the first asks for a piece. */
  enter(): Place {
    const place = { index: 0 };
    this.#places.add(place);
    return {
      advance: (index) => {
        place.index = Math.max(place.index, index);
        this.#want(index);
      },
      [Symbol.dispose]: () => {
        this.#places.delete(place);
        this.#want(0);
      },
    };
  }

  /**
   * Waits until hashes from piece `start` on, or the digest, are known.
   *
   * @throws {P2PError} `source-changed` or `disk` when it cannot be read to its end as it was.
   */
  async hashesFrom(start: number, most: number): Promise<HashSegment> {
    while (this.manifest.count <= start && !this.manifest.digest) {
      if (this.#failure) throw this.#failure;
      await this.#grown.promise;
    }
    const end = Math.min(this.manifest.count, start + most);
    const { digest } = this.manifest;
    return {
      start,
      hashes: this.manifest.slice(start, end),
      digest: end === this.manifest.count ? digest : undefined,
    };
  }

  /**
   * Lends a piece whose hash is known.
   *
   * @throws {P2PError} `source-changed`, `file-not-found` or `disk` when it had to be read again and
   * cannot, or is not what it was.
   */
  async lend(index: number): Promise<LentPiece> {
    const cached = this.#cache.get(index);
    const loan = cached && this.#loan(cached);
    // Where memory is scarce one piece is under way at a time: the next is read when this one is back.
    const isScarce = this.#share.bytes < 2 * this.pieceSize;
    if (!isScarce) this.#want(index + 1);
    const { bytes, release } = loan ?? await this.#lendAgain(index);
    return {
      bytes,
      release: () => {
        release();
        this.#want(index + 1);
      },
    };
  }

  /** Stops reading and closes the content. Loans stay valid. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#share[Symbol.dispose]();
    // What waits for its next bytes has to be told that none are wanted.
    if (!this.isSeekable) await this.#content[Symbol.asyncDispose]();
    await this.#reading;
    await this.#againTurn.catch(() => {});
    if (this.isSeekable) await this.#content[Symbol.asyncDispose]();
    await this.#cached?.[Symbol.asyncDispose]();
  }

  /** Takes what the cache knows; returns the hash of the whole, if that can be computed. */
  #adopt(cached: CachedManifest | null): Sha256 | undefined {
    const hashes = cached?.hashes ?? [];
    for (const [index, hash] of hashes.entries()) this.manifest.add(index, hash);
    if (cached?.isComplete && this.#content.size !== null) {
      this.manifest.finish({ size: this.#content.size, sha256: cached.sha256 });
    }
    // Nobody can look up the hash of a tree.
    if (hashes.length === 0) return this.#content.table === null ? new Sha256() : undefined;
    this.#content.skipTo(hashes.length * this.pieceSize);
    return undefined;
  }

  #loan(cached: Cached): LentPiece {
    cached.loans++;
    return {
      bytes: cached.bytes,
      release: () => {
        if (--cached.loans === 0 && cached.evicted) this.#buffers.give(cached.bytes);
      },
    };
  }

  async #lendAgain(index: number): Promise<LentPiece> {
    const bytes = await this.#readAgain(index);
    return { bytes, release: () => this.#buffers.give(bytes) };
  }

  /** Notes that a recipient has come to piece `demand`, and reads on. */
  #want(demand: number): void {
    this.#demand = Math.max(this.#demand, demand);
    if (!this.#closed && !this.#failure && !this.manifest.digest) {
      this.#reading ??= this.#readOn().finally(() => {
        this.#reading = undefined;
        // More may have been wanted while it came to its end.
        if (this.manifest.count < this.#limit) this.#want(0);
      });
    }
  }

  /** Up to which piece may be read. */
  get #limit(): number {
    return (this.isSeekable ? this.#demand : this.#slowest) + this.#ahead;
  }

  get #slowest(): number {
    if (this.#places.size === 0) return 0;
    return Math.min(...[...this.#places].map(({ index }) => index));
  }

  async #readOn(): Promise<void> {
    try {
      while (!this.#closed) {
        const index = this.manifest.count;
        const isEnd = this.size !== null && index === this.pieceCount;
        if (index >= this.#limit && !isEnd) break;
        if (!isEnd) this.#forgetBelow(this.#oldest(index));
        const piece = isEnd ? new Uint8Array(0) : await this.#readPiece(index);
        if (piece.length === 0) return await this.#finish(this.size ?? index * this.pieceSize);
        this.#hash?.update(piece);
        this.#cache.set(index, { bytes: piece, loans: 0, evicted: false });
        const hash = sha256(piece);
        this.manifest.add(index, hash);
        this.#cached?.note(index, hash);
        if (this.size === null && piece.length < this.pieceSize) {
          return await this.#finish(index * this.pieceSize + piece.length);
        }
        this.#announce();
      }
    } catch (error) {
      if (this.#closed) return;
      this.#failure = diskError("read", this.#content.path, error);
      this.#announce();
    }
  }

  /** Reads the next piece; of a stream it may be shorter, and is empty at the end. */
  async #readPiece(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const length = this.lengthOf(index);
    const piece = await this.#content.read(this.#buffers.take(length));
    if (piece.length < length && this.size !== null) {
      throw sourceChanged(this.#content.path, "it became shorter");
    }
    return piece;
  }

  async #finish(size: number): Promise<void> {
    await this.#content.expectUnchanged();
    const sha256 = this.#hash?.digest() ?? null;
    this.manifest.finish({ size, sha256 });
    this.#cached?.finish(sha256);
    this.#announce();
  }

  #announce(): void {
    this.#grown.resolve();
    this.#grown = Promise.withResolvers();
  }

  /** The first piece that stays in memory when piece `index` comes. */
  #oldest(index: number): number {
    return this.isSeekable ? index - this.#ahead - this.#behind + 1 : this.#slowest;
  }

  /** Makes room for the next piece. */
  #forgetBelow(end: number): void {
    for (const [index, cached] of this.#cache) {
      if (index >= end) break;
      this.#cache.delete(index);
      cached.evicted = true;
      if (cached.loans === 0) this.#buffers.give(cached.bytes);
    }
  }

  /** Reads a piece that is not in memory, one at a time. */
  #readAgain(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const turn = this.#againTurn.catch(() => {}).then(() => this.#readAgainNow(index));
    this.#againTurn = turn;
    return turn;
  }

  async #readAgainNow(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const { path } = this.#content;
    const piece = this.#buffers.take(this.lengthOf(index));
    try {
      const read = await this.#content.readAt(index * this.pieceSize, piece);
      if (read < piece.length) throw sourceChanged(path, "it became shorter");
      if (!this.#isRight(index, piece)) {
        this.#cached?.drop();
        throw sourceChanged(path, "its content differs");
      }
      return piece;
    } catch (error) {
      this.#buffers.give(piece);
      throw diskError("read", path, error);
    }
  }

  /** An unchanged file is not hashed again, unless a recipient says that a piece was wrong. */
  #isRight(index: number, piece: Uint8Array): boolean {
    if (this.#cached?.isComplete && !this.#trusted.has(index)) {
      this.#trusted.add(index);
      return true;
    }
    const expected = this.manifest.hashOf(index);
    return expected !== undefined && sameBytes(sha256(piece), expected);
  }
}
