import { dirname } from "node:path";
import { P2PError } from "../errors.ts";
import type { FileCount } from "../pieces/tree_table.ts";
import { diskError } from "../disk/disk_error.ts";
import { ignoreMissing } from "../disk/folder.ts";
import type { BestEffort } from "../disk/best_effort.ts";
import type { FreeNames } from "../disk/free_names.ts";
import { Gate } from "../async/gate.ts";
import type { PieceTarget } from "./piece_target.ts";
import { type JournalPiece, PieceJournal } from "../pieces/piece_journal.ts";
import type { PieceProof } from "../pieces/scheme.ts";
import type { Published, Target } from "./target.ts";

/** Bytes that are written between two entries of the journal: what a crash may cost. */
const CHECKPOINT = 2 * 1024 * 1024;
/** Milliseconds between two entries of the journal at most, for those who receive slowly. */
const CHECKPOINT_TIME = 2_000;

/** What a {@linkcode PartialItem} needs. */
export interface PartialOptions {
  target: Target;
  /** Folder of the final name; on the same file system. */
  inbox: string;
  /** The names in that folder. */
  names: FreeNames;
  disk: BestEffort;
  /** Bytes. */
  pieceSize: number;
  /** Bytes in all; null for a stream. */
  size: number | null;
  /** What the journal says that it is a part of, and its number of pieces; null: it is never gone on with. */
  about: { header: object; pieces: number } | null;
  /** Takes room for so many bytes in all, for a stream, which did not say how many it has. */
  growTo?: ((bytes: number) => Promise<void>) | undefined;
  /** The journal of an earlier run. */
  reopened?: { journal: PieceJournal; known: ReadonlyMap<number, PieceProof> };
}

/** How a {@linkcode PartialItem} is published. */
export interface PublishOptions {
  /** Hears, before it is taken, each name that is tried, and the inode that is about to have it. */
  intend?: (name: string, ino: number | null) => Promise<void>;
  /** Whether it is read afterwards. */
  keepsReading?: boolean;
}

/**
 * What is there of a file or tree that is being received. Pieces are written one after another; a journal
 * beside them says which are verified and durable, and is written while the transfer goes on, after their
 * data is synced. When all are there it is published under its final name.
 */
export class PartialItem implements PieceTarget {
  /** The pieces that an earlier run left, and what they were proven by. */
  readonly known: ReadonlyMap<number, PieceProof>;
  readonly isReadable = true;
  readonly #options: PartialOptions;
  readonly #target: Target;
  #journal: PieceJournal | undefined;
  #unsynced: JournalPiece[] = [];
  #unsyncedBytes = 0;
  #checkpointed = performance.now();
  #checkpointing: Promise<void> | undefined;
  /** Gate of the writes: one after another, whatever became of the one before. */
  readonly #turn = new Gate(1);
  /** Bytes that are there, those of an earlier run included. */
  #bytes: number;
  /** Pieces of an earlier run that are among them. */
  readonly #counted: Set<number>;
  #closed = false;

  constructor(options: PartialOptions) {
    this.#options = options;
    this.#target = options.target;
    this.known = options.reopened?.known ?? new Map();
    this.#journal = options.reopened?.journal;
    this.#counted = new Set(this.known.keys());
    this.#bytes = this.#counted.size * options.pieceSize;
  }

  /** Path of the partial without `.part`. */
  get base(): string {
    return baseOf(this.#target.path);
  }

  /** Pieces that have to be written before any other: those of a tree's table. */
  get headPieces(): number {
    return Math.ceil(this.#target.head / this.#options.pieceSize);
  }

  /** Bytes that are there, those of an earlier run included. */
  get presentBytes(): number {
    return this.#bytes;
  }

  /** Files and folders that are known of: 1 for a file. */
  get entries(): number {
    return this.#target.entries;
  }

  /** Whether it is over: published, discarded or suspended. */
  get isOver(): boolean {
    return this.#closed;
  }

  /** Path of the table of a tree, once all of it is there; null for a file. */
  get table(): string | null {
    return this.#target.table;
  }

  /** The files of a tree, once its table is there. */
  get files(): FileCount | null {
    return this.#target.files;
  }

  /**
   * Writes a piece that `proof` has verified; `bytes` must stay as they are until it resolves.
   *
   * @throws {P2PError} `no-space` or `disk`; of a tree also `malformed` or `refused`, naming the path.
   */
  write(index: number, bytes: Uint8Array, { scheme, hash }: PieceProof): Promise<void> {
    return this.#turn.run(() => this.#writeNow({ index, scheme, hash: hash.slice() }, bytes));
  }

  async read(index: number, into: Uint8Array): Promise<void> {
    const { inbox, pieceSize } = this.#options;
    try {
      await this.#target.read(index * pieceSize, into);
    } catch (error) {
      throw diskError("read from", inbox, error);
    }
  }

  forget(indices: readonly number[]): Promise<void> {
    return this.#turn.run(async () => {
      await this.#checkpointing;
      for (const index of indices) {
        if (this.#counted.delete(index)) this.#bytes -= this.#options.pieceSize;
      }
      try {
        // A power cut must find either the old piece and its hash, or no hash.
        this.#journal?.forget(indices);
        await this.#journal?.sync();
      } catch (error) {
        throw diskError("write to", this.#options.inbox, error);
      }
    });
  }

  stop(): void {
    this.#target.stop?.();
  }

  /** Throws away what an earlier run left: the writes that follow are the first. */
  restart(): Promise<void> {
    return this.#turn.run(async () => {
      await this.#checkpointing;
      this.#journal?.[Symbol.dispose]();
      this.#journal = undefined;
      this.#unsynced = [];
      this.#unsyncedBytes = 0;
      this.#bytes = 0;
      this.#counted.clear();
      await removeJournal(this.base);
      await this.#options.disk.syncFolder(dirname(this.base));
      await this.#target.restart();
    });
  }

  /**
   * Makes it durable and gives it its name: data and modes are synced, the name is taken (never one that
   * exists), the folder is synced. After this a power cut loses nothing.
   *
   * @throws {P2PError} `disk` or `no-space`; nothing is published then.
   */
  async publish(
    name: string,
    { intend = () => Promise.resolve(), keepsReading = false }: PublishOptions = {},
  ): Promise<Published> {
    const { inbox, names, disk } = this.#options;
    await this.#written();
    try {
      await this.#target.settle();
      const { ino } = await Deno.lstat(this.#target.path);
      const published = await names.take(name, async (candidate, path) => {
        await intend(candidate, ino);
        return await this.#target.moveTo(path);
      });
      try {
        await disk.syncFolder(inbox);
      } catch (error) {
        await this.#target.takeBack(published.path);
        throw error;
      }
      this.#close();
      // What has arrived has arrived, also where nobody can have it from here.
      const reader = keepsReading
        ? await this.#target.reader(published.path).catch(() => undefined)
        : undefined;
      // The next sweep takes a second name that cannot be removed now.
      await this.#remove().catch(() => {});
      return { ...published, ...this.#target.renamed, ...(reader ? { reader } : {}) };
    } catch (error) {
      // What is there may be suspended now, so that a later offer goes on with it.
      await this.#noteRest();
      this.#close();
      throw inboxError("save to", inbox, error);
    }
  }

  /** Deletes what was received, for good: a power cut does not bring it back. */
  async discard(): Promise<void> {
    await this.#written();
    this.#close();
    await this.#remove();
    // Where that fails it is deleted all the same.
    await this.#options.disk.syncFolder(dirname(this.base)).catch(() => {});
  }

  /**
   * Brings the journal up to date and closes; what is there waits for a later run. False when there is no
   * journal: then nobody can go on with it.
   */
  async suspend(): Promise<boolean> {
    await this.#written();
    await this.#noteRest();
    const isJournalled = this.#journal !== undefined;
    this.#close();
    return isJournalled;
  }

  /** Resolves when nothing is being written. */
  async #written(): Promise<void> {
    await this.#turn.run(() => Promise.resolve());
    await this.#checkpointing;
  }

  /** Brings the journal up to date; on a full disk what it does not say has to come again. */
  async #noteRest(): Promise<void> {
    if (this.#closed) return;
    if (this.#unsynced.length > 0) await this.#checkpoint().catch(() => {});
    await this.#journal?.sync().catch(() => {});
  }

  async #writeNow(piece: JournalPiece, bytes: Uint8Array): Promise<void> {
    try {
      // A disk that is slower than the network sets the pace: what a crash costs stays bounded.
      if (this.#unsyncedBytes >= CHECKPOINT) await this.#checkpointing;
      if (this.#options.size === null) await this.#options.growTo?.(this.#bytes + bytes.length);
      await this.#target.write(piece.index * this.#options.pieceSize, bytes);
    } catch (error) {
      throw inboxError("write to", this.#options.inbox, error);
    }
    this.#bytes += bytes.length;
    if (!this.#options.about) return;
    this.#unsynced.push(piece);
    this.#unsyncedBytes += bytes.length;
    const isDue = this.#unsyncedBytes >= CHECKPOINT ||
      performance.now() - this.#checkpointed > CHECKPOINT_TIME;
    // A journal that cannot be written costs the resuming, not the transfer.
    if (isDue) {
      this.#checkpointing ??= this.#checkpoint().catch(() => {}).finally(() =>
        this.#checkpointing = undefined
      );
    }
  }

  async #checkpoint(): Promise<void> {
    const { about } = this.#options;
    if (!about) return;
    const pieces = this.#unsynced.splice(0);
    this.#unsyncedBytes = 0;
    this.#checkpointed = performance.now();
    this.#journal ??= await PieceJournal.create(`${this.base}.journal`, about.header, about.pieces);
    // What the journal says itself may be one checkpoint behind.
    await Promise.all([this.#target.sync(), this.#journal.sync()]);
    this.#journal.note(pieces);
  }

  async #remove(): Promise<void> {
    // The data goes last: a journal without it would promise what is not there.
    await removeJournal(this.base);
    await this.#target.remove();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#target.close();
    this.#journal?.[Symbol.dispose]();
  }
}

/** A failure of the disk; what is missing is what was there before, and not a file that somebody has named. */
function inboxError(action: string, inbox: string, error: unknown): P2PError {
  if (!(error instanceof Deno.errors.NotFound)) return diskError(action, inbox, error);
  const text = `Cannot ${action} ${inbox}: what was received was moved or removed meanwhile; ` +
    "send it again";
  return new P2PError("disk", text, { cause: error });
}

/** The path of a partial without its ending. */
function baseOf(path: string): string {
  return path.replace(/\.part$/, "");
}

/** Deletes the journal of the partial with this base. */
export async function removeJournal(base: string): Promise<void> {
  await Deno.remove(`${base}.journal`).catch(ignoreMissing);
}
