import { join } from "node:path";
import { BestEffort } from "../disk/best_effort.ts";
import { isOutOfDescriptors, openFile } from "../disk/descriptors.ts";
import { diskError } from "../disk/disk_error.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { FreeNames } from "../disk/free_names.ts";
import { type Lock, tryLock } from "../disk/lock.ts";
import { linkOrReserve } from "../disk/take_name.ts";
import { isUnable } from "../disk/unable.ts";
import { P2PError } from "../errors.ts";
import { pieceCountOf } from "../pieces/manifest.ts";
import { PieceJournal, readJournalHeader } from "../pieces/piece_journal.ts";
import { FileTarget } from "./file_target.ts";
import { PartialItem, removeJournal } from "./partial_item.ts";
import { headerOf, parsePartialKey, type PartialKey, textOfKey } from "./partial_key.ts";
import { Receipts, RECEIPTS_FILE, TABLES_FOLDER } from "./receipts.ts";
import type { Target } from "./target.ts";
import { TreeTarget } from "./tree_target.ts";

/** Folder of partials and journals below the inbox. */
export const PARTIAL_FOLDER = ".partial";
/** The lock in a folder of partials: whoever holds it receives there, or forgets what is there. */
export const LOCK_FILE = "lock";
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
  readonly receipts: Receipts;
  readonly #inbox: string;
  readonly #folder: string;
  readonly #lock: Lock;
  readonly #files: DiskTraits;
  /** The names in the inbox. */
  readonly #names: FreeNames;
  /** Partials that wait to be gone on with: their paths without `.part`, by the text of their key. */
  readonly #unfinished: Map<string, string>;

  private constructor(options: {
    inbox: string;
    folder: string;
    lock: Lock;
    files: DiskTraits;
    receipts: Receipts;
    unfinished: Map<string, string>;
  }) {
    this.#inbox = options.inbox;
    this.#folder = options.folder;
    this.#lock = options.lock;
    this.#files = options.files;
    this.#names = new FreeNames(options.inbox);
    this.receipts = options.receipts;
    this.#unfinished = options.unfinished;
  }

  /**
   * Opens the folder of `ownId` below an inbox, which has to be there. Partials that a process left behind wait
   * when their journal says what they are and is younger than `keep` milliseconds; the others are swept.
   *
   * @throws {P2PError} `disk` when a part of the path is a link or no folder, or another process has it. What the disk
   * cannot do goes to `notice`.
   */
  static async open(
    inbox: string,
    ownId: string,
    { keep, notice }: { keep: number; notice?: (text: string) => void },
  ): Promise<Partials> {
    const parent = join(inbox, PARTIAL_FOLDER);
    const folder = join(parent, ownId);
    const disk = new BestEffort(inbox, notice);
    await makePrivateFolder(parent, disk);
    await makePrivateFolder(folder, disk);
    await using stack = new AsyncDisposableStack();
    const lock = stack.use(await takeLock(folder));
    const files = await traitsOf(folder, disk);
    const receipts = stack.use(await Receipts.open(folder, inbox, files));
    const unfinished = await sweep(folder, { keep, receipts });
    stack.move();
    return new Partials({ inbox, folder, lock, files, receipts, unfinished });
  }

  /**
   * Makes a partial.
   *
   * @throws {P2PError} `no-space` or `disk`.
   */
  async create(key: PartialKey, room: RoomOf): Promise<PartialItem> {
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
  async reopen(key: PartialKey, room: RoomOf): Promise<PartialItem | null> {
    const text = textOfKey(key);
    const base = this.#unfinished.get(text);
    if (base === undefined) return null;
    this.#unfinished.delete(text);
    try {
      const reopened = await PieceJournal.reopen(`${base}.journal`);
      if (reopened) {
        const { journal, content: { pieces: known } } = reopened;
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
    { size, table: head }: PartialKey,
    path: string,
    how: "create" | "reopen",
    room: RoomOf,
  ): Promise<Target> {
    if (head === null) return FileTarget[how](path, this.#files);
    const onPlanned = (entries: number) => room.grow({ entries });
    return TreeTarget[how]({ path, head, size: size ?? 0, ...this.#files, onPlanned });
  }

  #partial({ key, room, target, reopened }: {
    key: PartialKey;
    room: RoomOf;
    target: Target;
    reopened?: { journal: PieceJournal; known: ReadonlyMap<number, Uint8Array> };
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
    this.#lock[Symbol.dispose]();
  }
}

/** Deletes the partial whose path without `.part` is `base`. */
export async function removePartial(base: string): Promise<void> {
  await removeJournal(base);
  for (const ending of [".part", ".table"]) {
    await Deno.remove(`${base}${ending}`, { recursive: true }).catch(ignoreMissing);
  }
}

/** Makes a folder of mode 0700, or makes one that is there and is no link private; it has to be ours. */
async function makePrivateFolder(path: string, disk: BestEffort): Promise<void> {
  try {
    await Deno.mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    const { isDirectory } = await Deno.lstat(path);
    if (!isDirectory) {
      throw new P2PError("disk", `Cannot use ${path}: it is not a folder; move it away`);
    }
    try {
      if (Deno.build.os !== "windows") await Deno.chmod(path, 0o700);
    } catch (error) {
      // Somebody else's folder is told from a disk without modes by a folder that is certainly ours.
      if (!isUnable(error) || await hasModes(path)) throw error;
      disk.tellOfModes();
    }
  }
}

/** Whether the modes of what this process makes in the folder can be set. */
async function hasModes(folder: string): Promise<boolean> {
  const path = await Deno.makeTempDir({ dir: folder, prefix: "mode-" });
  try {
    await Deno.chmod(path, 0o700);
    return true;
  } catch {
    return false;
  } finally {
    await Deno.remove(path).catch(ignoreMissing);
  }
}

async function takeLock(folder: string): Promise<Lock> {
  const lock = await tryLock(join(folder, LOCK_FILE));
  if (lock) return lock;
  throw new P2PError(
    "disk",
    `Cannot use ${folder}: another peer with the same identity is receiving there; stop it first`,
  );
}

/**
 * Deletes from the folder all but the lock, the receipts and the partials that a later offer can go on with; resolves
 * with the paths of those, without `.part`, by the text of their key.
 */
async function sweep(
  folder: string,
  { keep, receipts }: { keep: number; receipts: Receipts },
): Promise<Map<string, string>> {
  const unfinished = new Map<string, string>();
  const names = new Set<string>();
  for await (const { name } of Deno.readDir(folder)) names.add(name);
  const wanted = new Set([LOCK_FILE, RECEIPTS_FILE, TABLES_FOLDER]);
  for (const name of names) {
    const base = /^(.*)\.journal$/.exec(name)?.[1];
    if (base === undefined || !names.has(`${base}.part`)) continue;
    const key = await readPartialKey(join(folder, name), keep);
    if (!key || unfinished.has(textOfKey(key))) continue;
    // A partial with the inode of a receipt is published: its process ended before it removed the second name.
    const { ino } = await Deno.lstat(join(folder, `${base}.part`));
    if (await receipts.hasInode(ino)) continue;
    unfinished.set(textOfKey(key), join(folder, base));
    wanted.add(name).add(`${base}.part`);
    if (key.table !== null) wanted.add(`${base}.table`);
  }
  for (const name of names) {
    if (!wanted.has(name)) await Deno.remove(join(folder, name), { recursive: true });
  }
  return unfinished;
}

/** What the journal is about; null when it is too old or says nothing. */
async function readPartialKey(path: string, keep: number): Promise<PartialKey | null> {
  const { isFile, mtime } = await Deno.lstat(path);
  if (!isFile || Date.now() - (mtime?.getTime() ?? 0) > keep) return null;
  return parsePartialKey(await readJournalHeader(path));
}

/** What has to be known of a disk before something is received there. */
interface DiskTraits {
  /** The mode that this process gives new files: 0666 & ~umask. */
  mode: number;
  /** Whether names that differ in case only are one file here. */
  foldsCase: boolean;
  /** Whether a file keeps its inode when it gets another name: not on sshfs. */
  keepsInodes: boolean;
  disk: BestEffort;
}

/** Learns the traits from a file of our own, which is deleted again; nobody has to be asked for the umask. */
async function traitsOf(folder: string, disk: BestEffort): Promise<DiskTraits> {
  const [path, moved] = [join(folder, "probe"), join(folder, "probe.moved")];
  try {
    using file = await openFile(path, { write: true, createNew: true });
    const { mode } = await Deno.stat(path);
    const foldsCase = await isThere(join(folder, "PROBE"));
    await linkOrReserve(path, moved);
    const [ours, there] = [await file.stat(), await Deno.lstat(moved)];
    return {
      mode: (mode ?? 0o644) & 0o666,
      foldsCase,
      keepsInodes: ours.ino === there.ino && ours.dev === there.dev,
      disk,
    };
  } finally {
    for (const name of [path, moved]) await Deno.remove(name).catch(ignoreMissing);
  }
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
