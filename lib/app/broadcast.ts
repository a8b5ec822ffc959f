import { ExitCode } from "../errors.ts";
import { oneShot } from "./peer_setup.ts";
import type { Command } from "./program.ts";

/** `peer broadcast`: a message to every peer. */
export const broadcast: Command = oneShot(async (peer, { command }) => {
  const { failed } = await peer.sendBroadcastMessage(command.positionals.join(" "));
  return failed > 0 ? ExitCode.partialDelivery : ExitCode.done;
});
