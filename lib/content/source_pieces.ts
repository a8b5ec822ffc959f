import { equals } from "@std/bytes/equals";
import { Gate } from "../async/gate.ts";
import { diskError, sourceChanged } from "../disk/disk_error.ts";
import type { FileAttributes } from "../disk/file_mode.ts";
import { P2PError } from "../errors.ts";
import { type FileDigest, Manifest, pieceCountOf, pieceSizeFor } from "../pieces/manifest.ts";
import type { LentPiece, Pieces } from "../pieces/pieces.ts";
import type { Scheme } from "../pieces/scheme.ts";
import type { FileCount } from "../pieces/tree_table.ts";
import { Verification } from "../pieces/verification.ts";
import { openBelieved } from "./believed_manifest.ts";
import type { Content, SuspectPart } from "./content.ts";
import type { CachedManifest, ManifestCache } from "./manifest_cache.ts";
import { PieceCache, type Place } from "./piece_cache.ts";

/** Hashes that have become known: those from `start` on, all of one scheme, and the digest when they are the last. */
export interface HashSegment {
  start: number;
  scheme: Scheme;
  hashes: Uint8Array<ArrayBuffer>;
  digest?: FileDigest | undefined;
}

/** How a {@linkcode SourcePieces} is opened. */
export interface SourceOptions {
  /** By which the pieces are proven: `prefix` for one recipient, and for a stream. */
  scheme: Scheme;
  /** How many receive it and pass pieces on; 1 by default. */
  receivers?: number | undefined;
  /** What is known of contents that were sent before. */
  cache?: ManifestCache | undefined;
  /** Ends the opening. */
  signal?: AbortSignal | undefined;
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
  #verification: Verification;
  /** Proves the pieces from the first on a second time, for those that `#verification` cannot check. */
  #audit: Verification | undefined;
  /** Whether all hashes are cached ones. */
  #isCached = false;
  /**
   * Pieces that were read again and lent once unhashed: on the word of a complete cached manifest, or because the bytes
   * before them have not been read. A second request for one means that a recipient found it wrong: it is hashed then.
   */
  readonly #trusted = new Set<number>();
  /** The piece that the content gives next when it is read on. */
  #position = 0;
  /** Readings of pieces that are not in memory: one at a time. */
  readonly #again = new Gate(1);
  #reading: Promise<void> | undefined;
  #grown = Promise.withResolvers<void>();
  #failure: P2PError | undefined;
  #closed = false;

  private constructor(
    content: Content,
    { scheme, pieceSize, cached }: {
      scheme: Scheme;
      pieceSize: number;
      cached: CachedManifest | null;
    },
  ) {
    this.#content = content;
    this.#cached = cached;
    this.manifest = new Manifest(pieceSize, { table: content.table, scheme });
    this.#cache = new PieceCache({ pieceSize, isSeekable: content.isSeekable });
    if (cached) this.#adopt(cached);
    this.#verification = this.#verificationFrom(this.#position);
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
    { scheme, receivers, cache, signal }: SourceOptions,
  ): Promise<SourcePieces> {
    const { size } = content;
    const pieceSize = pieceSizeFor(size, receivers);
    if (size === null || size > pieceSize) {
      const cached = cache ? await openBelieved(cache, content, { pieceSize, signal }) : null;
      return new SourcePieces(content, {
        scheme,
        pieceSize: cached?.pieceSize ?? pieceSize,
        cached,
      });
    }
    const source = new SourcePieces(content, { scheme, pieceSize, cached: null });
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

  /** SHA-256 of the whole, base64url, as far as it is known, which may be before the manifest is. */
  get sha256(): string | null {
    return this.manifest.digest?.sha256 ?? this.#cached?.sha256 ?? null;
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
  async hashesFrom(start: number, count: number): Promise<HashSegment> {
    while (this.manifest.count <= start && !this.manifest.digest) {
      if (this.#failure) throw this.#failure;
      await this.#grown.promise;
    }
    const { digest, independentFrom } = this.manifest;
    const scheme = this.manifest.schemeAt(start);
    const most = scheme === "prefix" ? Math.min(count, independentFrom - start) : count;
    const end = Math.min(this.manifest.count, start + most);
    return {
      start,
      scheme,
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

  /**
   * Has the pieces from `index` on proven each by itself, for a recipient that knows what is before it by its hashes and
   * does not read it again. The bytes that have gone by since are read once more.
   *
   * @throws {P2PError} `malformed` of a stream, which nobody goes on with later.
   */
  proveApartFrom(index: number): void {
    if (index >= this.manifest.independentFrom) return;
    if (!this.isSeekable) {
      throw new P2PError("malformed", "Cannot prove the pieces of a stream one by one");
    }
    const { count } = this.manifest;
    this.manifest.proveApartFrom(index);
    this.#isCached = false;
    if (count > index) {
      this.#adoptRun("independent");
      this.#verification = this.#verificationFrom(this.manifest.count);
    }
    this.#want(0);
  }

  #verificationFrom(from: number): Verification {
    // Of a tree nobody could look the hash of the whole up.
    const hasDigest = this.#content.table === null;
    return new Verification(this.manifest, { hasDigest, from, checksAgain: true });
  }

  /** Takes over the hashes that are cached, and goes on from there. */
  #adopt(cached: CachedManifest): void {
    const { scheme } = this.manifest;
    const from = cached.completeFrom(scheme);
    const known = cached.run("prefix").length;
    // The running hash of an earlier run is gone: what comes after its last piece is proven by itself.
    const isFresh = known === 0 && cached.run("independent").length === 0;
    this.manifest.proveApartFrom(from ?? (isFresh ? Infinity : known));
    this.#adoptRun("prefix");
    this.#adoptRun("independent");
    if (from !== null && this.#content.size !== null) {
      this.manifest.finish({ size: this.#content.size, sha256: cached.sha256 });
      this.#isCached = true;
    }
    this.#position = this.manifest.count;
    if (this.#position > 0) this.#content.skipTo(this.#position * this.pieceSize);
  }

  /** Takes over the cached hashes of the scheme that come next. */
  #adoptRun(scheme: Scheme): void {
    const { count, independentFrom } = this.manifest;
    if (this.manifest.schemeAt(count) !== scheme) return;
    const run = this.#cached?.run(scheme, count) ?? [];
    const end = scheme === "prefix" ? independentFrom - count : run.length;
    for (const hash of run.slice(0, end)) this.manifest.add(this.manifest.count, hash);
  }

  /** Notes that a recipient has come to piece `demand`, and reads on. */
  #want(demand: number): void {
    this.#cache.want(demand);
    if (!this.#closed && !this.#failure && !this.manifest.digest) {
      this.#reading ??= this.#readOn().finally(() => {
        this.#reading = undefined;
        // More may have been wanted while it came to its end, or other hashes, which are all known.
        const isAtEnd = this.size !== null && this.manifest.count === this.pieceCount;
        if (this.manifest.count < this.#cache.limit || isAtEnd) this.#want(0);
      });
    }
  }

  async #readOn(): Promise<void> {
    try {
      while (!this.#closed) {
        const index = this.manifest.count;
        const isEnd = this.size !== null && index === this.pieceCount;
        if (index >= this.#cache.limit && !isEnd) break;
        const verification = this.#verification;
        const piece = isEnd ? new Uint8Array(0) : await this.#nextPiece(index);
        // A recipient has asked for other hashes meanwhile.
        if (verification !== this.#verification) continue;
        if (piece.length === 0) return await this.#finish(this.size ?? index * this.pieceSize);
        const hash = verification.prove(piece);
        const scheme = this.manifest.schemeAt(index);
        this.manifest.add(index, hash);
        this.#cached?.note({ index, scheme, hash });
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

  /** The piece whose hash is to be made next, which is kept; of a stream it may be shorter, and is empty at the end. */
  async #nextPiece(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const loan = this.#cache.lend(index);
    if (loan) {
      loan.release();
      return loan.bytes;
    }
    this.#cache.makeRoom(index);
    // What a recipient has asked other hashes for is behind what is read on.
    const piece = index === this.#position
      ? await this.#readOnPiece(index)
      : await this.#again.run(() => this.#readAgainNow(index));
    if (piece.length > 0) this.#cache.put(index, piece);
    return piece;
  }

  async #readOnPiece(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const length = this.lengthOf(index);
    const piece = await this.#content.read(this.#cache.buffer(length));
    this.#position++;
    if (piece.length < length && this.size !== null) {
      throw sourceChanged(this.#content.path, "it became shorter");
    }
    return piece;
  }

  async #finish(size: number): Promise<void> {
    const verification = this.#verification;
    for (const part of await this.#content.suspects()) await this.#compare(part);
    if (this.#closed || verification !== this.#verification) return;
    const sha256 = verification.digest(this.manifest.count);
    this.manifest.finish({ size, sha256 });
    this.#cached?.finish(sha256, this.manifest.independentFrom);
    this.#announce();
  }

  /** Compares what was read with what is there now: bytes that are the same before and after were so in between. */
  async #compare({ path, start, end }: SuspectPart): Promise<void> {
    for (let index = Math.floor(start / this.pieceSize); index * this.pieceSize < end; index++) {
      if (this.#closed) return;
      const how = { path, mayTrust: false };
      const piece = await this.#again.run(() => this.#readAgainNow(index, how));
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
    { path = this.#content.path, mayTrust = true } = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    const piece = await this.#readAt(index, path);
    if (mayTrust && this.#isTrusted(index) || await this.#isRight(index, piece)) return piece;
    this.#cache.lendOnce(piece).release();
    void this.#cached?.drop();
    throw sourceChanged(path, "its content differs");
  }

  /** Reads a piece at its place, unchecked. */
  async #readAt(index: number, path = this.#content.path): Promise<Uint8Array<ArrayBuffer>> {
    const piece = this.#cache.buffer(this.lengthOf(index));
    try {
      const read = await this.#content.readAt(index * this.pieceSize, piece);
      if (read < piece.length) throw sourceChanged(path, "it became shorter");
      return piece;
    } catch (error) {
      this.#cache.lendOnce(piece).release();
      throw diskError("read", path, error);
    }
  }

  /** Whether a piece is sent as it is, for the recipient alone to check. */
  #isTrusted(index: number): boolean {
    // What has no hash yet is about to get one.
    if (!this.has(index)) return true;
    if (!this.#isCached && this.#verification.canCheck(index)) return false;
    const isFirst = !this.#trusted.has(index);
    this.#trusted.add(index);
    return isFirst;
  }

  /** Whether a piece is what it was. */
  async #isRight(index: number, piece: Uint8Array): Promise<boolean> {
    const expected = this.manifest.hashOf(index);
    if (!expected) return false;
    const canCheck = this.#verification.canCheck(index);
    const verification = canCheck ? this.#verification : await this.#auditUpTo(index);
    return verification?.check(index, piece, expected) ?? false;
  }

  /** Proves the pieces below `index` once more, which happens once to each; undefined when one is not what it was. */
  async #auditUpTo(index: number): Promise<Verification | undefined> {
    const options = { hasDigest: false, checksAgain: true };
    const audit = this.#audit ??= new Verification(this.manifest, options);
    while (audit.count < index) {
      const at = audit.count;
      const piece = await this.#readAt(at);
      const hash = audit.prove(piece);
      this.#cache.lendOnce(piece).release();
      const expected = this.manifest.hashOf(at);
      if (!expected || !equals(hash, expected)) return undefined;
    }
    return audit;
  }
}
