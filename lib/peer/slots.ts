import { join } from "node:path";
import { openFile } from "../disk/descriptors.ts";
import { ignoreMissing, isThere } from "../disk/folder.ts";
import { type Lock, tryLock } from "../disk/lock.ts";
import { stateError } from "../disk/private_file.ts";
import { P2PError, reasonOf } from "../errors.ts";
import { type Identity, loadOrCreateIdentity } from "../identity/keys.ts";

/** Running peers of one user at most: more are a sign that something starts them in a loop. */
const MAX_SLOTS = 1000;

/** An identity and the lock that keeps it for one long-running peer. */
export interface Slot extends Disposable {
  identity: Identity;
  number: number;
}

/** Hears why an identity is passed over. */
export type OnPassedOver = (message: string) => void;

/**
 * Takes the first identity of this user that no running peer holds: `peers/1/`, `peers/2/` ... so that
 * several peers on one machine are told apart, and each keeps its id over restarts. One whose files belong to another
 * user by now, as after a run with `sudo`, is passed over.
 *
 * @throws {P2PError} `disk` when the folder cannot be written, an identity is broken, or far too many are taken.
 */
export async function takeSlot(
  peersFolder: string,
  onPassedOver: OnPassedOver = () => {},
): Promise<Slot> {
  for (let number = 1; number <= MAX_SLOTS; number++) {
    const folder = join(peersFolder, `${number}`);
    const key = join(folder, "identity.key");
    let lock: Lock | null = null;
    try {
      await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
      lock = await tryLock(join(folder, "lock"), key);
      if (!lock) continue;
      await expectReadable(key);
      if (!lock.keepsOut) onPassedOver(lockless(folder));
    } catch (error) {
      lock?.[Symbol.dispose]();
      await expectWritable(peersFolder);
      onPassedOver(passedOver(folder, error));
      continue;
    }
    try {
      const identity = await loadOrCreateIdentity(key);
      return { identity, number, [Symbol.dispose]: () => lock[Symbol.dispose]() };
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }
  throw new P2PError("disk", `Cannot start: ${MAX_SLOTS} peers of this user are running`);
}

/** The identity of one-shot commands: that of the first usable slot, also while a running peer holds it. */
export async function firstIdentity(
  peersFolder: string,
  onPassedOver: OnPassedOver = () => {},
): Promise<Identity> {
  for (let number = 1;; number++) {
    const folder = join(peersFolder, `${number}`);
    try {
      return await loadOrCreateIdentity(join(folder, "identity.key"));
    } catch (error) {
      if (!isForbidden(error) || number === MAX_SLOTS || !await isThere(folder)) throw error;
      onPassedOver(passedOver(folder, error));
    }
  }
}

/** Throws when nothing can be made in the folder of all slots: the next one would not be better. */
async function expectWritable(path: string): Promise<void> {
  try {
    const probe = join(path, crypto.randomUUID());
    await Deno.mkdir(probe, { recursive: true, mode: 0o700 });
    await Deno.remove(probe);
  } catch (error) {
    throw stateError("write", path, error);
  }
}

/** Opens the file, if it is there. */
async function expectReadable(path: string): Promise<void> {
  try {
    (await openFile(path)).close();
  } catch (error) {
    ignoreMissing(error);
  }
}

/** Whether this user may not use what is there. */
function isForbidden(error: unknown): boolean {
  const { cause } = error as { cause?: unknown };
  return [error, cause].some((it) => it instanceof Deno.errors.PermissionDenied);
}

function lockless(folder: string): string {
  return `The disk of ${folder} has no locks: run no second peer with it at the same time, ` +
    "or choose --state on another disk";
}

function passedOver(folder: string, error: unknown): string {
  return `Cannot use the identity in ${folder}: ${reasonOf(error)}; ` +
    "going on with the next one: make that one yours again (`chown -R`) to be known by it";
}
