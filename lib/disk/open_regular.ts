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
  if (!isFile) throw notRegular(path, isFifo ? "a pipe" : undefined);
}

/** The error for something that has taken the place of a file. */
export function notRegular(path: string, what = "no regular file"): P2PError {
  return new P2PError("disk", `Cannot read ${path}: it is ${what}; put a regular file there`);
}
