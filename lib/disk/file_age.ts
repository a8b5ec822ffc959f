import { timeOf } from "./file_time.ts";

/**
 * Milliseconds that a file must have been left alone before size and times can vouch for its bytes, Git's "racy"
 * rule. Within one tick of the clock that stamps a file it can be written twice and look the same: a tick is 4 ms
 * of a kernel's coarse clock, a second of `ctime` as Deno tells it, and two seconds on FAT. A page of memory that a
 * program has mapped is stamped at its first change, and not again before the kernel has written it back, which Linux
 * does after 35 s (`vm.dirty_expire_centisecs` and one round of `vm.dirty_writeback_centisecs`).
 */
const SETTLED_AFTER = 60_000;

/**
 * Numbers by which `statfs` of Linux tells the file systems that stamp each change, with the clock of this machine, and
 * with a time that nobody can put back: ext4, xfs, btrfs, f2fs, zfs, bcachefs, overlayfs. Not FAT, exFAT or FUSE, which
 * may have no such time; nor NFS and CIFS, whose clock is another's, and which remember what it said; nor tmpfs, which
 * does not stamp what is written through mapped memory.
 */
const STAMPING = new Set([
  0xef53,
  0x58465342,
  0x9123683e,
  0xf2f52010,
  0x2fc12fc1,
  0xca451a4e,
  0x794c7630,
]);

/** The two times of a file that a write changes; the second one cannot be put back. */
export type FileTimes = Pick<Deno.FileInfo, "mtime" | "ctime">;

/** Options of what is opened to be sent. */
export interface AgeOptions {
  /** Milliseconds since 1970 by the wall clock, the one that files are stamped with. */
  now?: (() => number) | undefined;
}

/**
 * Whether a later write could leave both times as they are: what is remembered of the bytes that are read from now
 * on has to be compared with them before it is believed. True also of a time that is still to come, as after a jump of the clock, and of a file
 * system that does not tell both.
 *
 * @param now milliseconds since 1970, taken before the times were.
 */
export function isYoung({ mtime, ctime }: FileTimes, now: number): boolean {
  const newest = Math.max(timeOf(mtime) ?? Infinity, timeOf(ctime) ?? Infinity);
  return now - newest < SETTLED_AFTER;
}

/**
 * What changes when a file does: its size, its times in milliseconds, and which file of which file system it is.
 * The time of the last change is the one that `touch` cannot put back.
 */
export function stateOf({ size, mtime, ctime, ino, dev }: Deno.FileInfo): (number | null)[] {
  return [size, timeOf(mtime), timeOf(ctime), ino, dev];
}

/**
 * Whether the file system at a path stamps all changes of a file, so that a state that is the same after a while means
 * the same bytes. Where nobody knows, as outside of Linux, the times are believed.
 */
export async function stampsChanges(path: string): Promise<boolean> {
  if (Deno.build.os !== "linux") return true;
  try {
    // Loading it takes longer than to hash what most people send, so that it is asked for late.
    const { statfs } = await import("node:fs/promises");
    return STAMPING.has((await statfs(path)).type);
  } catch {
    return false;
  }
}
