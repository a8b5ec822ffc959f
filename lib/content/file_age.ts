import { timeOf } from "../disk/file_time.ts";

/**
 * Milliseconds that a file must have been left alone before size and times can vouch for its bytes, Git's "racy"
 * rule. Within one tick of the clock that stamps a file it can be written twice and look the same: a tick is 4 ms
 * of a kernel's coarse clock, a second of `ctime` as Deno tells it, and two seconds on FAT.
 */
const SETTLED_AFTER = 2_000;

/** The two times of a file that a write changes; the second one cannot be put back. */
export type FileTimes = Pick<Deno.FileInfo, "mtime" | "ctime">;

/** Options of what is opened to be sent. */
export interface AgeOptions {
  /** Milliseconds since 1970 by the wall clock, the one that files are stamped with. */
  now?: (() => number) | undefined;
}

/**
 * Whether a later write could leave both times as they are, so that nothing may be remembered of the bytes that
 * are read from now on. True also of a time that is still to come, as after a jump of the clock, and of a file
 * system that does not tell both.
 *
 * @param now milliseconds since 1970, taken before the times were.
 */
export function isYoung({ mtime, ctime }: FileTimes, now: number): boolean {
  const newest = Math.max(timeOf(mtime) ?? Infinity, timeOf(ctime) ?? Infinity);
  return now - newest < SETTLED_AFTER;
}
