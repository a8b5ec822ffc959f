import { join } from "node:path";
import { isOn } from "../cli/arguments/arguments.ts";
import { ExitCode } from "../errors.ts";
import { loadOrCreateIdentity } from "../identity/keys.ts";
import { loadOrCreateNetwork } from "../identity/network.ts";
import { broadcastSent, nobodyThere } from "../peer/messenger.ts";
import { composeMessage } from "../peer/text_message.ts";
import type { CommandContext } from "./program.ts";
import { folderOf, operate } from "./tracker_setup.ts";

/** `tracker broadcast`: a message to every peer, signed by the tracker. */
export async function broadcast(context: CommandContext): Promise<ExitCode> {
  const { command, env, emit } = context;
  await using client = await operate(context);
  const folder = folderOf(command, env);
  const message = composeMessage(command.positionals.join(" "), {
    identity: await loadOrCreateIdentity(join(folder, "identity.key")),
    network: isOn(command.values, "insecure")
      ? undefined
      : (await loadOrCreateNetwork(folder)).key.id,
    name: "tracker",
  });
  const entries = await client.refresh();
  const result = await client.broadcast(message.header, message.text);
  const nameOf = (id: string) => entries.find((entry) => entry.id === id)?.name ?? id;
  emit(broadcastSent(message.header.id, { ...result, nameOf }));
  if (result.delivered === 0) throw nobodyThere();
  return ExitCode.done;
}
