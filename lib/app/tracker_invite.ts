import { isOn } from "../cli/arguments/arguments.ts";
import { type Address, isLoopback } from "../address.ts";
import { ExitCode, P2PError, reasonOf } from "../errors.ts";
import { formatInvite } from "../identity/invite.ts";
import { loadOrCreateNetwork, type NetworkKey, rotateSecret } from "../identity/network.ts";
import { machineAddresses } from "./addresses.ts";
import { announceTracker, findTracker, holdTracker } from "./local_tracker.ts";
import type { CommandContext } from "./program.ts";
import { folderOf, inviteAt, listenOn, operate, reachableAt } from "./tracker_setup.ts";

/**
 * `tracker invite`: the invite of the running tracker. One that leads nowhere is not handed out: nobody could tell why
 * it does not work.
 */
export async function invite(context: CommandContext): Promise<ExitCode> {
  const { command, emit } = context;
  const at = await trackerAt(context);
  const network = isOn(command.values, "rotate")
    ? await rotate(context)
    : await ofRunning(context, at);
  const isLocal = isLoopback(at.host);
  const addresses = isLocal ? [] : machineAddresses().filter((address) => address !== at.host);
  emit({
    event: "invite",
    invite: formatInvite(inviteAt(at, network)),
    ...(addresses.length > 0 ? { addresses } : {}),
    ...(isLocal ? { local: true } : {}),
  });
  return ExitCode.done;
}

/**
 * Where the tracker is that others are invited to.
 *
 * @throws {P2PError} `tracker-unreachable` when none has run, `usage` when it has no invites
 */
async function trackerAt({ command, env }: CommandContext): Promise<Address> {
  const known = await findTracker(folderOf(command, env));
  if (command.explicit.has("host") || command.explicit.has("port")) {
    return reachableAt(command, listenOn(command));
  }
  if (known === null) {
    throw new P2PError(
      "tracker-unreachable",
      "Cannot invite: no tracker has run with this state folder; start `tracker --host 0.0.0.0`, " +
        "or say with --state where it keeps its keys",
    );
  }
  if (known.invite !== null) return known;
  throw new P2PError(
    "usage",
    "Cannot invite: the tracker runs with --insecure, which has no invites; start it without",
  );
}

/** The network of the tracker, once that has answered. */
async function ofRunning(context: CommandContext, at: Address): Promise<NetworkKey> {
  // An address of a router or proxy, named with --advertise, may not lead back from here.
  const { explicit } = context.command;
  const isOwn = isLoopback(at.host) || machineAddresses().includes(at.host);
  if (isOwn || explicit.has("host") || explicit.has("port")) {
    try {
      await using _client = await operate(context);
    } catch (error) {
      if (!(error instanceof P2PError) || error.code !== "tracker-unreachable") throw error;
      throw new P2PError(
        "tracker-unreachable",
        `${reasonOf(error.cause ?? error)}; start the tracker of these invites with \`tracker\``,
        { cause: error },
      );
    }
  }
  return await loadOrCreateNetwork(folderOf(context.command, context.env));
}

/** Asks the running tracker for a new secret; makes one in its files when it does not run. */
async function rotate(context: CommandContext): Promise<NetworkKey> {
  const folder = folderOf(context.command, context.env);
  try {
    await using client = await operate(context);
    await client.rotate();
    return await loadOrCreateNetwork(folder);
  } catch (error) {
    if (!(error instanceof P2PError) || error.code !== "tracker-unreachable") throw error;
  }
  const notice = (message: string) => context.emit({ event: "notice", message });
  // One that runs and does not answer would go on with the old secret.
  using _folder = await holdTracker(folder, "make a new secret", notice);
  const network = await rotateSecret(folder);
  const known = await findTracker(folder);
  if (known) await announceTracker(folder, { ...known, invite: inviteAt(known, network) });
  return network;
}
