import { basename } from "@std/path";
import { P2PError } from "../errors.ts";
import { Budget } from "./budget.ts";
import { diskError } from "./disk_error.ts";
import { Sha256, sha256 } from "./hash.ts";
import { Manifest, pieceCountOf, pieceSizeFor, sameBytes } from "./manifest.ts";
import { PieceBuffers } from "./piece_buffers.ts";

/** Bytes that are read ahead of the recipient that is furthest. */
const AHEAD = 8 * 1024 * 1024;
/** Bytes that stay in memory behind it, for recipients that are close. */
const BEHIND = 8 * 1024 * 1024;
/** What all sources of this process keep, but for a piece each: with many, each keeps little. */
const CACHES = new Budget(16 * 1024 * 1024);

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
  digest?: { size: number; sha256: string } | undefined;
}

/**
 * A file that is being sent to any number of recipients. It is read and hashed once, front to back, a
 * little ahead of the recipient that is furthest; pieces that are asked for later are read again and
 * checked against their hash.
 */
export class FileSource implements AsyncDisposable {
  readonly path: string;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly manifest: Manifest;
  readonly #reader: ReadableStreamBYOBReader;
  readonly #stat: Deno.FileInfo;
  readonly #buffers: PieceBuffers;
  readonly #share = CACHES.join();
  readonly #hash = new Sha256();
  readonly #cache = new Map<number, Cached>();
  #demand = 0;
  #reading: Promise<void> | undefined;
  #grown = Promise.withResolvers<void>();
  #failure: P2PError | undefined;
  #closed = false;
  #again: Promise<Deno.FsFile> | undefined;
  #againTurn: Promise<unknown> = Promise.resolve();

  private constructor(path: string, file: Deno.FsFile, stat: Deno.FileInfo) {
    this.path = path;
    this.name = basename(path);
    this.size = stat.size;
    this.#stat = stat;
    const pieceSize = pieceSizeFor(stat.size);
    this.manifest = new Manifest(pieceSize);
    this.#buffers = new PieceBuffers(pieceSize);
    this.#reader = file.readable.getReader({ mode: "byob" });
    this.#grown.promise.catch(() => {});
  }

  /**
   * Opens a regular file.
   *
   * @throws {P2PError} `file-not-found` or `disk`.
   */
  static async open(path: string): Promise<FileSource> {
    try {
      // Before it is opened: opening a FIFO waits for somebody to write to it.
      const { isFile, isDirectory } = await Deno.stat(path);
      if (!isFile) {
        const what = isDirectory ? "it is a directory" : "it is not a regular file";
        throw new P2PError("disk", `Cannot send ${path}: ${what}; send single files`);
      }
      const file = await Deno.open(path, { read: true });
      return new FileSource(path, file, await file.stat());
    } catch (error) {
      throw diskError("read", path, error);
    }
  }

  /** Bytes of every piece but the last. */
  get pieceSize(): number {
    return this.manifest.pieceSize;
  }

  /** How many pieces the file has. */
  get pieceCount(): number {
    return pieceCountOf(this.size, this.pieceSize);
  }

  /** Says that a recipient has the pieces below `index`: reading goes on from there. */
  advance(index: number): void {
    this.#want(index);
  }

  /** Pieces that are read ahead, at least one. */
  get #ahead(): number {
    return Math.max(1, Math.floor(Math.min(AHEAD, this.#share.bytes / 2) / this.pieceSize));
  }

  /** Pieces that stay in memory behind. */
  get #behind(): number {
    return Math.floor(Math.min(BEHIND, this.#share.bytes / 2) / this.pieceSize);
  }

  /** Starts reading; the first hashes follow. Idempotent. */
  start(): void {
    this.#want(0);
  }

  /**
   * Waits until hashes from piece `start` on, or the digest, are known.
   *
   * @throws {P2PError} `source-changed` or `disk` when the file cannot be read to its end as it was.
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

  /** Stops reading and closes the file. Loans stay valid. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#share[Symbol.dispose]();
    await this.#reading;
    // Ending the stream closes the file.
    await this.#reader.cancel().catch(() => {});
    await this.#againTurn.catch(() => {});
    (await this.#again?.catch(() => undefined))?.close();
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
      this.#reading ??= this.#readOn().finally(() => this.#reading = undefined);
    }
  }

  async #readOn(): Promise<void> {
    try {
      while (!this.#closed && this.manifest.count < this.#demand + this.#ahead) {
        const index = this.manifest.count;
        if (index === this.pieceCount) return await this.#finish();
        this.#forgetBelow(index - this.#ahead - this.#behind + 1);
        const piece = await this.#readPiece(index);
        this.#hash.update(piece);
        this.#cache.set(index, { bytes: piece, loans: 0, evicted: false });
        this.manifest.add(index, sha256(piece));
        this.#announce();
      }
    } catch (error) {
      this.#failure = diskError("read", this.path, error);
      this.#announce();
    }
  }

  async #readPiece(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const length = Math.min(this.pieceSize, this.size - index * this.pieceSize);
    let piece = this.#buffers.take(length);
    let filled = 0;
    while (filled < length) {
      const { value, done } = await this.#reader.read(piece.subarray(filled));
      if (done || value === undefined) throw this.#changed("it became shorter");
      filled += value.length;
      piece = new Uint8Array(value.buffer, 0, length);
    }
    return piece;
  }

  async #finish(): Promise<void> {
    const now = await Deno.stat(this.path);
    if (now.size !== this.size || now.mtime?.getTime() !== this.#stat.mtime?.getTime()) {
      throw this.#changed("its size or time is not what it was");
    }
    this.manifest.finish({ size: this.size, sha256: this.#hash.digest() });
    this.#announce();
  }

  #announce(): void {
    this.#grown.resolve();
    this.#grown = Promise.withResolvers();
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

  /** Reads a piece that has left the cache, through a handle of its own, one at a time. */
  #readAgain(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const turn = this.#againTurn.catch(() => {}).then(() => this.#readAgainNow(index));
    this.#againTurn = turn;
    return turn;
  }

  async #readAgainNow(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const start = index * this.pieceSize;
    const piece = this.#buffers.take(Math.min(this.pieceSize, this.size - start));
    try {
      const file = await (this.#again ??= Deno.open(this.path, { read: true }));
      await file.seek(start, Deno.SeekMode.Start);
      for (let filled = 0; filled < piece.length;) {
        const n = await file.read(piece.subarray(filled));
        if (n === null) throw this.#changed("it became shorter");
        filled += n;
      }
      const expected = this.manifest.hashOf(index);
      if (!expected || !sameBytes(sha256(piece), expected)) {
        throw this.#changed("its content differs");
      }
      return piece;
    } catch (error) {
      this.#buffers.give(piece);
      throw diskError("read", this.path, error);
    }
  }

  #changed(how: string): P2PError {
    return new P2PError(
      "source-changed",
      `Cannot send ${this.path}: it changed while it was read (${how}); send it again`,
    );
  }
}
