/**
 * From the flags of a tracker to its state, its addresses and a session with it.
 *
 * @module
 */

import { join } from "node:path";
import {
  addressOf,
  isOn,
  numberOf,
  type ParsedCommand,
  textOf,
} from "../cli/arguments/arguments.ts";
import { TrackerClient } from "../directory/tracker_client.ts";
import { P2PError, reasonOf } from "../errors.ts";
import type { Invite, InvitePlace } from "../identity/invite.ts";
import { Identity, loadOrCreateIdentity } from "../identity/keys.ts";
import { loadOrCreateNetwork, type NetworkKey } from "../identity/network.ts";
import { type Address, isWildcard } from "../address.ts";
import { addressesOf, beyondRouter, inviteOthers, nearest } from "./addresses.ts";
import { findTracker, holdTracker } from "./local_tracker.ts";
import type { CommandContext } from "./program.ts";
import { stateFolders } from "./state_folder.ts";

/**
 * Connects to the running tracker as its operator, with its own key.
 *
 * @throws {P2PError} `tracker-unreachable` when it does not run.
 */
export async function operate({ command, env }: CommandContext): Promise<TrackerClient> {
  const folder = folderOf(command, env);
  const insecure = isOn(command.values, "insecure");
  const known = isPlaced({ command }) ? null : await findTracker(folder);
  const network = insecure ? null : await loadOrCreateNetwork(folder);
  const client = new TrackerClient({
    address: known ?? listenOn(command),
    credentials: {
      identity: insecure
        ? Identity.generate()
        : await loadOrCreateIdentity(join(folder, "identity.key")),
      role: insecure ? "client" : "operator",
      membership: network ? { id: network.key.id, secret: network.secret } : null,
    },
  });
  try {
    await client.connect();
  } catch (error) {
    if (!(error instanceof P2PError) || error.code !== "tracker-unreachable") throw error;
    const { cause = error } = error;
    const remedy = "start the tracker with `tracker`, or say with --state or --port where it runs";
    throw new P2PError("tracker-unreachable", `${reasonOf(cause)}; ${remedy}`, { cause });
  }
  return client;
}

/**
 * Has the running tracker do something; when none is there, `stopped` does it to the files, which no tracker begins to
 * use meanwhile.
 *
 * @param doing as in "Cannot make a new secret".
 * @throws {P2PError} `disk` when the tracker runs and does not answer, `tracker-unreachable` when it is not where
 * --host and --port say.
 */
export async function atTracker(
  context: CommandContext,
  doing: string,
  { running, stopped }: {
    running: (client: TrackerClient) => Promise<unknown>;
    stopped: () => Promise<unknown>;
  },
): Promise<void> {
  const { command, env, emit } = context;
  try {
    await using client = await operate(context);
    await running(client);
    return;
  } catch (error) {
    if (!(error instanceof P2PError) || error.code !== "tracker-unreachable") throw error;
    // Whoever says on the command line where it is means one that runs.
    if (command.typed.has("host") || command.typed.has("port")) throw error;
  }
  const notice = (message: string) => emit({ event: "notice", message });
  using _folder = await holdTracker(folderOf(command, env), doing, notice);
  await stopped();
}

/** Whether somebody has said where the tracker is. */
export function isPlaced({ command: { explicit } }: Pick<CommandContext, "command">): boolean {
  return explicit.has("host") || explicit.has("port");
}

/** Folder of the keys, the network and the last address of a tracker. */
export function folderOf(command: ParsedCommand, env: CommandContext["env"]): string {
  return stateFolders(textOf(command.values, "state"), env).tracker;
}

/** The address that the flags say to listen on. */
export function listenOn({ values }: ParsedCommand): Address {
  return { host: textOf(values, "host") ?? "localhost", port: numberOf(values, "port") ?? 5000 };
}

/** The address that others reach a tracker at: as advertised, or this machine's own. */
export function reachableAt(
  command: ParsedCommand,
  { host, port }: Address,
  outside?: Address,
): InvitePlace {
  return { host, port, ...advertised(command, outside) };
}

/**
 * The address to name to others: that of `--advertise`, or this machine's when a wildcard is listened on.
 *
 * @param outside where a router leads to the tracker, which is named too.
 */
export function advertised(
  command: ParsedCommand,
  outside?: Address,
): Partial<InvitePlace> | undefined {
  const given = addressOf(command.values, "advertise");
  if (given) return { host: given.host, ...(given.port === null ? {} : { port: given.port }) };
  const { host } = listenOn(command);
  if (!isWildcard(host)) return beyondRouter(undefined, outside);
  const [own = nearest(host), ...others] = addressesOf(host);
  return beyondRouter({ host: own, ...inviteOthers(others) }, outside);
}

/** The invite of a network whose tracker is reached at an address. */
export function inviteAt(
  { host, others = [], port }: InvitePlace,
  { key, secret }: NetworkKey,
): Invite {
  return { host, port, ...(others.length > 0 ? { others } : {}), network: key.id, secret };
}
