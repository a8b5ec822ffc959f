import { join, resolve } from "node:path";
import { P2PError, reasonOf } from "../errors.ts";

/** What `--state` says where a tracker is to keep nothing. */
export const IN_MEMORY = ":memory:";

/** Folders of what the programs of this user must not lose. */
export interface StateFolders {
  /** Keys, network and last address of the tracker. */
  tracker: string;
  /** Identities, the network that was joined, names and history of this user's peers. */
  peers: string;
}

/**
 * The folders below `--state`, by default below the platform's per-user state folder: the XDG Base
 * Directory Specification on Linux, `Application Support` on macOS, `%LOCALAPPDATA%` on Windows.
 *
 * @throws {P2PError} `usage` when there is neither.
 */
export function stateFolders(
  flag: string | undefined,
  env: (name: string) => string | undefined,
  os: typeof Deno.build.os = Deno.build.os,
): StateFolders {
  if (flag === IN_MEMORY) {
    throw new P2PError(
      "usage",
      "Cannot use --state :memory: here: only `tracker run` can do without a state folder; name one",
    );
  }
  const root = flag === undefined ? defaultState(env, os) : resolve(flag);
  return { tracker: join(root, "tracker"), peers: join(root, "peers") };
}

function defaultState(env: (name: string) => string | undefined, os: typeof Deno.build.os): string {
  const home = env("HOME") || env("USERPROFILE");
  if (os === "windows") {
    const local = env("LOCALAPPDATA");
    if (local) return join(local, "p2p");
  } else if (os !== "darwin") {
    const xdg = env("XDG_STATE_HOME");
    if (xdg) return join(xdg, "p2p");
  }
  if (!home) {
    throw new P2PError(
      "usage",
      "Cannot find a folder for keys: HOME is not set; say which with --state",
    );
  }
  return os === "darwin"
    ? join(home, "Library", "Application Support", "p2p")
    : join(home, ".local", "state", "p2p");
}

/** What somebody can do with a copy of a file, and what ends that. */
const KEY_KNOWN =
  "whoever has read it can pose as this program; move it away to start with a new key";
const SECRET_KNOWN = "whoever has read it can join the network; " +
  "`tracker invite --rotate` where the tracker runs makes a new secret";
const TOKEN_KNOWN =
  "whoever has read it can read the tracker's page; remove it for a new one at the next start";

/**
 * Takes from other users of this machine what they may do with keys, secrets and the folders around them: those that
 * are ours get modes 0600 and 0700. `notice` hears of each; of what cannot be changed, as on a disk that keeps no modes,
 * it hears once.
 */
export function keepPrivate(
  { tracker, peers }: StateFolders,
  notice: (message: string) => void,
): void {
  let isStuck = false;
  for (const [path, known] of [...secretsOf(tracker), ...secretsOf(peers)]) {
    const isFolder = known === null;
    const before = modeOf(path, isFolder);
    if (before === null || (before & 0o077) === 0) continue;
    const wanted = isFolder ? 0o700 : 0o600;
    const octal = (mode: number) => (mode & 0o777).toString(8).padStart(3, "0");
    let why = "its disk keeps no modes";
    try {
      Deno.chmodSync(path, wanted);
    } catch (error) {
      why = reasonOf(error);
    }
    if (((modeOf(path, isFolder) ?? 0) & 0o077) === 0) {
      const now = `its mode was ${octal(before)}, and is ${octal(wanted)} now`;
      const remedy = known === null ? "" : `; ${known}`;
      notice(`Others on this machine could read ${path}: ${now}${remedy}`);
    } else if (!isStuck) {
      isStuck = true;
      notice(
        `Others on this machine can read ${path}: its mode is ${octal(before)} and cannot be ` +
          `changed (${why}); make it ${octal(wanted)}, or choose --state on another disk`,
      );
    }
  }
}

/** The folder of a program, and the folders and files in it that others must not read; of a file what they could do. */
function secretsOf(folder: string): [path: string, known: string | null][] {
  const slots = slotsOf(folder).map((name) => join(folder, name));
  return [
    ...[folder, ...slots].map((path): [string, null] => [path, null]),
    ...[folder, ...slots].map((path): [string, string] => [join(path, "identity.key"), KEY_KNOWN]),
    [join(folder, "http.token"), TOKEN_KNOWN],
    [join(folder, "network.json"), SECRET_KNOWN],
    [join(folder, "address.json"), SECRET_KNOWN],
  ];
}

/** Names of the folders of identities. */
function slotsOf(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
      /^\d+$/.test(name)
    );
  } catch {
    return [];
  }
}

/** The mode of the file or folder at a path; null where there is none, or there are no modes. */
function modeOf(path: string, isFolder: boolean): number | null {
  try {
    const { mode, isFile, isDirectory } = Deno.statSync(path);
    return (isFolder ? isDirectory : isFile) ? mode : null;
  } catch {
    return null;
  }
}
