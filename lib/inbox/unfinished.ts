import { join } from "node:path";
import { diskError } from "../disk/disk_error.ts";
import { tryLock } from "../disk/lock.ts";
import { P2PError } from "../errors.ts";
import { parsePartialKey, type PartialKey } from "./partial_key.ts";
import { PARTIAL_FOLDER, removePartial } from "./partials.ts";
import { LOCK_FILE } from "./private_folder.ts";
import { readJournal } from "../pieces/piece_journal.ts";

/** A transfer that was received in part and waits for its sender. */
export interface Unreceived extends PartialKey {
  id: string;
  /** Bytes that have been received. */
  bytes: number;
  /** Time at which its last bytes came, ISO 8601. */
  at: string;
  /** The partial's path without `.part`. */
  base: string;
  /** The private folder that the partial is in. */
  folder: string;
}

/**
 * The transfers that wait in an inbox, of all identities that receive there; oldest first.
 *
 * @param onLeftOut hears what cannot be read, and why.
 */
export async function listUnreceived(
  inbox: string,
  onLeftOut: (message: string) => void = () => {},
): Promise<Unreceived[]> {
  const found: Unreceived[] = [];
  const parent = join(inbox, PARTIAL_FOLDER);
  for (const owner of await namesIn(parent, onLeftOut)) {
    const folder = join(parent, owner);
    for (const name of await namesIn(folder, onLeftOut)) {
      const id = /^(.*)\.journal$/.exec(name)?.[1];
      const entry = id === undefined ? null : await read(folder, id, onLeftOut);
      if (entry) found.push(entry);
    }
  }
  return found.sort((a, b) => a.at < b.at ? -1 : 1);
}

/**
 * Deletes what was received of a transfer.
 *
 * @throws {P2PError} `disk` while a peer is running that may be going on with it.
 */
export async function forgetUnreceived({ folder, base, name }: Unreceived): Promise<void> {
  using lock = await tryLock(join(folder, LOCK_FILE));
  if (!lock) {
    throw new P2PError(
      "disk",
      `Cannot forget ${name}: the peer that receives there is running; stop it first`,
    );
  }
  await removePartial(base);
}

async function read(
  folder: string,
  id: string,
  onLeftOut: (message: string) => void,
): Promise<Unreceived | null> {
  const base = join(folder, id);
  try {
    const log = await readJournal(`${base}.journal`);
    const key = parsePartialKey(log?.header ?? null);
    if (!log || !key) return null;
    const { mtime } = await Deno.stat(`${base}.part`);
    const pieces = log.pieces.prefix.size + log.pieces.independent.size;
    const bytes = Math.min(pieces * key.pieceSize, key.size ?? Infinity);
    return { ...key, id, bytes, at: (mtime ?? new Date(0)).toISOString(), base, folder };
  } catch (error) {
    // Whoever receives it has finished it meanwhile.
    if (!(error instanceof Deno.errors.NotFound)) {
      onLeftOut(diskError("read", `${base}.journal`, error).message);
    }
    return null;
  }
}

async function namesIn(
  folder: string,
  onLeftOut: (message: string) => void,
): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) names.push(name);
  } catch (error) {
    const isNone = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory;
    if (!isNone) onLeftOut(diskError("read", folder, error).message);
  }
  return names;
}
