/** Files that are old enough for their times to vouch for their bytes; see lib/disk/file_age.ts. */

import { join } from "@std/path";
import { isYoung } from "../../lib/disk/file_age.ts";
import { eventually } from "./deadline.ts";

/** Milliseconds by which the clock of {@linkcode later} is ahead: every file that there is is old then. */
const AHEAD = 120_000;

/** The wall clock two minutes from now, for what takes a clock. */
export const later = () => realNow() + AHEAD;
const realNow = Date.now;

/** Sets `Date.now` of this process two minutes ahead until it is disposed of. */
export function minutesAhead(): Disposable {
  Date.now = later;
  return { [Symbol.dispose]: () => void (Date.now = realNow) };
}

/** Resolves when a file, or each file below a folder, is old by its own times. */
export async function grownOld(path: string): Promise<void> {
  const { isDirectory } = await Deno.lstat(path);
  if (isDirectory) {
    for await (const { name } of Deno.readDir(path)) await grownOld(join(path, name));
    return;
  }
  while (isYoung(await Deno.stat(path), realNow())) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Resolves at the beginning of a second, so that what is done at once has the same `ctime` as Deno tells it. */
export async function secondBegins(): Promise<void> {
  const isEarly = () => realNow() % 1000 < 100;
  await eventually(isEarly, "the beginning of a second");
}
