import { join } from "@std/path";
import { P2PError } from "../errors.ts";
import { diskError } from "./disk_error.ts";
import { nameKey, numberedName, safeName } from "./file_name.ts";
import { Sha256 } from "./hash.ts";
import { Journal, type JournalPiece, type JournalSubject } from "./journal.ts";

/** Names tried before giving up: `name (9999).ext` is nobody's wish. */
const MAX_NUMBER = 10_000;

/** Bytes that are written between two entries of the journal: what a crash may cost. */
const CHECKPOINT = 8 * 1024 * 1024;

/** Where a partial lives and what becomes of it. */
export interface PartialOptions {
  /** Private folder of the partial. */
  folder: string;
  /** Folder of the final name; on the same file system. */
  inbox: string;
  /** Mode of the published file. */
  mode: number;
  /** Bytes. */
  pieceSize: number;
  /** What it is a part of; null for what cannot be gone on with later (a stream). */
  subject: JournalSubject | null;
}

/** A published file. */
export interface Published {
  /** The final name in the inbox. */
  name: string;
  /** Absolute path. */
  path: string;
}

/**
 * A file being received: a random name in a private folder until every byte is verified and synced, then
 * the final name. It has one writer; writes are queued in order. Of a large file the journal beside it
 * says which pieces are on disk; it is written while the transfer goes on, after their data is synced.
 */
export class PartialFile {
  readonly #options: PartialOptions;
  readonly #path: string;
  readonly #file: Deno.FsFile;
  /** Hashes of the pieces that were on disk when it was reopened. */
  readonly known: ReadonlyMap<number, Uint8Array>;
  #journal: Journal | undefined;
  /** Another handle of the file: on one handle a sync would hold up the writes. */
  #syncer: Deno.FsFile | undefined;
  #unsynced: JournalPiece[] = [];
  #unsyncedBytes = 0;
  #checkpointing: Promise<void> | undefined;
  #tail: Promise<void> = Promise.resolve();
  #position = 0;
  #closed = false;

  private constructor(
    options: PartialOptions,
    path: string,
    file: Deno.FsFile,
    reopened?: { journal: Journal; known: ReadonlyMap<number, Uint8Array> },
  ) {
    this.#options = options;
    this.#path = path;
    this.#file = file;
    this.known = reopened?.known ?? new Map();
    this.#journal = reopened?.journal;
  }

  /** Creates an empty partial, mode 0600, that no link can stand in for. */
  static async create(options: PartialOptions): Promise<PartialFile> {
    const path = join(options.folder, `${crypto.randomUUID()}.part`);
    try {
      const file = await Deno.open(path, { read: true, write: true, createNew: true, mode: 0o600 });
      return new PartialFile(options, path, file);
    } catch (error) {
      throw diskError("create", path, error);
    }
  }

  /**
   * Goes on with a partial that was {@linkcode suspend}ed, or left behind by a crash; null when it is of no
   * use any more.
   *
   * @param base its path without `.part`.
   */
  static async reopen(options: PartialOptions, base: string): Promise<PartialFile | null> {
    const path = `${base}.part`;
    try {
      const reopened = await Journal.reopen(journalOf(path));
      if (!reopened) return null;
      const { journal, content } = reopened;
      try {
        const { isFile } = await Deno.lstat(path);
        if (!isFile) throw new Deno.errors.NotFound();
        const file = await Deno.open(path, { read: true, write: true });
        return new PartialFile(options, path, file, { journal, known: content.pieces });
      } catch (error) {
        journal[Symbol.dispose]();
        throw error;
      }
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw diskError("go on with", path, error);
    }
  }

  /** Its path without `.part`, for {@linkcode PartialFile.reopen}. */
  get base(): string {
    return this.#path.slice(0, -".part".length);
  }

  /** Whether a journal says what is there: without one nobody can go on with it. */
  get isJournalled(): boolean {
    return this.#journal !== undefined;
  }

  /** Writes a verified piece; `bytes` must stay as they are until it resolves. */
  write(index: number, bytes: Uint8Array, hash: Uint8Array): Promise<void> {
    const turn = this.#tail.then(async () => {
      await this.#writeNow(index * this.#options.pieceSize, bytes);
      this.#note({ index, hash: hash.slice() }, bytes.length);
    });
    // The next write waits for this one, whatever became of it; the caller sees the failure.
    this.#tail = turn.catch(() => {});
    return turn;
  }

  /** SHA-256 (base64url) of what is written, read back from the disk. For pieces that came out of order. */
  async digest(): Promise<string> {
    await this.#tail;
    const hash = new Sha256();
    const buffer = new Uint8Array(this.#options.pieceSize);
    await this.#file.seek(0, Deno.SeekMode.Start);
    this.#position = -1;
    for (let n = await this.#file.read(buffer); n !== null; n = await this.#file.read(buffer)) {
      hash.update(buffer.subarray(0, n));
    }
    return hash.digest();
  }

  /**
   * Makes the file durable and gives it its name: data and mode are synced, the name is linked (never
   * over one that exists), the folder is synced. After this a power cut loses nothing.
   *
   * @throws {P2PError} `disk` or `no-space`; nothing is published then.
   */
  async publish(untrustedName: string): Promise<Published> {
    await this.#tail;
    await this.#checkpointing;
    try {
      await this.#expectOurs(this.#path);
      if (Deno.build.os !== "windows") await Deno.chmod(this.#path, this.#options.mode);
      await this.#file.sync();
      const published = await this.#link(safeName(untrustedName));
      try {
        await this.#expectOurs(published.path);
        this.#close();
        await syncFolder(this.#options.inbox);
      } catch (error) {
        await Deno.remove(published.path).catch(ignoreMissing);
        throw error;
      }
      // The next sweep takes a second name that cannot be removed now.
      await this.#remove().catch(() => {});
      return published;
    } catch (error) {
      // It may be suspended now.
      await this.#noteRest();
      this.#close();
      throw diskError("save to", this.#options.inbox, error);
    }
  }

  /** Deletes what was received. */
  async discard(): Promise<void> {
    await this.#tail;
    await this.#checkpointing;
    this.#close();
    await this.#remove();
  }

  /** Writes the journal up to date and closes; the partial stays for a later {@linkcode reopen}. */
  async suspend(): Promise<void> {
    await this.#tail;
    await this.#checkpointing;
    await this.#noteRest();
    this.#close();
  }

  /** Brings the journal up to date; on a full disk what it does not say has to come again. */
  async #noteRest(): Promise<void> {
    if (this.#closed || this.#unsynced.length === 0) return;
    await this.#checkpoint().catch(() => {});
  }

  /** Notes a piece that is written, and brings the journal up to date when there is enough to say. */
  #note(piece: JournalPiece, bytes: number): void {
    if (!this.#options.subject) return;
    this.#unsynced.push(piece);
    this.#unsyncedBytes += bytes;
    if (this.#unsyncedBytes < CHECKPOINT) return;
    // A journal that cannot be written costs the resuming, not the transfer.
    this.#checkpointing ??= this.#checkpoint().catch(() => {}).finally(() =>
      this.#checkpointing = undefined
    );
  }

  async #checkpoint(): Promise<void> {
    const { subject } = this.#options;
    if (!subject) return;
    const pieces = this.#unsynced.splice(0);
    this.#unsyncedBytes = 0;
    this.#syncer ??= await Deno.open(this.#path, { write: true });
    await this.#syncer.syncData();
    this.#journal ??= await Journal.create(journalOf(this.#path), subject);
    await this.#journal.append(pieces);
  }

  async #remove(): Promise<void> {
    // The partial goes last: a journal without one would promise what is not there.
    await Deno.remove(journalOf(this.#path)).catch(ignoreMissing);
    await Deno.remove(this.#path).catch(ignoreMissing);
  }

  async #writeNow(offset: number, bytes: Uint8Array): Promise<void> {
    try {
      if (this.#position !== offset) await this.#file.seek(offset, Deno.SeekMode.Start);
      this.#position = -1;
      let written = 0;
      while (written < bytes.length) written += await this.#file.write(bytes.subarray(written));
      this.#position = offset + bytes.length;
    } catch (error) {
      throw diskError("write to", this.#options.inbox, error);
    }
  }

  async #link(name: string): Promise<Published> {
    const { inbox } = this.#options;
    const taken = new Set<string>();
    for await (const entry of Deno.readDir(inbox)) taken.add(nameKey(entry.name));
    for (let number = 0; number < MAX_NUMBER; number++) {
      const candidate = numberedName(name, number);
      // Another file may differ in case or normalisation only: elsewhere they would be one.
      if (taken.has(nameKey(candidate))) continue;
      const path = join(inbox, candidate);
      if (await linkNew(this.#path, path)) return { name: candidate, path };
    }
    throw new P2PError(
      "disk",
      `Cannot save ${name}: ${MAX_NUMBER} files have that name; move some`,
    );
  }

  /** Somebody who can write into the inbox may have put another file in our file's place. */
  async #expectOurs(path: string): Promise<void> {
    const [ours, there] = [await this.#file.stat(), await Deno.lstat(path)];
    if (there.isFile && there.ino === ours.ino && there.dev === ours.dev) return;
    throw new P2PError("integrity", `Cannot save the file: ${path} was exchanged for another`);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#file.close();
    this.#syncer?.close();
    this.#journal?.[Symbol.dispose]();
  }
}

/** The journal of a partial. */
export function journalOf(partial: string): string {
  return partial.replace(/part$/, "journal");
}

/** Links `from` to the new name `to`; false when the name exists. */
async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await Deno.link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    if (!cannotLink(error)) throw error;
  }
  // No hard links here (FAT, some network mounts): reserve the name, then rename over the reservation.
  try {
    (await Deno.open(to, { write: true, createNew: true })).close();
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
  try {
    await Deno.rename(from, to);
    return true;
  } catch (error) {
    await Deno.remove(to).catch(ignoreMissing);
    throw error;
  }
}

function cannotLink(error: unknown): boolean {
  const code = (error as { code?: string }).code;
  return code === "EPERM" || code === "ENOTSUP" || code === "EOPNOTSUPP" || code === "ENOSYS" ||
    error instanceof Deno.errors.NotSupported;
}

async function syncFolder(path: string): Promise<void> {
  if (Deno.build.os === "windows") return; // A folder has no handle to sync; the journal of NTFS orders names.
  const folder = await Deno.open(path, { read: true });
  try {
    await folder.sync();
  } finally {
    folder.close();
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
