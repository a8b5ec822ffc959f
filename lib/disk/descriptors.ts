/**
 * What to do when the process may open no more files for the moment (EMFILE, ENFILE): others are closed soon, so it is
 * waited for, and fewer are opened at a time from then on. Nobody can ask Deno for the limit itself.
 *
 * @module
 */

import { isOutOfDescriptors } from "../errors.ts";

/** Files that are open at a time for one purpose at first, such as the syncs of a folder's files. */
const MANY = 64;
/** The same where the process may open few files. */
const FEW = 4;
/** Milliseconds between two tries. */
const PAUSE = 10;
/** Tries before it is given up: what is open stays open, as many connections may. */
const TRIES = 300;

let atOnce = MANY;

/** Files that may be open at a time for one purpose: fewer once the process had to wait for one. */
export function openAtOnce(): number {
  return atOnce;
}

/**
 * Does what opens a file, again and again for some seconds while the process may open no more; fewer are opened at once
 * from then on.
 */
export async function patiently<T>(open: () => T | Promise<T>): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await open();
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
      atOnce = Math.max(FEW, Math.floor(atOnce / 2));
      if (tries >= TRIES) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

/** As `Deno.open`, {@linkcode patiently}. */
export function openFile(
  path: string,
  options: Deno.OpenOptions = { read: true },
): Promise<Deno.FsFile> {
  return patiently(() => Deno.open(path, options));
}
