import { join } from "node:path";
import { type Lock, tryLock } from "../disk/lock.ts";
import { stateError } from "../disk/private_file.ts";
import { P2PError } from "../errors.ts";
import { type Identity, loadOrCreateIdentity } from "../identity/keys.ts";

/** Running peers of one user at most: more are a sign that something starts them in a loop. */
const MAX_SLOTS = 1000;

/** An identity and the lock that keeps it for one long-running peer. */
export interface Slot extends Disposable {
  identity: Identity;
  number: number;
}

/**
 * Takes the first identity of this user that no running peer holds: `peers/1/`, `peers/2/` ... so that
 * several peers on one machine are told apart, and each keeps its id over restarts.
 *
 * @throws {P2PError} `disk` when a lock or an identity cannot be used, or far too many are taken.
 */
export async function takeSlot(peersFolder: string): Promise<Slot> {
  for (let number = 1; number <= MAX_SLOTS; number++) {
    const folder = join(peersFolder, `${number}`);
    const lock = await lockIn(folder);
    if (!lock) continue;
    try {
      const identity = await loadOrCreateIdentity(join(folder, "identity.key"));
      return { identity, number, [Symbol.dispose]: () => lock[Symbol.dispose]() };
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }
  throw new P2PError("disk", `Cannot start: ${MAX_SLOTS} peers of this user are running`);
}

/** Takes the lock of a slot's folder; null while another peer has it. */
async function lockIn(folder: string): Promise<Lock | null> {
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    return await tryLock(join(folder, "lock"));
  } catch (error) {
    throw stateError("write", folder, error);
  }
}

/** The identity of one-shot commands: that of the first slot, also while a running peer holds it. */
export async function firstIdentity(peersFolder: string): Promise<Identity> {
  return await loadOrCreateIdentity(join(peersFolder, "1", "identity.key"));
}
