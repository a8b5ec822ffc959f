import { join, resolve } from "node:path";
import { P2PError, reasonOf } from "../errors.ts";
import { diskError } from "../disk/disk_error.ts";
import { FileTarget } from "./file_target.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { type Lock, tryLock } from "../disk/lock.ts";
import { pieceCountOf } from "../pieces/manifest.ts";
import { PartialItem, removeJournal } from "./partial_item.ts";
import { PieceJournal, readJournalHeader } from "../pieces/piece_journal.ts";
import { Quota } from "./quota.ts";
import { Receipts, RECEIPTS_FILE } from "./receipts.ts";
import type { Target } from "./target.ts";
import { TreeTarget } from "./tree_target.ts";

/** Folder of partials and journals below the inbox. */
export const PARTIAL_FOLDER = ".partial";
/** The lock in a folder of partials: whoever holds it receives there, or forgets what is there. */
export const LOCK_FILE = "lock";
/** How long a partial waits for its sender, milliseconds: a week. */
const KEEP_PARTIALS = 7 * 24 * 3600_000;
/** Bytes that stay free beside what is received. */
const RESERVE = 16 * 1024 * 1024;

/** What is offered: a later offer that agrees in all of it goes on with what is there of it. */
export interface PartialKey {
  /** The sender's id. */
  from: string;
  /** The safe name. */
  name: string;
  /** Bytes; null for a stream, which cannot be gone on with. */
  size: number | null;
  /** Bytes. */
  pieceSize: number;
  /** Bytes of the table of a tree; null for a file. */
  table: number | null;
}

interface InboxOptions {
  path: string;
  partials: string;
  lock: Lock;
  unfinished: Map<string, string>;
  mode: number;
  receipts: Receipts;
  foldsCase: boolean;
  quota: Quota | undefined;
}

/**
 * The folder where what arrives is kept: final names on top, partials in a private folder of this
 * identity, which a lock keeps for one process.
 */
export class Inbox implements Disposable {
  /** Absolute path. */
  readonly path: string;
  /** What was received lately. */
  readonly receipts: Receipts;
  readonly #options: InboxOptions;
  readonly #partials: string;
  readonly #mode: number;
  readonly #quota: Quota | undefined;
  /** Partials that wait to be gone on with: their paths without `.part`, by what they are a part of. */
  readonly #unfinished: Map<string, string>;

  private constructor(options: InboxOptions) {
    this.path = options.path;
    this.receipts = options.receipts;
    this.#options = options;
    this.#partials = options.partials;
    this.#mode = options.mode;
    this.#unfinished = options.unfinished;
    this.#quota = options.quota;
  }

  /**
   * Opens the inbox, making the folder when it is missing. Partials that a process with the same identity
   * left behind wait to be gone on with when their journal says what they are and is younger than
   * `keepPartials` milliseconds; the others are swept. The folder may hold `quota` bytes in all.
   *
   * @throws {P2PError} `disk` when a part of the path is a link or no folder, or another process has it.
   */
  static async open(
    path: string,
    ownId: string,
    { keepPartials = KEEP_PARTIALS, quota: limit }: {
      keepPartials?: number | undefined;
      quota?: number | undefined;
    } = {},
  ): Promise<Inbox> {
    const inbox = resolve(path);
    const parent = join(inbox, PARTIAL_FOLDER);
    const partials = join(parent, ownId);
    try {
      await Deno.mkdir(inbox, { recursive: true });
      await makePrivateFolder(parent);
      await makePrivateFolder(partials);
      const lock = await takeLock(partials);
      try {
        const mode = await publicMode(partials);
        const foldsCase = await foldsCaseIn(partials);
        const quota = limit === undefined ? undefined : await Quota.open(inbox, limit);
        const receipts = await Receipts.open(partials, inbox);
        try {
          const unfinished = await sweep(partials, { keep: keepPartials, receipts });
          const found = { unfinished, mode, receipts, foldsCase, quota };
          return new Inbox({ path: inbox, partials, lock, ...found });
        } catch (error) {
          receipts[Symbol.dispose]();
          throw error;
        }
      } catch (error) {
        lock[Symbol.dispose]();
        throw error;
      }
    } catch (error) {
      throw diskError("use the inbox", inbox, error);
    }
  }

  /**
   * Checks that an offer fits beside the `promised` bytes of other transfers, and starts a partial, or goes
   * on with one of the same sender, name, size and piece size.
   *
   * @throws {P2PError} `no-space`, `quota` or `disk`.
   */
  async begin(subject: PartialKey, promised = 0): Promise<PartialItem> {
    const partial = await this.#reopen(subject);
    try {
      await this.#expectRoom(missingOf(subject, partial), promised);
    } catch (error) {
      if (partial) await this.suspend(partial, subject);
      throw error;
    }
    return partial ?? await this.#create(subject);
  }

  /** Bytes that a stream may bring beside `promised` ones; undefined where there is no quota. */
  async roomForStream(promised: number): Promise<number | undefined> {
    return await this.#quota?.room(promised);
  }

  /** Keeps a partial to be gone on with when the same sender offers the same again. */
  async suspend(partial: PartialItem, subject: PartialKey): Promise<void> {
    if (subject.size === null) return await partial.discard();
    // Without a journal nobody can go on with it.
    if (!await partial.suspend()) return await partial.discard();
    const key = keyOf(subject);
    const older = this.#unfinished.get(key);
    this.#unfinished.set(key, partial.base);
    if (older !== undefined) await removePartial(older);
  }

  async #expectRoom(missing: number, promised: number): Promise<void> {
    // Loading it takes 8 ms, and who only sends does not need it.
    const { statfs } = await import("node:fs/promises");
    const { bavail, bsize } = await statfs(this.path);
    const free = bavail * bsize - RESERVE - promised;
    if (missing > free) {
      throw new P2PError(
        "no-space",
        `Cannot receive ${missing} bytes: ${Math.max(0, free)} are free at the receiver; ` +
          "make room there and send again",
      );
    }
    await this.#quota?.grant(missing, promised);
  }

  async #create(subject: PartialKey): Promise<PartialItem> {
    const path = join(this.#partials, `${crypto.randomUUID()}.part`);
    try {
      return this.#partial(subject, await this.#target(subject, path, "create"));
    } catch (error) {
      throw diskError("create", path, error);
    }
  }

  /** Goes on with a partial that an earlier offer left; null when there is none, or it is of no use. */
  async #reopen(subject: PartialKey): Promise<PartialItem | null> {
    const key = keyOf(subject);
    const base = this.#unfinished.get(key);
    if (base === undefined) return null;
    this.#unfinished.delete(key);
    try {
      const reopened = await PieceJournal.reopen(`${base}.journal`);
      if (reopened) {
        const { log, content: { pieces: known } } = reopened;
        try {
          const target = await this.#target(subject, `${base}.part`, "reopen");
          return this.#partial(subject, target, { log, known });
        } catch (error) {
          log[Symbol.dispose]();
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

  #target(subject: PartialKey, path: string, how: "create" | "reopen"): Promise<Target> {
    if (subject.table === null) return FileTarget[how](path, this.#mode);
    const { size, table: head } = subject;
    const { foldsCase } = this.#options;
    return TreeTarget[how]({ path, head, size: size ?? 0, mode: this.#mode, foldsCase });
  }

  #partial(
    subject: PartialKey,
    target: Target,
    reopened?: { log: PieceJournal; known: ReadonlyMap<number, Uint8Array> },
  ): PartialItem {
    const { size, pieceSize } = subject;
    return new PartialItem({
      target,
      inbox: this.path,
      pieceSize,
      subject: size === null
        ? null
        : { header: { ...subject }, pieces: pieceCountOf(size, pieceSize) },
      ...(reopened ? { reopened } : {}),
    });
  }

  /** Gives the lock back. */
  [Symbol.dispose](): void {
    this.receipts[Symbol.dispose]();
    this.#options.lock[Symbol.dispose]();
  }
}

/** Bytes that are still to come. */
function missingOf({ size, pieceSize }: PartialKey, partial: PartialItem | null): number {
  return Math.max(0, (size ?? 0) - (partial?.known.size ?? 0) * pieceSize);
}

/** Deletes the partial with this path but for `.part`. */
export async function removePartial(base: string): Promise<void> {
  await removeJournal(base);
  for (const ending of [".part", ".table"]) {
    await Deno.remove(`${base}${ending}`, { recursive: true }).catch(ignoreMissing);
  }
}

/** Makes a folder of mode 0700, or makes one that is there and is no link private; it has to be ours. */
async function makePrivateFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    const { isDirectory } = await Deno.lstat(path);
    if (!isDirectory) {
      throw new P2PError("disk", `Cannot use ${path}: it is not a folder; move it away`);
    }
    if (Deno.build.os !== "windows") await Deno.chmod(path, 0o700);
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

/** Deletes what nobody can go on with, and returns the paths without `.part` of the rest. */
async function sweep(
  folder: string,
  { keep, receipts }: { keep: number; receipts: Receipts },
): Promise<Map<string, string>> {
  const unfinished = new Map<string, string>();
  const names = new Set<string>();
  for await (const { name } of Deno.readDir(folder)) names.add(name);
  const wanted = new Set([LOCK_FILE, RECEIPTS_FILE]);
  for (const name of names) {
    const base = /^(.*)\.journal$/.exec(name)?.[1];
    if (base === undefined || !names.has(`${base}.part`)) continue;
    const subject = await readPartialKey(join(folder, name), keep);
    if (!subject || unfinished.has(keyOf(subject))) continue;
    // The end came between the name and the removal.
    const { ino } = await Deno.lstat(join(folder, `${base}.part`));
    if (await receipts.hasInode(ino)) continue;
    unfinished.set(keyOf(subject), join(folder, base));
    wanted.add(name).add(`${base}.part`);
    if (subject.table !== null) wanted.add(`${base}.table`);
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

/** What the header of a journal says that it is about; null when it does not. */
export function parsePartialKey(header: Record<string, unknown> | null): PartialKey | null {
  const { from, name, size, pieceSize, table = null } = header ?? {};
  if (typeof from !== "string" || typeof name !== "string") return null;
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(pieceSize)) return null;
  if (table !== null && !Number.isSafeInteger(table)) return null;
  return {
    from,
    name,
    size: size as number,
    pieceSize: pieceSize as number,
    table: table as number | null,
  };
}

function keyOf({ from, name, size, pieceSize, table }: PartialKey): string {
  return JSON.stringify([from, name, size, pieceSize, table]);
}

/** Whether names that differ in case only are one file in the folder. */
async function foldsCaseIn(folder: string): Promise<boolean> {
  try {
    return (await Deno.stat(join(folder, "LOCK"))).isFile;
  } catch {
    return false;
  }
}

/** The mode that this process gives new files: 0666 & ~umask, learnt without asking for the umask. */
async function publicMode(folder: string): Promise<number> {
  const path = join(folder, "mode");
  try {
    (await Deno.open(path, { write: true, createNew: true })).close();
    const { mode } = await Deno.stat(path);
    return (mode ?? 0o644) & 0o666;
  } finally {
    await Deno.remove(path).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw new Error(reasonOf(error));
    });
  }
}
