import { equals } from "@std/bytes/equals";
import { P2PError } from "../errors.ts";
import { HASH_BYTES, MAX_PIECE, MIN_PIECE } from "../wire/limits.ts";
import { Sha256 } from "./hash.ts";
import { proofName, type Scheme } from "./scheme.ts";

/** Bytes from which on a file has pieces of 1 MiB or more. */
const SMALL_FILE = 64 * 1024 * 1024;
/** Bytes of a piece of a smaller file: several recipients can serve each other early. */
const SMALL_PIECE = 256 * 1024;

/** Bytes of the smallest piece in a swarm: below that its signature and its hash cost more than it does. */
const SMALLEST_PIECE = 32 * 1024;
/** Receivers from which on a swarm has twice as many pieces: the last one comes to everybody later. */
const MANY_RECEIVERS = 50;

/**
 * Bytes of a piece for a file of `size` bytes; `null` stands for a stream, whose size nobody knows. Where several receive
 * it and pass pieces on, there are 256 pieces or more, since nobody can pass on half of one.
 */
export function pieceSizeFor(size: number | null, receivers = 1): number {
  if (size === null) return 1024 * 1024;
  if (receivers > 1) return swarmPieceSize(size, receivers);
  if (size < SMALL_FILE) return SMALL_PIECE;
  const pieces = 4096;
  let pieceSize = 1024 * 1024;
  while (pieceSize < MAX_PIECE && size / pieceSize > pieces) pieceSize *= 2;
  return pieceSize;
}

/** Whether pieces may have so many bytes. */
export function isPieceSize(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= MIN_PIECE &&
    (value as number) <= MAX_PIECE;
}

function swarmPieceSize(size: number, receivers: number): number {
  const pieces = receivers < MANY_RECEIVERS ? 256 : 512;
  let pieceSize = Math.max(1024 * 1024, pieceSizeFor(size));
  while (pieceSize > SMALLEST_PIECE && size / pieceSize < pieces) pieceSize /= 2;
  return pieceSize;
}

/** Pieces that a file of `size` bytes has; none when it is empty. */
export function pieceCountOf(size: number, pieceSize: number): number {
  return Math.ceil(size / pieceSize);
}

/** Size and hash of a content, known once its last byte has been read. */
export interface FileDigest {
  size: number;
  /**
   * SHA-256 of the whole content, base64url. Null for a tree, and when the sender has not read all of it because it was
   * killed, and reads only what is missing.
   */
  sha256: string | null;
}

/** What the hashes of a {@linkcode Manifest} are about. */
export interface ManifestOptions {
  /** Bytes of the table of a tree; null for a file. */
  table?: number | null;
  /** How the hashes prove the pieces. */
  scheme?: Scheme;
  /** Under `prefix`, the first piece that is proven by its own hash all the same; by default none. */
  independentFrom?: number;
}

/**
 * A SHA-256 for each piece of a content, in their order, growing while the content is read or received. A manifest is
 * complete when `digest` is set, and does not change from then on, unless the receiver asks for other hashes.
 */
export class Manifest {
  readonly pieceSize: number;
  /** Bytes of the table of a tree; null for a file. */
  readonly table: number | null;
  /** How its hashes prove the pieces, as it was offered. */
  readonly scheme: Scheme;
  #independentFrom: number;
  #hashes = new Uint8Array(64 * HASH_BYTES);
  #count = 0;
  #digest: FileDigest | undefined;
  #id: string | undefined;

  /** @param pieceSize bytes. */
  constructor(
    pieceSize: number,
    { table = null, scheme = "independent", independentFrom = Infinity }: ManifestOptions = {},
  ) {
    this.pieceSize = pieceSize;
    this.table = table;
    this.scheme = scheme;
    this.#independentFrom = scheme === "independent" ? 0 : independentFrom;
  }

  /**
   * The first piece that is proven by its own hash, as all after it are: 0 under `independent`; under `prefix` Infinity,
   * until one end cannot go on with the running hash. It only ever becomes less.
   */
  get independentFrom(): number {
    return this.#independentFrom;
  }

  /** How its pieces are proven, by name: see {@linkcode proofName}. */
  get proof(): string {
    return proofName(this.#independentFrom, this.#count);
  }

  /** The scheme by which piece `index` is proven. */
  schemeAt(index: number): Scheme {
    return index < this.#independentFrom ? "prefix" : "independent";
  }

  /** Pieces whose hash is known: those from the first on. */
  get count(): number {
    return this.#count;
  }

  /** Size and hash of the whole; set when all hashes are known. */
  get digest(): FileDigest | undefined {
    return this.#digest;
  }

  /**
   * The id that both sides recognise the content by, base64url: the SHA-256 of proof, size, piece size, table
   * and piece hashes (PROTOCOL.md, "Manifest id"). Undefined until the manifest is complete.
   */
  get id(): string | undefined {
    return this.#digest && (this.#id ??= this.#computeId(this.#digest));
  }

  /** The hash of piece `index` (32 bytes), or `undefined` when it is not known yet. */
  hashOf(index: number): Uint8Array | undefined {
    return index < this.#count
      ? this.#hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)
      : undefined;
  }

  /** A copy of the hashes of pieces `[start, end)`. */
  slice(start: number, end: number): Uint8Array<ArrayBuffer> {
    return this.#hashes.slice(start * HASH_BYTES, Math.min(end, this.#count) * HASH_BYTES);
  }

  /** Has the pieces from `index` on proven by their own hashes: other ones that are known are forgotten. */
  proveApartFrom(index: number): void {
    if (index >= this.#independentFrom) return;
    this.#independentFrom = index;
    this.#count = Math.min(this.#count, index);
    this.#digest = undefined;
    this.#id = undefined;
  }

  /**
   * Adds the hashes of the pieces from `start` on; hashes that are known already must be the same.
   *
   * @param scheme of these hashes: `independent` under `prefix` says that they are so from the next unknown one on.
   * @throws {P2PError} `malformed` on a gap, a broken hash or one of the wrong scheme, `source-changed` when a known one
   * differs.
   */
  add(start: number, hashes: Uint8Array, scheme: Scheme = this.schemeAt(start)): void {
    if (hashes.length % HASH_BYTES !== 0 || start > this.#count) {
      throw new P2PError("malformed", "Cannot read HASHES: they are not whole or leave a gap");
    }
    const end = start + hashes.length / HASH_BYTES;
    const independentFrom = this.#switchedBy(scheme, start, end);
    const known = Math.min(end, this.#count) - start;
    if (!equals(this.slice(start, start + known), hashes.subarray(0, known * HASH_BYTES))) {
      throw new P2PError(
        "source-changed",
        "Cannot go on: the file has changed since it was offered",
      );
    }
    if (end <= this.#count) return;
    if (this.#digest) {
      throw new P2PError("malformed", "Cannot read HASHES: more come after the last");
    }
    this.#independentFrom = independentFrom;
    this.#reserve(end);
    this.#hashes.set(hashes, start * HASH_BYTES);
    this.#count = end;
  }

  /**
   * Completes the manifest.
   *
   * @throws {P2PError} `malformed` when the size does not fit the hashes, `source-changed` when it was
   * complete with another digest.
   */
  finish(digest: FileDigest): void {
    if (pieceCountOf(digest.size, this.pieceSize) !== this.#count) {
      throw new P2PError(
        "malformed",
        `Cannot read HASHES: ${this.#count} hashes do not fit ${digest.size} bytes`,
      );
    }
    const known = this.#digest;
    if (known && (known.sha256 !== digest.sha256 || known.size !== digest.size)) {
      throw new P2PError(
        "source-changed",
        "Cannot go on: the file has changed since it was offered",
      );
    }
    this.#digest = digest;
  }

  #computeId({ size }: FileDigest): string {
    const { proof, pieceSize, table } = this;
    const hash = new Sha256();
    const about = `p2p-manifest ${proof} ${size} ${pieceSize} ${table ?? "-"}\n`;
    hash.update(new TextEncoder().encode(about));
    hash.update(this.#hashes.subarray(0, this.#count * HASH_BYTES));
    return hash.digest();
  }

  /** From which piece on the hashes are independent once there are hashes `[start, end)` of the scheme. */
  #switchedBy(scheme: Scheme, start: number, end: number): number {
    const from = this.#independentFrom;
    if (start === end) return from;
    if (scheme === "prefix" && end <= from) return from;
    // They begin where those of all before end.
    if (scheme === "independent" && start >= this.#count) return Math.min(start, from);
    if (scheme === "independent" && start >= from) return from;
    throw new P2PError(
      "malformed",
      `Cannot read HASHES: that of piece ${start} and those after it cannot be ${scheme} ones`,
    );
  }

  #reserve(count: number): void {
    if (count * HASH_BYTES <= this.#hashes.length) return;
    const larger = new Uint8Array(Math.max(count * HASH_BYTES, this.#hashes.length * 2));
    larger.set(this.#hashes);
    this.#hashes = larger;
  }
}

/**
 * How many of the first `bytes` of a content are bytes of files: all but those of the table that a tree begins with. What
 * people and programs are told of sizes is this; null when `bytes` is.
 */
export function fileBytes(bytes: number, table: number | null): number;
/** The same where the size of the content may not be known. */
export function fileBytes(bytes: number | null, table: number | null): number | null;
export function fileBytes(bytes: number | null, table: number | null): number | null {
  return bytes === null ? null : Math.max(0, bytes - (table ?? 0));
}
