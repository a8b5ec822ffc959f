/**
 * Small files that hold secrets: mode 0600, in a folder that is made 0700, whole or not there at all.
 * No error text of this module contains what the file holds.
 *
 * @module
 */

import { openFile } from "./descriptors.ts";
import { dirname } from "node:path";
import { P2PError, reasonOf } from "../errors.ts";
import { randomToken } from "../async/random.ts";
import { readRegularText } from "./open_regular.ts";
import { syncFolder } from "./folder.ts";
import { linkOrReserve } from "./take_name.ts";
import { writeAll } from "./file_bytes.ts";

/** Mode of a private file. */
const FILE_MODE = 0o600;
/** Mode of the folders that private files are in. */
export const FOLDER_MODE = 0o700;
/** Readings of a file that is reserved but still empty, before it is taken for an empty one. */
const EMPTY_TRIES = 50;
/** Milliseconds between two of those readings. */
const EMPTY_DELAY = 10;

/**
 * The text of the file, or `null` when there is none.
 *
 * @throws {P2PError} `disk` when it cannot be read.
 */
export async function readPrivate(path: string): Promise<string | null> {
  try {
    let text = await readRegularText(path);
    // An empty file is a name that another process has reserved, where there are no hard links, and not yet filled.
    for (let tries = 0; text === "" && tries < EMPTY_TRIES; tries++) {
      await new Promise((resolve) => setTimeout(resolve, EMPTY_DELAY));
      text = await readRegularText(path);
    }
    return text;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return null;
    throw stateError("read", path, cause);
  }
}

/**
 * The JSON object or array in the file, or `null` when there is no file or another value in it.
 *
 * @throws {P2PError} `disk` when it cannot be read, or is no JSON.
 */
export async function readJson(path: string): Promise<object | null> {
  const text = await readPrivate(path);
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : null;
  } catch (cause) {
    throw new P2PError("disk", `Cannot read ${path}: ${reasonOf(cause)}; move the file away`, {
      cause,
    });
  }
}

/**
 * What `read` makes of the files of a folder, by their names; null is left out, and nothing is there of a folder that is
 * not there.
 *
 * @param onLeftOut hears why one cannot be read, or all of them.
 */
export async function readEach<T>(
  folder: string,
  read: (name: string) => Promise<T | null>,
  onLeftOut: (message: string) => void,
): Promise<T[]> {
  const all: T[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) {
      try {
        const one = await read(name);
        if (one !== null) all.push(one);
      } catch (error) {
        onLeftOut(reasonOf(error));
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      onLeftOut(stateError("read", folder, error).message);
    }
  }
  return all;
}

/**
 * The text of the file, which is made with the text of `make` when there is none. Of several processes
 * that do this at once, one makes the file and all get its text.
 *
 * @throws {P2PError} `disk`
 */
export async function loadOrCreatePrivate(path: string, make: () => string): Promise<string> {
  const found = await readPrivate(path);
  if (found !== null) return found;
  const made = make();
  const text = await writing(path, made, linkOrReserve) ? made : await readPrivate(path);
  if (text !== null) return text;
  throw new P2PError("disk", `Cannot read ${path}: it was deleted while this program started`);
}

/**
 * Writes the file, over the one that may be there: a reader sees the old text or the new one.
 *
 * @throws {P2PError} `disk`
 */
export async function replacePrivate(path: string, text: string): Promise<void> {
  await writing(path, text, async (temporary) => {
    await Deno.rename(temporary, path);
    return true;
  });
}

/** Puts `text` on the disk under a temporary name, lets `place` give it its own, then syncs the folder. */
async function writing(
  path: string,
  text: string,
  place: (temporary: string, path: string) => Promise<boolean>,
): Promise<boolean> {
  const folder = dirname(path);
  const temporary = `${path}.${randomToken()}.tmp`;
  try {
    await Deno.mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    try {
      await writeSynced(temporary, text);
      const placed = await place(temporary, path);
      await syncFolder(folder);
      return placed;
    } finally {
      await Deno.remove(temporary).catch(() => {}); // gone already after a rename
    }
  } catch (cause) {
    throw stateError("write", path, cause);
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  using file = await openFile(path, { write: true, createNew: true, mode: FILE_MODE });
  await writeAll(file, text);
  await file.sync();
}

/** A failure of the disk under the state of this user's programs; `doing` is read or write. */
export function stateError(doing: string, path: string, cause: unknown): P2PError {
  if (cause instanceof P2PError) return cause;
  return new P2PError(
    "disk",
    `Cannot ${doing} ${path}: ${reasonOf(cause)}; check its owner and mode, or choose --state`,
    { cause },
  );
}
