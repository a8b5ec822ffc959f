/**
 * Advisory locks that hold between processes: each is a file that nothing is written to, which stays when the lock is
 * given back. The operating system gives back what a killed process held.
 *
 * @module
 */

import { openFile } from "./descriptors.ts";
import { isThere } from "./folder.ts";
import { P2PError } from "../errors.ts";
import { isUnable, isUnwritable } from "./unable.ts";

/** A lock that this process holds until it is disposed of. */
export interface Lock extends Disposable {
  /** Whether it keeps others out: not on a disk that has no locks, as some network mounts. */
  readonly keepsOut: boolean;
}

/**
 * Takes the lock at `path`, whose folder has to be there; null while another holder has it, in this process or
 * another. On a disk that has no locks everybody gets it, and has to be told.
 *
 * @param instead a file that is locked where the disk takes nothing new, being read-only or full, and has no lock yet.
 * @throws {P2PError} `disk` when something else than a regular file is there: to open a FIFO would wait for ever, and
 * a link leads out of the folder.
 */
export async function tryLock(path: string, instead?: string): Promise<Lock | null> {
  return await tryToHold(await openLock(path).catch((error) => openAnyway(error, path, instead)));
}

/** Opens what is there to be locked, where {@linkcode openLock} failed with `error`. */
async function openAnyway(
  error: unknown,
  path: string,
  instead: string | undefined,
): Promise<Deno.FsFile> {
  if (instead === undefined || !isUnwritable(error)) throw error;
  // Whoever has started while the disk was writable holds the lock itself.
  const held = await isThere(path) ? path : instead;
  return await openFile(held).catch(() => Promise.reject(error));
}

async function tryToHold(file: Deno.FsFile): Promise<Lock | null> {
  try {
    if (await file.tryLock(true)) return { keepsOut: true, [Symbol.dispose]: () => giveBack(file) };
  } catch (error) {
    if (isUnable(error)) return { keepsOut: false, [Symbol.dispose]: () => file.close() };
    file.close();
    throw error;
  }
  file.close();
  return null;
}

/**
 * Takes the lock at `path`, and waits for it: for what is held for some milliseconds. On a file system that has no
 * locks, as some network mounts, there is nothing to wait for.
 *
 * @throws {P2PError} `disk`, as {@linkcode tryLock}.
 */
export async function lock(path: string): Promise<Lock> {
  const file = await openLock(path);
  const keepsOut = await file.lock(true).then(() => true, () => false);
  return { keepsOut, [Symbol.dispose]: () => keepsOut ? giveBack(file) : file.close() };
}

/** Unlocks, and does not leave that to the close: a child that is being forked has the file open too for a moment. */
function giveBack(file: Deno.FsFile): void {
  try {
    file.unlockSync();
  } finally {
    file.close();
  }
}

async function openLock(path: string): Promise<Deno.FsFile> {
  const info = await Deno.lstat(path).catch(() => null);
  if (info && !info.isFile) {
    throw new P2PError("disk", `Cannot use ${path}: it is not a regular file; remove it`);
  }
  return await openFile(path, { write: true, create: true, mode: 0o600 });
}
