/**
 * Opening of files that somebody else may have put something else in the place of. To open a FIFO waits for whoever
 * writes to it, which no signal ends, and a device may never come to an end: hence a look before each opening.
 *
 * @module
 */

import { openFile, patiently } from "./descriptors.ts";
import { P2PError } from "../errors.ts";

/**
 * Opens a regular file for reading.
 *
 * @throws {P2PError} `disk` when something else is there; and what the system says.
 */
export async function openRegular(path: string): Promise<Deno.FsFile> {
  expectRegular(path, await Deno.stat(path));
  return expectOpened(path, await openFile(path));
}

/** As {@linkcode openRegular}, within the call: for small files, where a round through the event loop costs more. */
export function openRegularSync(path: string): Deno.FsFile {
  expectRegular(path, Deno.statSync(path));
  return Deno.openSync(path, { read: true });
}

/**
 * The text of a regular file.
 *
 * @throws {P2PError} `disk` when something else is there; and what the system says.
 */
export async function readRegularText(path: string): Promise<string> {
  expectRegular(path, await Deno.stat(path));
  return await patiently(() => Deno.readTextFile(path));
}

/** Checks what was opened: between the look and the opening it may have been exchanged, by a device for example. */
function expectOpened(path: string, file: Deno.FsFile): Deno.FsFile {
  try {
    expectRegular(path, file.statSync());
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

function expectRegular(path: string, { isFile, isFifo }: Deno.FileInfo): void {
  if (isFile) return;
  const what = isFifo ? "a pipe" : "no regular file";
  throw new P2PError("disk", `Cannot read ${path}: it is ${what}; put a regular file there`);
}
