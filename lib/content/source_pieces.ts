import { Gate } from "../async/gate.ts";
import { diskError, sourceChanged } from "../disk/disk_error.ts";
import { stampsChanges } from "../disk/file_age.ts";
import type { FileAttributes } from "../disk/file_mode.ts";
import { P2PError } from "../errors.ts";
import { type FileDigest, Manifest, pieceCountOf, pieceSizeFor } from "../pieces/manifest.ts";
import type { LentPiece, Pieces } from "../pieces/pieces.ts";
import type { Scheme } from "../pieces/scheme.ts";
import type { FileCount } from "../pieces/tree_table.ts";
import { type Verification, verificationOf } from "../pieces/verification.ts";
import type { Content, SuspectPart } from "./content.ts";
import type { CachedManifest, ManifestCache } from "./manifest_cache.ts";
import { PieceCache, type Place } from "./piece_cache.ts";

/** The scheme by which what is sent is proven. */
const SCHEME: Scheme = "independent";

/** Hashes that have become known: those from `start` on, and the digest when they are the last. */
export interface HashSegment {
  start: number;
  hashes: Uint8Array<ArrayBuffer>;
  digest?: FileDigest | undefined;
}

/**
 * What is being sent to any number of recipients, in pieces. It is read and hashed once, front to back, a
 * little ahead of the recipient that is furthest; pieces that are asked for later are read again and
 * checked against their hash. What cannot be read again stays in memory until all recipients have it, so
 * that the slowest sets the pace.
 */
export class SourcePieces implements Pieces, AsyncDisposable {
  readonly manifest: Manifest;
  readonly #content: Content;
  readonly #cache: PieceCache;
  readonly #cached: CachedManifest | null;
  readonly #verification: Verification;
  /**
   * Pieces that were read again and lent once unhashed, on the word of a complete cached manifest. A second request for
   * one means that a recipient found it wrong: it is hashed then.
   */
  readonly #trusted = new Set<number>();
  /** Readings of pieces that are not in memory: one at a time. */
  readonly #again = new Gate(1);
  #reading: Promise<void> | undefined;
  #grown = Promise.withResolvers<void>();
  #failure: P2PError | undefined;
  #closed = false;

  private constructor(content: Content, cached: CachedManifest | null) {
    this.#content = content;
    this.#cached = cached;
    const pieceSize = pieceSizeFor(content.size);
    this.manifest = new Manifest(pieceSize, { table: content.table, scheme: SCHEME });
    this.#cache = new PieceCache({ pieceSize, isSeekable: content.isSeekable });
    const from = this.#adopt(cached);
    this.#verification = verificationOf(SCHEME, { isTree: content.table !== null, from });
    this.#grown.promise.catch(() => {});
  }

  /**
   * Makes a source of a content, which it closes at the end; with the hashes that `cache` has of it. What is
   * one piece is read at once, which takes no longer than to look it up: its manifest is known from the start.
   *
   * @throws what `signal` is aborted with, while cached hashes are compared with the bytes.
   */
  static async open(
    content: Content,
    cache?: ManifestCache,
    signal?: AbortSignal,
  ): Promise<SourcePieces> {
    const { size } = content;
    if (size === null || size > pieceSizeFor(size)) {
      return new SourcePieces(content, cache ? await openCached(cache, content, signal) : null);
    }
    const source = new SourcePieces(content, null);
    source.start();
    // A failure is told to each who asks.
    await source.hashesFrom(1, 1).catch(() => {});
    return source;
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

  /** How many files and folders below it cannot be sent. */
  get leftOut(): number {
    return this.#content.failed.length;
  }

  /** Paths of files that have grown: sent is what was there when they were looked at first. */
  get grown(): readonly string[] {
    return this.#content.grown;
  }

  /** What is kept of it beside its bytes. */
  get attributes(): FileAttributes {
    return this.#content.attributes;
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

  /** Whether the piece's hash is known. */
  has(index: number): boolean {
    return index < this.manifest.count;
  }

  /** Starts reading; the first hashes follow. Idempotent. */
  start(): void {
    this.#want(0);
  }

  /** Makes room for a recipient. Of a stream all have to come before the first asks for a piece. */
  enter(): Place {
    return this.#cache.enter(() => this.#want(0));
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

  /** Reads further ahead for a recipient that is far away, if all is read that may be: it waits for nothing else. */
  readFurther(): void {
    if (this.#reading || this.manifest.digest) return;
    this.#cache.readFurther();
    this.#want(0);
  }

  /**
   * Lends a piece whose hash is known.
   *
   * @throws {P2PError} `source-changed`, `file-not-found` or `disk` when it had to be read again and
   * cannot, or is not what it was.
   */
  async lend(index: number): Promise<LentPiece> {
    const loan = this.#cache.lend(index);
    if (!this.#cache.isScarce) this.#want(index + 1);
    const { bytes, release } = loan ?? this.#cache.lendOnce(await this.#readAgain(index));
    return {
      bytes,
      release: () => {
        release();
        this.#want(index + 1);
      },
    };
  }

  /** Everybody has it: nothing is kept any more for a later run to go on with. */
  settle(): void {
    this.#cached?.settle();
  }

  /** Stops reading and closes the content. Loans stay valid. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#cache[Symbol.dispose]();
    // What waits for its next bytes has to be told that none are wanted.
    if (!this.isSeekable) await this.#content[Symbol.asyncDispose]();
    await this.#reading;
    await this.#again.run(() => Promise.resolve());
    if (this.isSeekable) await this.#content[Symbol.asyncDispose]();
    await this.#cached?.[Symbol.asyncDispose]();
  }

  /** Takes over the hashes that are cached; returns the first piece that has to be read. */
  #adopt(cached: CachedManifest | null): number {
    const hashes = cached?.hashes ?? [];
    for (const [index, hash] of hashes.entries()) this.manifest.add(index, hash);
    if (cached?.isComplete && this.#content.size !== null) {
      this.manifest.finish({ size: this.#content.size, sha256: cached.sha256 });
    }
    if (hashes.length > 0) this.#content.skipTo(hashes.length * this.pieceSize);
    return hashes.length;
  }

  /** Notes that a recipient has come to piece `demand`, and reads on. */
  #want(demand: number): void {
    this.#cache.want(demand);
    if (!this.#closed && !this.#failure && !this.manifest.digest) {
      this.#reading ??= this.#readOn().finally(() => {
        this.#reading = undefined;
        // More may have been wanted while it came to its end.
        if (this.manifest.count < this.#cache.limit) this.#want(0);
      });
    }
  }

  async #readOn(): Promise<void> {
    try {
      while (!this.#closed) {
        const index = this.manifest.count;
        const isEnd = this.size !== null && index === this.pieceCount;
        if (index >= this.#cache.limit && !isEnd) break;
        if (!isEnd) this.#cache.makeRoom(index);
        const piece = isEnd ? new Uint8Array(0) : await this.#readPiece(index);
        if (piece.length === 0) return await this.#finish(this.size ?? index * this.pieceSize);
        const hash = this.#verification.prove(piece);
        this.#cache.put(index, piece);
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
    const piece = await this.#content.read(this.#cache.buffer(length));
    if (piece.length < length && this.size !== null) {
      throw sourceChanged(this.#content.path, "it became shorter");
    }
    return piece;
  }

  async #finish(size: number): Promise<void> {
    for (const part of await this.#content.suspects()) await this.#compare(part);
    if (this.#closed) return;
    const sha256 = this.#verification.digest(this.manifest.count);
    this.manifest.finish({ size, sha256 });
    this.#cached?.finish(sha256);
    this.#announce();
  }

  /** Compares what was read with what is there now: bytes that are the same before and after were so in between. */
  async #compare({ path, start, end }: SuspectPart): Promise<void> {
    for (let index = Math.floor(start / this.pieceSize); index * this.pieceSize < end; index++) {
      if (this.#closed) return;
      const piece = await this.#again.run(() => this.#readAgainNow(index, path));
      this.#cache.lendOnce(piece).release();
    }
  }

  #announce(): void {
    this.#grown.resolve();
    this.#grown = Promise.withResolvers();
  }

  /** Reads a piece that is not in memory. */
  async #readAgain(index: number): Promise<Uint8Array<ArrayBuffer>> {
    return await this.#again.run(() => this.#readAgainNow(index));
  }

  async #readAgainNow(
    index: number,
    path = this.#content.path,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const piece = this.#cache.buffer(this.lengthOf(index));
    try {
      const read = await this.#content.readAt(index * this.pieceSize, piece);
      if (read < piece.length) throw sourceChanged(path, "it became shorter");
      if (!this.#isRight(index, piece)) {
        void this.#cached?.drop();
        throw sourceChanged(path, "its content differs");
      }
      return piece;
    } catch (error) {
      this.#cache.lendOnce(piece).release();
      throw diskError("read", path, error);
    }
  }

  /** Whether a piece is what it was. Under a complete cached manifest that is believed once, without hashing. */
  #isRight(index: number, piece: Uint8Array): boolean {
    if (this.#cached?.isComplete && !this.#trusted.has(index)) {
      this.#trusted.add(index);
      return true;
    }
    const expected = this.manifest.hashOf(index);
    return expected !== undefined && this.#verification.check(index, piece, expected);
  }
}

/** The cached manifest of a content, with what is to be believed of it; null where nothing can be kept. */
async function openCached(
  cache: ManifestCache,
  content: Content,
  signal: AbortSignal | undefined,
): Promise<CachedManifest | null> {
  const { key, size, isSettled } = content;
  if (key === null || size === null) return null;
  const pieceSize = pieceSizeFor(size);
  const asked = { key, size, isSettled, pieceSize, pieces: pieceCountOf(size, pieceSize) };
  // A cache that cannot be used costs a hashing.
  const open = () => cache.open(asked).catch(() => null);
  const cached = await open();
  if (!cached || cached.hashes.length === 0) return cached;
  try {
    if (await isBelievable(content, cached, signal)) return cached;
  } catch (error) {
    await cached[Symbol.asyncDispose]();
    await content[Symbol.asyncDispose]();
    throw error;
  }
  await cached.drop();
  return await open();
}

/**
 * Whether cached hashes are those of the content: because it was settled when they were made, on a disk that stamps
 * every change, or because its bytes say so. To read these takes a while, but only what was cut off before has such
 * hashes, and to send it once more takes longer.
 */
async function isBelievable(
  content: Content,
  cached: CachedManifest,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (cached.wasSettled) {
    if (await stampsChanges(content.path)) return true;
    // Nobody knows whether it was cut off.
    if (cached.isComplete) return false;
  }
  const size = content.size ?? 0;
  const pieceSize = pieceSizeFor(size);
  const verification = verificationOf(SCHEME, { isTree: true });
  const piece = new Uint8Array(pieceSize);
  for (const [index, hash] of cached.hashes.entries()) {
    signal?.throwIfAborted();
    const start = index * pieceSize;
    const expected = piece.subarray(0, Math.min(pieceSize, size - start));
    const read = await content.readAt(start, expected).catch(() => 0);
    if (read < expected.length || !verification.check(index, expected, hash)) return false;
  }
  return true;
}
