import { isOn } from "../cli/arguments/arguments.ts";
import { ExitCode, P2PError } from "../errors.ts";
import { formatInvite } from "../identity/invite.ts";
import { loadOrCreateNetwork, type NetworkKey, rotateSecret } from "../identity/network.ts";
import { machineAddresses } from "./addresses.ts";
import { announceTracker, findTracker } from "./local_tracker.ts";
import type { CommandContext } from "./program.ts";
import { folderOf, inviteAt, listenOn, operate, reachableAt } from "./tracker_setup.ts";

/** `tracker invite`: the invite of the running tracker, or of the one that ran last. */
export async function invite(context: CommandContext): Promise<ExitCode> {
  const { command, emit, env } = context;
  if (isOn(command.values, "insecure")) {
    throw new P2PError(
      "usage",
      "Cannot invite: with --insecure there are no invites; leave it out",
    );
  }
  const folder = folderOf(command, env);
  const known = await findTracker(folder);
  const network = isOn(command.values, "rotate")
    ? await rotate(context, known !== null)
    : await loadOrCreateNetwork(folder);
  const at = known ?? reachableAt(command, listenOn(command));
  const addresses = machineAddresses().filter((address) => address !== at.host);
  emit({
    event: "invite",
    invite: formatInvite(inviteAt(at, network)),
    ...(addresses.length > 0 ? { addresses } : {}),
  });
  return ExitCode.done;
}

/** Asks the running tracker for a new secret; makes one in its files when it does not run. */
async function rotate(context: CommandContext, hasRun: boolean): Promise<NetworkKey> {
  const folder = folderOf(context.command, context.env);
  if (hasRun) {
    try {
      await using client = await operate(context);
      await client.rotate();
      return await loadOrCreateNetwork(folder);
    } catch (error) {
      if (!(error instanceof P2PError) || error.code !== "tracker-unreachable") throw error;
    }
  }
  const network = await rotateSecret(folder);
  const known = await findTracker(folder);
  if (known) await announceTracker(folder, { ...known, invite: inviteAt(known, network) });
  return network;
}
