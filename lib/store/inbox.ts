import { statfs } from "node:fs/promises";
import { join, resolve } from "@std/path";
import { P2PError, reasonOf } from "../errors.ts";
import { diskError } from "./disk_error.ts";
import { PartialFile } from "./partial_file.ts";

/** Folder of partials and journals below the inbox. */
const PARTIAL_FOLDER = ".partial";
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

  private constructor(path: string, partials: string, lock: Deno.FsFile, mode: number) {
    this.path = path;
    this.#partials = partials;
    this.#lock = lock;
    this.#mode = mode;
  }

  /**
   * Opens the inbox, making the folder when it is missing, and sweeps the partials that a process with
   * the same identity left behind.
   *
   * @throws {P2PError} `disk` when a part of the path is a link or no folder, or another process has it.
   */
  static async open(path: string, ownId: string): Promise<Inbox> {
    const inbox = resolve(path);
    const parent = join(inbox, PARTIAL_FOLDER);
    const partials = join(parent, ownId);
    try {
      await Deno.mkdir(inbox, { recursive: true });
      await makePrivateFolder(parent);
      await makePrivateFolder(partials);
      const lock = await takeLock(partials);
      try {
        await sweep(partials);
        return new Inbox(inbox, partials, lock, await publicMode(partials));
      } catch (error) {
        lock.close();
        throw error;
      }
    } catch (error) {
      throw diskError("use the inbox", inbox, error);
    }
  }

  /**
   * Checks that `size` bytes fit beside the `promised` ones of other transfers, and starts a partial.
   *
   * @throws {P2PError} `no-space` or `disk`.
   */
  async begin(size: number | null, pieceSize: number, promised = 0): Promise<PartialFile> {
    const { bavail, bsize } = await statfs(this.path);
    const free = bavail * bsize - RESERVE - promised;
    if (size !== null && size > free) {
      throw new P2PError(
        "no-space",
        `Cannot receive ${size} bytes: ${Math.max(0, free)} are free at the receiver`,
      );
    }
    return await PartialFile.create({
      folder: this.#partials,
      inbox: this.path,
      mode: this.#mode,
      pieceSize,
    });
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

async function sweep(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (name !== "lock") await Deno.remove(join(folder, name), { recursive: true });
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
