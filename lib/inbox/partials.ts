import { join } from "node:path";
import { Gate } from "../async/gate.ts";
import { BestEffort } from "../disk/best_effort.ts";
import { diskError } from "../disk/disk_error.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { FreeNames } from "../disk/free_names.ts";
import type { Lock } from "../disk/lock.ts";
import type { NameRules } from "../disk/name_rules.ts";
import { isOutOfDescriptors, P2PError, reasonOf } from "../errors.ts";
import { pieceCountOf } from "../pieces/manifest.ts";
import { type PieceHashes, PieceJournal, readJournalHeader } from "../pieces/piece_journal.ts";
import { type PieceProof, SCHEMES } from "../pieces/scheme.ts";
import { FileTarget } from "./file_target.ts";
import { PartialItem, removeJournal } from "./partial_item.ts";
import {
  clearAway,
  type DiskTraits,
  LOCK_FILE,
  makeInboxFolder,
  makePrivateFolders,
  stampOf,
  takeLock,
  traitsOf,
} from "./private_folder.ts";
import { headerOf, parsePartialKey, type PartialKey, textOfKey } from "./partial_key.ts";
import { Receipts, RECEIPTS_FILE, TABLES_FOLDER } from "./receipts.ts";
import type { OfferedItem } from "./destination.ts";
import type { Target } from "./target.ts";
import { TreeTarget } from "./tree_target.ts";

/** Folder of partials and journals below the inbox. */
export const PARTIAL_FOLDER = ".partial";
/** How long a partial waits for its sender, milliseconds: a week. */
export const KEEP_PARTIALS = 7 * 24 * 3600_000;

/** How a partial takes more room than it was begun with. */
export interface RoomOf {
  /**
   * Takes room for so many bytes and so many files and folders in all.
   *
   * @throws {P2PError} `no-space` or `quota` when there is none.
   */
  grow(to: { bytes?: number; entries?: number }): Promise<void>;
}

/**
 * The private folder of one identity below an inbox, which a lock keeps for one process: what is being received,
 * and what waits for its sender to go on with it.
 */
export class Partials implements Disposable {
  /** What was received lately; its file is in this folder. */
  receipts: Receipts;
  readonly #inbox: string;
  readonly #folder: string;
  readonly #notice: (message: string) => void;
  #lock: Lock | undefined;
  /** What the folder is recognised by. */
  #stamp: string;
  readonly #looks = new Gate(1);
  readonly #files: DiskTraits;
  /** The names in the inbox. */
  readonly #names: FreeNames;
  /** Partials that wait to be gone on with: their paths without `.part`, by the text of their key. */
  readonly #unfinished: Map<string, string>;

  private constructor(options: {
    inbox: string;
    folder: string;
    notice: (message: string) => void;
    lock: Lock;
    stamp: string;
    files: DiskTraits;
    receipts: Receipts;
    unfinished: Map<string, string>;
  }) {
    this.#inbox = options.inbox;
    this.#folder = options.folder;
    this.#notice = options.notice;
    this.#lock = options.lock;
    this.#stamp = options.stamp;
    this.#files = options.files;
    this.#names = new FreeNames(options.inbox);
    this.receipts = options.receipts;
    this.#unfinished = options.unfinished;
  }

  /**
   * Opens the folder of `ownId` below an inbox, which has to be there. Partials that a process left behind wait
   * when their journal says what they are and is younger than `keep` milliseconds; the others are swept. What is in
   * the way, of another user or unreadable, is set aside or left out, and `notice` hears of it.
   *
   * @throws {P2PError} `disk` when another process has the folder, or what is in the way cannot be moved. What the disk
   * cannot do goes to `notice`.
   */
  static async open(
    inbox: string,
    ownId: string,
    { keep, notice }: { keep: number; notice: (message: string) => void },
  ): Promise<Partials> {
    const folder = join(inbox, PARTIAL_FOLDER, ownId);
    const disk = new BestEffort(inbox, notice);
    const mode = await makePrivateFolders(folder, { notice, disk });
    await using stack = new AsyncDisposableStack();
    const lock = stack.use(await takeLock(folder, { notice, disk }));
    const files = await traitsOf(folder, { mode, disk });
    const receipts = stack.use(await openReceipts(folder, inbox, { rules: files, notice }));
    const unfinished = await sweep(folder, { keep, receipts, notice });
    const stamp = await stampOf(folder, files);
    stack.move();
    return new Partials({ inbox, folder, notice, lock, stamp, files, receipts, unfinished });
  }

  /**
   * Makes the folder anew when it is gone, or is not the one that was opened: whoever can write into the inbox may have
   * moved it away, or have put something in its place.
   *
   * @throws {P2PError} `disk` when that fails.
   */
  async expectThere(): Promise<void> {
    await this.#looks.run(async () => {
      const stamp = await stampOf(this.#folder, this.#files).catch(() => "");
      if (this.#lock && stamp === this.#stamp) return;
      this.#notice(
        `${this.#folder} is not what it was: it was changed or removed; it is made anew`,
      );
      try {
        await makeInboxFolder(this.#inbox);
        const heard = { notice: this.#notice, disk: this.#files.disk };
        await makePrivateFolders(this.#folder, heard);
        // Where the folder is the same after all the lock is our own.
        this.#lock?.[Symbol.dispose]();
        this.#lock = undefined;
        this.#lock = await takeLock(this.#folder, heard);
        const receipts = await openReceipts(this.#folder, this.#inbox, {
          rules: this.#files,
          notice: this.#notice,
        });
        this.receipts[Symbol.dispose]();
        this.receipts = receipts;
        this.#stamp = await stampOf(this.#folder, this.#files);
      } catch (error) {
        throw diskError("use the inbox", this.#inbox, error);
      }
    });
  }

  /**
   * Makes a partial.
   *
   * @throws {P2PError} `no-space` or `disk`.
   */
  async create(key: OfferedItem, room: RoomOf): Promise<PartialItem> {
    const path = join(this.#folder, `${crypto.randomUUID()}.part`);
    try {
      return this.#partial({ key, room, target: await this.#target(key, path, "create", room) });
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw diskError("create", path, error);
      const text =
        "Cannot receive: the receiver may open no more files for the moment; try again, " +
        "or have its limit (`ulimit -n`) raised";
      throw new P2PError("busy", text, { cause: error });
    }
  }

  /**
   * Goes on with a partial that an earlier offer left; null when there is none, or it is of no use.
   *
   * @throws {P2PError} `disk`
   */
  async reopen(key: OfferedItem, room: RoomOf): Promise<PartialItem | null> {
    const text = textOfKey(key);
    const base = this.#unfinished.get(text);
    if (base === undefined) return null;
    this.#unfinished.delete(text);
    try {
      const reopened = await PieceJournal.reopen(`${base}.journal`);
      if (reopened) {
        const { journal, content: { pieces } } = reopened;
        const known = proofsOf(pieces);
        try {
          const target = await this.#target(key, `${base}.part`, "reopen", room);
          return this.#partial({ key, room, target, reopened: { journal, known } });
        } catch (error) {
          journal[Symbol.dispose]();
          throw error;
        }
      }
    } catch (error) {
      const { cause } = error as P2PError;
      const isGone = [error, cause].some((it) => it instanceof Deno.errors.NotFound);
      if (!isGone) throw diskError("go on with", `${base}.part`, error);
    }
    await removePartial(base);
    return null;
  }

  #target(
    { size, table: head, attributes }: OfferedItem,
    path: string,
    how: "create" | "reopen",
    room: RoomOf,
  ): Promise<Target> {
    if (head === null) return FileTarget[how](path, { ...this.#files, attributes });
    const onPlanned = (entries: number) => room.grow({ entries });
    return TreeTarget[how]({ path, head, size: size ?? 0, ...this.#files, attributes, onPlanned });
  }

  #partial({ key, room, target, reopened }: {
    key: OfferedItem;
    room: RoomOf;
    target: Target;
    reopened?: { journal: PieceJournal; known: ReadonlyMap<number, PieceProof> };
  }): PartialItem {
    const { size, pieceSize } = key;
    return new PartialItem({
      target,
      inbox: this.#inbox,
      names: this.#names,
      disk: this.#files.disk,
      size,
      pieceSize,
      about: size === null
        ? null
        : { header: headerOf(key), pieces: pieceCountOf(size, pieceSize) },
      growTo: (bytes) => room.grow({ bytes }),
      ...(reopened ? { reopened } : {}),
    });
  }

  /** Keeps a partial to be gone on with when the same sender offers the same again. */
  async suspend(item: PartialItem, key: PartialKey): Promise<void> {
    // Without a journal nobody can go on with it.
    if (key.size === null || !await item.suspend()) return await item.discard();
    const text = textOfKey(key);
    const older = this.#unfinished.get(text);
    this.#unfinished.set(text, item.base);
    if (older !== undefined) await removePartial(older);
  }

  /** Gives the lock back. */
  [Symbol.dispose](): void {
    this.receipts[Symbol.dispose]();
    this.#lock?.[Symbol.dispose]();
  }
}

/** Deletes the partial whose path without `.part` is `base`. */
export async function removePartial(base: string): Promise<void> {
  await removeJournal(base);
  for (const ending of [".part", ".table", ".plan"]) {
    await Deno.remove(`${base}${ending}`, { recursive: true }).catch(ignoreMissing);
  }
}

/** What each piece is proven by: it is noted under one scheme. */
function proofsOf(hashes: PieceHashes): Map<number, PieceProof> {
  return new Map(
    SCHEMES.flatMap((scheme) =>
      [...hashes[scheme]].map(([index, hash]) => [index, { scheme, hash }])
    ),
  );
}

/** The receipts, or new ones where those that are there cannot be read. */
async function openReceipts(
  folder: string,
  inbox: string,
  { rules, notice }: { rules: NameRules; notice: (message: string) => void },
): Promise<Receipts> {
  const path = join(folder, RECEIPTS_FILE);
  // A link that somebody has put there leads elsewhere: what is noted would be written to its target.
  for (const name of [path, `${path}.new`]) {
    const info = await Deno.lstat(name).catch(() => null);
    if (info && !info.isFile) await clearAway(name, "it is not a regular file", notice);
  }
  const tables = join(folder, TABLES_FOLDER);
  const info = await Deno.lstat(tables).catch(() => null);
  if (info && !info.isDirectory) await clearAway(tables, "it is not a folder", notice);
  try {
    return await Receipts.open(folder, inbox, rules);
  } catch (error) {
    if (isOutOfDescriptors(error)) throw error;
    await clearAway(path, reasonOf(error), notice);
    return await Receipts.open(folder, inbox, rules);
  }
}

/**
 * Deletes from the folder all but the lock, the receipts and the partials that a later offer can go on with; resolves
 * with the paths of those, without `.part`, by the text of their key.
 */
async function sweep(
  folder: string,
  { keep, receipts, notice }: {
    keep: number;
    receipts: Receipts;
    notice: (message: string) => void;
  },
): Promise<Map<string, string>> {
  const leftOut = (path: string) => (error: unknown) => {
    if (error instanceof Deno.errors.NotFound) return null;
    notice(`Cannot use ${path}: ${reasonOf(error)}; it is left out`);
    return null;
  };
  const unfinished = new Map<string, string>();
  const names = new Set<string>();
  for await (const { name } of Deno.readDir(folder)) names.add(name);
  const wanted = new Set([LOCK_FILE, RECEIPTS_FILE, TABLES_FOLDER]);
  for (const name of names) {
    const base = /^(.*)\.journal$/.exec(name)?.[1];
    if (base === undefined || !names.has(`${base}.part`)) continue;
    const path = join(folder, name);
    const key = await readPartialKey(path, keep).catch(leftOut(path));
    if (!key || unfinished.has(textOfKey(key))) continue;
    // A partial with the inode of a receipt is published: its process ended before it removed the second name.
    const { ino } = await Deno.lstat(join(folder, `${base}.part`));
    if (await receipts.hasInode(ino)) continue;
    unfinished.set(textOfKey(key), join(folder, base));
    wanted.add(name).add(`${base}.part`);
    if (key.table !== null) wanted.add(`${base}.table`);
  }
  for (const name of names) {
    if (wanted.has(name) || name.endsWith(".aside")) continue;
    const path = join(folder, name);
    await Deno.remove(path, { recursive: true }).catch(leftOut(path));
  }
  return unfinished;
}

/** What the journal is about; null when it is too old or says nothing. */
async function readPartialKey(path: string, keep: number): Promise<PartialKey | null> {
  const { isFile, mtime } = await Deno.lstat(path);
  if (!isFile || Date.now() - (mtime?.getTime() ?? 0) > keep) return null;
  return parsePartialKey(await readJournalHeader(path));
}
