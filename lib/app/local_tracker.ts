import { join } from "node:path";
import { formatAddress } from "../address.ts";
import { type Lock, tryLock } from "../disk/lock.ts";
import { FOLDER_MODE, readPrivate, replacePrivate, stateError } from "../disk/private_file.ts";
import { isUnable } from "../disk/unable.ts";
import { P2PError, reasonOf } from "../errors.ts";
import { formatInvite, type Invite, parseInvite } from "../identity/invite.ts";

const FILE = "address.json";
const LOCK = "lock";

/**
 * Address of this user's tracker, now or when it ran last, where other programs of the user find it. Its invite may name
 * another one, for other machines.
 */
export interface LocalTracker {
  host: string;
  port: number;
  /** Null when it runs with `--insecure`. */
  invite: Invite | null;
}

/**
 * Notes where the tracker listens, unless that is noted already. The file is private: it holds the invite.
 *
 * @throws {P2PError} `disk`
 */
export async function announceTracker(
  folder: string,
  { host, port, invite }: LocalTracker,
): Promise<void> {
  const text = JSON.stringify({ host, port, invite: invite ? formatInvite(invite) : null });
  const path = join(folder, FILE);
  if (await readPrivate(path).catch(() => null) !== text) await replacePrivate(path, text);
}

/** The tracker of this user, or null when none has run yet. */
export async function findTracker(folder: string): Promise<LocalTracker | null> {
  const text = await readPrivate(join(folder, FILE));
  if (text === null) return null;
  try {
    const { host, port, invite } = JSON.parse(text);
    if (typeof host !== "string" || !Number.isSafeInteger(port)) return null;
    return { host, port, invite: typeof invite === "string" ? parseInvite(invite) : null };
  } catch {
    // A note for convenience; the tracker writes it anew when it starts.
    return null;
  }
}

/**
 * Takes a tracker's state folder for this process: of two trackers with the same one, the second would send the user's
 * other programs to itself, and each would undo what the other writes of the network and of who was removed.
 *
 * @param doing what the folder is for, as in "Cannot start".
 * @param notice hears that the disk of the folder has no locks, where nothing keeps a second tracker away.
 * @throws {P2PError} `disk` when a tracker runs with it, or the folder cannot be used.
 */
export async function holdTracker(
  folder: string,
  doing: string,
  notice: (message: string) => void,
): Promise<Lock> {
  let lock: Lock | null;
  let why = "its disk has no locks";
  try {
    await Deno.mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  } catch (error) {
    throw stateError("write", folder, error);
  }
  try {
    lock = await tryLock(join(folder, LOCK), join(folder, "identity.key"));
  } catch (error) {
    if (!isUnable(error)) throw stateError("use", join(folder, LOCK), error);
    why = reasonOf(error);
    lock = { keepsOut: false, [Symbol.dispose]() {} };
  }
  if (lock && !lock.keepsOut) {
    notice(
      `Cannot lock ${folder}: ${why}; ` +
        "do not run a second tracker with it: it would displace the first",
    );
  }
  if (lock) return lock;
  const known = await findTracker(folder);
  throw new P2PError(
    "disk",
    `Cannot ${doing}: a tracker is running already with the state folder ${folder}` +
      `${known ? `, at ${formatAddress(known)}` : ""}; use or stop that one, ` +
      "or name another folder with --state",
  );
}
