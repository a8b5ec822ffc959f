/**
 * What a tracker that runs keeps: its key, its network, and what it remembers of its peers. All of that is in its state
 * folder, or nowhere.
 *
 * @module
 */

import { join } from "node:path";
import { isOn, textOf } from "../cli/arguments/arguments.ts";
import { randomBytes, randomToken } from "../async/random.ts";
import { P2PError, reasonOf } from "../errors.ts";
import { SECRET_BYTES } from "../identity/invite.ts";
import { Identity, loadOrCreateIdentity } from "../identity/keys.ts";
import { loadOrCreateNetwork, type NetworkKey, rotateSecret } from "../identity/network.ts";
import { SqliteStore } from "../tracker/store/sqlite_store.ts";
import type { TrackerStore } from "../tracker/store/tracker_store.ts";
import { announceTracker, holdTracker, type LocalTracker } from "./local_tracker.ts";
import type { CommandContext } from "./program.ts";
import { tokenIn } from "./http_token.ts";
import { IN_MEMORY } from "./state_folder.ts";
import { folderOf } from "./tracker_setup.ts";
import { sayIfUnwritable } from "./waiting.ts";

/** What a tracker has from its state folder, and leaves in it. */
export interface TrackerState extends Disposable {
  readonly identity: Identity;
  /** The network as it is now; null with `--insecure`. */
  readonly network: NetworkKey | null;
  /** Gives the network a new secret. */
  rotate(): Promise<NetworkKey>;
  /** What it remembers of its peers; undefined where nothing is kept. */
  readonly store: TrackerStore | undefined;
  /** What opens the tracker's page to other machines; the same after a restart. */
  httpToken(): Promise<string>;
  /** Notes where the tracker listens, for other programs of this user. */
  announce(place: LocalTracker): Promise<void>;
}

/** Who is there, who was removed, shares and evidence, in the state folder; the networks with and without keys apart. */
export function registryPath(folder: string, { insecure = false } = {}): string {
  return join(folder, insecure ? "registry-insecure.db" : "registry.db");
}

/**
 * Opens the state of a tracker that starts, and keeps others away from it.
 *
 * @throws {P2PError} `disk`.
 */
export async function openTrackerState(context: CommandContext): Promise<TrackerState> {
  const { command: { values } } = context;
  const insecure = isOn(values, "insecure");
  return textOf(values, "state") === IN_MEMORY
    ? keepNothing(insecure)
    : await openFolder(context, insecure);
}

function keepNothing(insecure: boolean): TrackerState {
  let network = insecure ? null : { key: Identity.generate(), secret: randomBytes(SECRET_BYTES) };
  return {
    identity: Identity.generate(),
    get network() {
      return network;
    },
    rotate() {
      if (!network) throw noSecret();
      network = { ...network, secret: randomBytes(SECRET_BYTES) };
      return Promise.resolve(network);
    },
    store: undefined,
    httpToken: () => Promise.resolve(randomToken(16)),
    announce: () => Promise.resolve(),
    [Symbol.dispose]() {},
  };
}

async function openFolder(
  { command, env, emit }: CommandContext,
  insecure: boolean,
): Promise<TrackerState> {
  const folder = folderOf(command, env);
  const notice = (message: string) => emit({ event: "notice", message });
  using stack = new DisposableStack();
  stack.use(await holdTracker(folder, "start", notice));
  let network = insecure ? null : await loadOrCreateNetwork(folder);
  const identity = await loadOrCreateIdentity(join(folder, "identity.key"));
  await sayIfUnwritable(folder, { emit });
  const store = stack.use(new SqliteStore(registryPath(folder, { insecure }), { notice }));
  const held = stack.move();
  return {
    identity,
    get network() {
      return network;
    },
    async rotate() {
      if (!network) throw noSecret();
      try {
        return network = await rotateSecret(folder);
      } catch (error) {
        // The operator who asked for it hears only that it is not kept.
        notice(reasonOf(error));
        throw error;
      }
    },
    store,
    httpToken: () => tokenIn(folder),
    announce: (place) => announceTracker(folder, place),
    [Symbol.dispose]: () => held.dispose(),
  };
}

function noSecret(): P2PError {
  return new P2PError("usage", "Cannot make a new secret: with --insecure there is none");
}
