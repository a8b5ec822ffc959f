import { openFile, patiently } from "../disk/descriptors.ts";
import { diskError } from "../disk/disk_error.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { AdaptiveSync } from "../disk/adaptive_sync.ts";
import { HASH_BYTES } from "../wire/limits.ts";
import { type PieceProof, type Scheme, SCHEMES } from "./scheme.ts";

/** Bytes of the header: one block of most file systems, so that it is written as a whole. */
const HEADER_BYTES = 4096;
/** Bytes of what is noted of a piece: a hash of each scheme, in the order of `SCHEMES`. */
const ENTRY_BYTES = SCHEMES.length * HASH_BYTES;

/** A piece and a hash of it. */
export interface JournalPiece extends PieceProof {
  index: number;
}

/** The hashes of pieces by index, of each scheme. */
export type PieceHashes = Readonly<Record<Scheme, Map<number, Uint8Array>>>;

/** What a journal says. */
export interface JournalContent {
  /** What the journal is about, as its writer put it; whoever reads it checks. */
  header: Record<string, unknown>;
  /** Hashes of the pieces that are noted. */
  pieces: PieceHashes;
}

/**
 * Hashes of pieces on disk: a header of 4096 bytes (one JSON object, padded with spaces), then 64 bytes
 * for each piece, 32 for its hash under each scheme, zeros where nothing is known. The room is taken when the journal is made, so that a full disk
 * does not keep anybody from noting what is there; a hash never crosses a sector, so that a power cut
 * leaves it whole or absent.
 */
export class PieceJournal implements Disposable {
  readonly path: string;
  readonly #file: Deno.FsFile;
  readonly #syncer = new AdaptiveSync("data");
  #closed = false;

  private constructor(path: string, file: Deno.FsFile) {
    this.path = path;
    this.#file = file;
  }

  /**
   * Makes a journal that is not there yet, with room for `count` pieces.
   *
   * @throws {P2PError} `disk` or `no-space`.
   */
  static async create(path: string, header: object, count: number): Promise<PieceJournal> {
    const bytes = new Uint8Array(HEADER_BYTES + count * ENTRY_BYTES);
    bytes.set(headerBytes(header));
    let journal: PieceJournal | undefined;
    try {
      const file = await openFile(path, { write: true, createNew: true, mode: 0o600 });
      journal = new PieceJournal(path, file);
      await journal.#write(0, bytes);
      return journal;
    } catch (error) {
      journal?.[Symbol.dispose]();
      if (journal) await Deno.remove(path).catch(ignoreMissing);
      throw diskError("write", path, error);
    }
  }

  /**
   * Opens a journal to go on with it; null when the file is none.
   *
   * @throws {P2PError} `file-not-found` or `disk`.
   */
  static async reopen(
    path: string,
  ): Promise<{ journal: PieceJournal; content: JournalContent } | null> {
    try {
      const content = await readJournal(path);
      if (!content) return null;
      return { journal: new PieceJournal(path, await openFile(path, { write: true })), content };
    } catch (error) {
      throw diskError("read", path, error);
    }
  }

  /**
   * Notes the hashes of pieces, which come in any order; durable after the next {@linkcode sync}.
   *
   * @throws {P2PError} `disk` or `no-space`.
   */
  note(pieces: readonly JournalPiece[]): void {
    try {
      for (const { index, scheme, hash } of pieces) this.#write(placeOf(index, scheme), hash);
    } catch (error) {
      throw diskError("write", this.path, error);
    }
  }

  /**
   * Forgets the pieces; durable after the next {@linkcode sync}.
   *
   * @throws {P2PError} `disk` or `no-space`.
   */
  forget(indices: readonly number[]): void {
    const nothing = new Uint8Array(ENTRY_BYTES);
    try {
      for (const index of indices) this.#write(HEADER_BYTES + index * ENTRY_BYTES, nothing);
    } catch (error) {
      throw diskError("write", this.path, error);
    }
  }

  /** Replaces the header; the hashes stay. */
  describe(header: object): void {
    try {
      this.#write(0, headerBytes(header));
    } catch (error) {
      throw diskError("write", this.path, error);
    }
  }

  /** Makes durable what was noted before the call. */
  async sync(): Promise<void> {
    await this.#syncer.sync(this.#file);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#file.close();
  }

  #write(offset: number, bytes: Uint8Array): void {
    // Synchronous: a round through the event loop costs more than a few bytes for which there is room already.
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
  }
}

/** What the journal at `path` says; null when the file is none. */
export async function readJournal(path: string): Promise<JournalContent | null> {
  return parseJournal(await patiently(() => Deno.readFile(path)));
}

/** The header alone of the journal at `path`; null when the file is none. */
export async function readJournalHeader(path: string): Promise<Record<string, unknown> | null> {
  using file = await openFile(path, { read: true });
  const bytes = new Uint8Array(HEADER_BYTES);
  for (let at = 0; at < HEADER_BYTES;) {
    const n = await file.read(bytes.subarray(at));
    if (n === null) return null;
    at += n;
  }
  return parseHeader(bytes);
}

/** What the bytes of a journal say; null without a header. */
export function parseJournal(bytes: Uint8Array): JournalContent | null {
  if (bytes.length < HEADER_BYTES) return null;
  const header = parseHeader(bytes.subarray(0, HEADER_BYTES));
  if (!header) return null;
  const pieces: PieceHashes = { independent: new Map(), prefix: new Map() };
  for (const scheme of SCHEMES) {
    for (let index = 0;; index++) {
      const at = placeOf(index, scheme);
      const hash = bytes.subarray(at, at + HASH_BYTES);
      if (hash.length < HASH_BYTES) break;
      if (hash.some((byte) => byte !== 0)) pieces[scheme].set(index, hash);
    }
  }
  return { header, pieces };
}

/** Where the hash of a piece stands, in bytes. */
function placeOf(index: number, scheme: Scheme): number {
  return HEADER_BYTES + index * ENTRY_BYTES + SCHEMES.indexOf(scheme) * HASH_BYTES;
}

function headerBytes(header: object): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(header));
  if (text.length >= HEADER_BYTES) throw new RangeError("The header of a journal is too long");
  const bytes = new Uint8Array(HEADER_BYTES).fill(0x20);
  bytes.set(text);
  bytes[HEADER_BYTES - 1] = 0x0a;
  return bytes;
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return typeof value === "object" && value !== null ? value as Record<string, unknown> : null;
  } catch {
    return null;
  }
}
