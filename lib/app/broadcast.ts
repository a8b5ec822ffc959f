import { ExitCode } from "../errors.ts";
import { exitCodeOfReports } from "../peer/send_job.ts";
import { openQueueing } from "./open_queueing.ts";
import { oneShot } from "./peer_setup.ts";
import type { Command } from "./program.ts";

/** `peer broadcast`: a message to every peer, and with `--queue` to those who are away when they come back. */
export const broadcast: Command = oneShot(async (peer, context) => {
  const text = context.command.positionals.join(" ");
  const queueing = await openQueueing(peer, ["all"], context);
  if (!queueing) {
    const { failed } = await peer.sendBroadcastMessage(text);
    return failed > 0 ? ExitCode.partialDelivery : ExitCode.done;
  }
  const outcome = await queueing.broadcast(text);
  await queueing.sayWhen();
  return exitCodeOfReports([outcome]);
});
