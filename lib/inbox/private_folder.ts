/**
 * The private folder of an identity below an inbox, where others may have put something in its place: making it, telling
 * whether it is still what it was, and what the disk under it is like.
 *
 * @module
 */

import { dirname, join } from "node:path";
import type { BestEffort } from "../disk/best_effort.ts";
import { openFile } from "../disk/descriptors.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { type Lock, tryLock } from "../disk/lock.ts";
import { type NameRules, nameRulesOf } from "../disk/name_rules.ts";
import { linkOrReserve } from "../disk/take_name.ts";
import { isUnable } from "../disk/unable.ts";
import { isOutOfDescriptors, P2PError, reasonOf } from "../errors.ts";

/** The lock in a folder of partials: whoever holds it receives there, or forgets what is there. */
export const LOCK_FILE = "lock";

/** Makes the inbox where it is missing, never writable for everybody. */
export async function makeInboxFolder(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true, mode: 0o775 });
}

/** Rounds in which what is not ours is set aside: one for each of the two folders, and one that finds nothing. */
const ROUNDS = 3;

/** Who hears of what is not as it should be: a person, and what is done where the disk can. */
export interface Heard {
  notice: (message: string) => void;
  disk: BestEffort;
}

/**
 * Makes the private folder, and the one around it, of mode 0700, or makes those that are there so; what is not ours is
 * set aside.
 *
 * @returns the mode that this process gives new files.
 */
export async function makePrivateFolders(folder: string, heard: Heard): Promise<number> {
  const paths = [dirname(folder), folder];
  for (let round = 1;; round++) {
    for (const path of paths) await makePrivateFolder(path, heard);
    const file = await probe(folder).catch((error) => {
      if (error instanceof Deno.errors.PermissionDenied && round < ROUNDS) return null;
      throw error;
    });
    const foreign = await firstForeign(paths, file?.uid);
    if (file && (foreign === undefined || round === ROUNDS)) return (file.mode ?? 0o644) & 0o666;
    await setAside(foreign ?? dirname(folder), "it belongs to another user", heard.notice);
  }
}

/** Whether the modes of what this process makes in the folder can be set; also true where it can make nothing. */
async function hasModes(folder: string): Promise<boolean> {
  const path = await Deno.makeTempDir({ dir: folder, prefix: "mode-" }).catch(() => null);
  if (path === null) return true;
  try {
    await Deno.chmod(path, 0o700);
    return true;
  } catch {
    return false;
  } finally {
    await Deno.remove(path).catch(ignoreMissing);
  }
}

/** Makes a folder of mode 0700, or makes one that is there private; what is no folder is set aside. */
async function makePrivateFolder(path: string, { notice, disk }: Heard): Promise<void> {
  try {
    return await Deno.mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  const { isDirectory, mode } = await Deno.lstat(path);
  if (!isDirectory) {
    await setAside(path, "it is not a folder", notice);
    return await Deno.mkdir(path, { mode: 0o700 });
  }
  if (mode === null || (mode & 0o777) === 0o700) return;
  try {
    await Deno.chmod(path, 0o700);
  } catch (error) {
    // Whose a folder is shows when it is used. Somebody else's is told from a disk without modes by one that is ours.
    if (isUnable(error) && !await hasModes(path)) disk.tellOfModes();
  }
}

/** The first of the paths whose owner is another than that of a file which this process has made. */
async function firstForeign(
  paths: readonly string[],
  own: number | null | undefined,
): Promise<string | undefined> {
  if (own === undefined || own === null) return undefined;
  for (const path of paths) {
    if ((await Deno.lstat(path)).uid !== own) return path;
  }
  return undefined;
}

/** What a file is like that this process makes: its mode is 0666 & ~umask, and its owner who is running. */
async function probe(folder: string): Promise<Deno.FileInfo> {
  const path = join(folder, crypto.randomUUID());
  (await openFile(path, { write: true, createNew: true })).close();
  try {
    return await Deno.lstat(path);
  } finally {
    await Deno.remove(path).catch(ignoreMissing);
  }
}

/** Gives what is in the way another name, under which its owner finds it. */
async function setAside(
  path: string,
  why: string,
  notice: (message: string) => void,
): Promise<void> {
  const aside = `${path}.${crypto.randomUUID().slice(0, 8)}.aside`;
  try {
    await Deno.rename(path, aside);
  } catch (cause) {
    const text = `Cannot use ${path}: ${why}, and it cannot be moved away (${reasonOf(cause)}); ` +
      "remove it, or choose --received";
    throw new P2PError("disk", text, { cause });
  }
  notice(`Cannot use ${path}: ${why}; it is called ${aside} now, and made anew`);
}

/** Removes what is in the way in the private folder, where nobody has anything to find. */
export async function clearAway(
  path: string,
  why: string,
  notice: (message: string) => void,
): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
    notice(`Cannot use ${path}: ${why}; it is made anew`);
  } catch {
    await setAside(path, why, notice);
  }
}

/**
 * What a private folder is recognised by: which it is, whose, and that its owner may use it. A disk that does not keep
 * inodes may give the same folder another one.
 */
export async function stampOf(folder: string, { keepsInodes }: DiskTraits): Promise<string> {
  const { isDirectory, dev, ino, uid, mode } = await Deno.lstat(folder);
  await Deno.lstat(join(folder, LOCK_FILE));
  return `${isDirectory} ${dev} ${keepsInodes ? ino : ""} ${uid} ${(mode ?? 0) & 0o700}`;
}

/** Takes the lock of a private folder. */
export async function takeLock(folder: string, { notice, disk }: Heard): Promise<Lock> {
  const path = join(folder, LOCK_FILE);
  let lock: Lock | null;
  try {
    lock = await tryLock(path);
  } catch (error) {
    if (isOutOfDescriptors(error)) throw error;
    await clearAway(path, "it cannot be opened as a file of this user", notice);
    lock = await tryLock(path);
  }
  if (lock && !lock.keepsOut) disk.tellOfLocks();
  if (lock) return lock;
  throw new P2PError(
    "disk",
    `Cannot use ${folder}: another peer with the same identity is receiving there; ` +
      "stop it first, or give this one a state folder of its own with --state DIR",
  );
}

/** What has to be known of a disk before something is received there. */
export interface DiskTraits extends NameRules {
  /** The mode that this process gives new files: 0666 & ~umask. */
  mode: number;
  /** Whether a file keeps its inode when it gets another name: not on sshfs. */
  keepsInodes: boolean;
  disk: BestEffort;
}

/** Learns the traits from files of our own, which are deleted again. */
export async function traitsOf(
  folder: string,
  { mode, disk }: { mode: number; disk: BestEffort },
): Promise<DiskTraits> {
  const rules = await nameRulesOf(folder, LOCK_FILE);
  const [path, moved] = [join(folder, "probe"), join(folder, "probe.moved")];
  try {
    using file = await openFile(path, { write: true, createNew: true });
    await linkOrReserve(path, moved);
    const [ours, there] = [await file.stat(), await Deno.lstat(moved)];
    return { ...rules, mode, keepsInodes: ours.ino === there.ino && ours.dev === there.dev, disk };
  } finally {
    for (const name of [path, moved]) await Deno.remove(name).catch(ignoreMissing);
  }
}
