import { join, resolve } from "node:path";
import { P2PError } from "../errors.ts";

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
