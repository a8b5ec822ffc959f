import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url";
import { diskError } from "./disk_error.ts";

/** What a partial is a part of: a later offer that agrees in all of it may go on with the partial. */
export interface JournalSubject {
  /** The sender's id. */
  from: string;
  /** The safe name. */
  name: string;
  /** Bytes. */
  size: number;
  /** Bytes. */
  pieceSize: number;
}

/** A verified piece that is on disk. */
export interface JournalPiece {
  index: number;
  /** SHA-256, 32 bytes. */
  hash: Uint8Array;
}

/** What a journal says. */
export interface JournalContent {
  subject: JournalSubject;
  /** Hashes of the pieces that are on disk, by index. */
  pieces: Map<number, Uint8Array>;
}

/**
 * The record of which pieces of a partial are verified and durable. Append-only JSON lines: the subject,
 * then `[index, hash]` for each piece. Whoever appends has synced the pieces' data before, so that a line
 * that is there can be believed after a crash; a line that a crash cut short ends the journal.
 */
export class Journal implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  #closed = false;

  private constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  /**
   * Creates a journal that is not there yet.
   *
   * @throws {P2PError} `disk` or `no-space`.
   */
  static async create(path: string, subject: JournalSubject): Promise<Journal> {
    try {
      const file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
      const journal = new Journal(path, file);
      await journal.#write(`${JSON.stringify(subject)}\n`);
      return journal;
    } catch (error) {
      throw diskError("write", path, error);
    }
  }

  /**
   * Reads a journal and goes on with it; null when it does not hold even its subject.
   *
   * @throws {P2PError} `disk` when it cannot be read.
   */
  static async reopen(path: string): Promise<{ journal: Journal; content: JournalContent } | null> {
    try {
      const text = await Deno.readTextFile(path);
      const content = parseJournal(text);
      if (!content) return null;
      const file = await Deno.open(path, { write: true });
      // What a crash cut short is overwritten.
      const whole = new TextEncoder().encode(text.slice(0, text.lastIndexOf("\n") + 1)).length;
      await file.truncate(whole);
      await file.seek(0, Deno.SeekMode.End);
      return { journal: new Journal(path, file), content };
    } catch (error) {
      throw diskError("read", path, error);
    }
  }

  /**
   * Appends pieces whose data is on disk.
   *
   * @throws {P2PError} `disk` or `no-space`.
   */
  async append(pieces: readonly JournalPiece[]): Promise<void> {
    const lines = pieces.map(({ index, hash }) => `[${index},"${encodeBase64Url(hash)}"]\n`);
    try {
      await this.#write(lines.join(""));
    } catch (error) {
      throw diskError("write", this.#path, error);
    }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#file.close();
  }

  async #write(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
  }
}

/** The content of a journal's text up to the first line that is not whole; null without a subject. */
export function parseJournal(text: string): JournalContent | null {
  const lines = text.split("\n").slice(0, -1);
  const subject = parseSubject(lines[0]);
  if (!subject) return null;
  const pieces = new Map<number, Uint8Array>();
  for (const line of lines.slice(1)) {
    const piece = parsePiece(line);
    if (!piece) break;
    pieces.set(piece.index, piece.hash);
  }
  return { subject, pieces };
}

function parseSubject(line: string | undefined): JournalSubject | null {
  const value = parseJson(line);
  if (typeof value !== "object" || value === null) return null;
  const { from, name, size, pieceSize } = value as Record<string, unknown>;
  if (typeof from !== "string" || typeof name !== "string") return null;
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(pieceSize)) return null;
  return { from, name, size: size as number, pieceSize: pieceSize as number };
}

function parsePiece(line: string): JournalPiece | null {
  const value = parseJson(line);
  if (!Array.isArray(value) || !Number.isSafeInteger(value[0]) || typeof value[1] !== "string") {
    return null;
  }
  try {
    const hash = decodeBase64Url(value[1]);
    return hash.length === 32 ? { index: value[0], hash } : null;
  } catch {
    return null;
  }
}

function parseJson(line: string | undefined): unknown {
  try {
    return JSON.parse(line ?? "");
  } catch {
    return null;
  }
}
