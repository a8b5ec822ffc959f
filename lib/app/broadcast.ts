import { isOn } from "../cli/arguments/arguments.ts";
import { ExitCode } from "../errors.ts";
import { onDemand } from "../on_demand.ts";
import { oneShot } from "./peer_setup.ts";
import type { Command } from "./program.ts";

/** `peer broadcast`: a message to every peer, and with `--queue` to those who are away when they come back. */
export const broadcast: Command = oneShot(async (peer, context) => {
  const { positionals, values, typed } = context.command;
  const text = positionals.join(" ");
  if (isOn(values, "queue") || typed.has("queue-for")) {
    const { broadcastOrQueue } = await onDemand<typeof import("./queueing.ts")>(
      "./queueing.ts",
      import.meta.url,
    );
    return await broadcastOrQueue(peer, text, context);
  }
  const { failed } = await peer.sendBroadcastMessage(text);
  return failed > 0 ? ExitCode.partialDelivery : ExitCode.done;
});
