import { isOn } from "../cli/arguments/arguments.ts";
import { onDemand } from "../on_demand.ts";
import type { Peer } from "../peer/peer.ts";
import type { CommandContext } from "./program.ts";
import type { Queueing } from "./queueing.ts";

/**
 * With `--queue`, what has the queue take what those who are away were to get: loaded by those who want that; else null.
 *
 * @throws {P2PError} as {@linkcode Queueing.open}.
 */
export async function openQueueing(
  peer: Peer,
  to: readonly string[],
  context: CommandContext,
): Promise<Queueing | null> {
  const { values, typed } = context.command;
  if (!isOn(values, "queue") && !typed.has("queue-for")) return null;
  const { Queueing } = await onDemand<typeof import("./queueing.ts")>(
    "./queueing.ts",
    import.meta.url,
  );
  return await Queueing.open(peer, { to, context });
}
