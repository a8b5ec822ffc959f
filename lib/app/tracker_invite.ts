import { isOn } from "../cli/arguments/arguments.ts";
import { ExitCode, P2PError, reasonOf } from "../errors.ts";
import { formatInvite, type InvitePlace } from "../identity/invite.ts";
import { loadOrCreateNetwork, type NetworkKey, rotateSecret } from "../identity/network.ts";
import { machineAddresses } from "../net/interfaces.ts";
import { isOnlyHere } from "./addresses.ts";
import { announceTracker, findTracker } from "./local_tracker.ts";
import type { CommandContext } from "./program.ts";
import {
  atTracker,
  folderOf,
  inviteAt,
  isPlaced,
  listenOn,
  operate,
  reachableAt,
} from "./tracker_setup.ts";

/**
 * `tracker invite`: the invite of the running tracker. One that leads nowhere is not handed out: nobody could tell why
 * it does not work.
 */
export async function invite(context: CommandContext): Promise<ExitCode> {
  const { command, emit } = context;
  const at = await trackerAt(context);
  const network = isOn(command.values, "rotate") ? await rotate(context) : await ofRunning(context);
  const isLocal = isOnlyHere(at.host);
  const addresses = isLocal
    ? []
    : machineAddresses().filter((address) => address !== at.host && !at.others?.includes(address));
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
async function trackerAt(context: CommandContext): Promise<InvitePlace> {
  const { command, env } = context;
  const known = await findTracker(folderOf(command, env));
  if (isPlaced(context)) {
    return reachableAt(command, listenOn(command));
  }
  if (known === null) {
    throw new P2PError(
      "tracker-unreachable",
      "Cannot invite: no tracker has run with this state folder; start `tracker --host 0.0.0.0`, " +
        "or say with --state where it keeps its keys",
    );
  }
  if (known.invite !== null) return known.invite;
  throw new P2PError(
    "usage",
    "Cannot invite: the tracker runs with --insecure, which has no invites; start it without",
  );
}

/** The network of the tracker, once that has answered. */
async function ofRunning(context: CommandContext): Promise<NetworkKey> {
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
  return await loadOrCreateNetwork(folderOf(context.command, context.env));
}

/** Asks the running tracker for a new secret; makes one in its files when it does not run. */
async function rotate(context: CommandContext): Promise<NetworkKey> {
  const folder = folderOf(context.command, context.env);
  await atTracker(context, "make a new secret", {
    running: (client) => client.rotate(),
    async stopped() {
      const network = await rotateSecret(folder);
      const known = await findTracker(folder);
      if (known) {
        const invite = inviteAt(known.invite ?? known, network);
        await announceTracker(folder, { ...known, invite });
      }
    },
  });
  return await loadOrCreateNetwork(folder);
}
