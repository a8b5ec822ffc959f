import { statfs } from "node:fs/promises";
import { join, resolve } from "@std/path";
import { P2PError, reasonOf } from "../errors.ts";
import { diskError } from "./disk_error.ts";
import { type JournalSubject, parseJournal } from "./journal.ts";
import { PartialFile, type PartialOptions } from "./partial_file.ts";
import { Quota } from "./quota.ts";

/** Folder of partials and journals below the inbox. */
const PARTIAL_FOLDER = ".partial";
/** How long a partial waits for its sender, milliseconds: a week. */
const KEEP_PARTIALS = 7 * 24 * 3600_000;
/** Bytes that stay free beside what is received. */
const RESERVE = 16 * 1024 * 1024;

/**
 * The folder where what arrives is kept: final names on top, partials in a private folder of this
 * identity, which a lock keeps for one process.
 */
export class Inbox implements Disposable {
  /** Absolute path. */
  readonly path: string;
  readonly #partials: string;
  readonly #lock: Deno.FsFile;
  readonly #mode: number;
  readonly #quota: Quota | undefined;
  /** Partials that wait to be gone on with: their paths without `.part`, by what they are a part of. */
  readonly #unfinished: Map<string, string>;

  private constructor(
    path: string,
    partials: string,
    lock: Deno.FsFile,
    { mode, unfinished, quota }: {
      mode: number;
      unfinished: Map<string, string>;
      quota: Quota | undefined;
    },
  ) {
    this.path = path;
    this.#partials = partials;
    this.#lock = lock;
    this.#mode = mode;
    this.#unfinished = unfinished;
    this.#quota = quota;
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
      keepPartials?: number;
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
        const unfinished = await sweep(partials, keepPartials);
        const mode = await publicMode(partials);
        const quota = limit === undefined ? undefined : await Quota.open(inbox, limit);
        return new Inbox(inbox, partials, lock, { mode, unfinished, quota });
      } catch (error) {
        lock.close();
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
  async begin(
    { size, ...offer }: Omit<JournalSubject, "size"> & { size: number | null },
    promised = 0,
  ): Promise<PartialFile> {
    const subject = size === null ? null : { ...offer, size };
    const options = {
      folder: this.#partials,
      inbox: this.path,
      mode: this.#mode,
      pieceSize: offer.pieceSize,
      subject,
    };
    const partial = await this.#reopen(options);
    const missing = (size ?? 0) - (partial?.known.size ?? 0) * offer.pieceSize;
    try {
      await this.#expectRoom(missing, promised);
    } catch (error) {
      if (partial) await this.suspend(partial, subject);
      throw error;
    }
    return partial ?? await PartialFile.create(options);
  }

  /** Bytes that a stream may bring beside `promised` ones; undefined where there is no quota. */
  async roomForStream(promised: number): Promise<number | undefined> {
    return await this.#quota?.room(promised);
  }

  async #expectRoom(missing: number, promised: number): Promise<void> {
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

  /** Keeps a partial to be gone on with when the same sender offers the same again. */
  async suspend(partial: PartialFile, subject: JournalSubject | null): Promise<void> {
    if (!subject) return await partial.discard();
    await partial.suspend();
    // On a full disk there may have been no room for its journal.
    if (!partial.isJournalled) return await partial.discard();
    const key = keyOf(subject);
    const older = this.#unfinished.get(key);
    this.#unfinished.set(key, partial.base);
    if (older !== undefined) await removePartial(older);
  }

  async #reopen(options: PartialOptions): Promise<PartialFile | null> {
    if (!options.subject) return null;
    const key = keyOf(options.subject);
    const base = this.#unfinished.get(key);
    if (base === undefined) return null;
    this.#unfinished.delete(key);
    const partial = await PartialFile.reopen(options, base);
    if (!partial) await removePartial(base);
    return partial;
  }

  /** Gives the lock back. */
  [Symbol.dispose](): void {
    this.#lock.close();
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

async function takeLock(folder: string): Promise<Deno.FsFile> {
  const path = join(folder, "lock");
  const info = await Deno.lstat(path).catch(() => null);
  if (info && !info.isFile) {
    throw new P2PError("disk", `Cannot use ${path}: it is not a regular file; remove it`);
  }
  const file = await Deno.open(path, { write: true, create: true, mode: 0o600 });
  if (await file.tryLock(true)) return file;
  file.close();
  throw new P2PError(
    "disk",
    `Cannot use ${folder}: another peer with the same identity is receiving there; stop it first`,
  );
}

/** Deletes what nobody can go on with, and returns the paths without `.part` of the rest. */
async function sweep(folder: string, keep: number): Promise<Map<string, string>> {
  const unfinished = new Map<string, string>();
  const names = new Set<string>();
  for await (const { name } of Deno.readDir(folder)) names.add(name);
  const wanted = new Set(["lock"]);
  for (const name of names) {
    const base = /^(.*)\.journal$/.exec(name)?.[1];
    if (base === undefined || !names.has(`${base}.part`)) continue;
    const subject = await readSubject(join(folder, name), keep);
    if (!subject || unfinished.has(keyOf(subject))) continue;
    unfinished.set(keyOf(subject), join(folder, base));
    wanted.add(name).add(`${base}.part`);
  }
  for (const name of names) {
    if (!wanted.has(name)) await Deno.remove(join(folder, name), { recursive: true });
  }
  return unfinished;
}

/** What the journal is about; null when it is too old or says nothing. */
async function readSubject(path: string, keep: number): Promise<JournalSubject | null> {
  const { isFile, mtime } = await Deno.lstat(path);
  if (!isFile || Date.now() - (mtime?.getTime() ?? 0) > keep) return null;
  return parseJournal(await Deno.readTextFile(path))?.subject ?? null;
}

async function removePartial(base: string): Promise<void> {
  for (const end of [".journal", ".part"]) {
    await Deno.remove(`${base}${end}`).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

function keyOf({ from, name, size, pieceSize }: JournalSubject): string {
  return JSON.stringify([from, name, size, pieceSize]);
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
