import { chooseById } from "../peer/outbox.ts";
import { exitCodeOfReports, type SendReport } from "../peer/send_job.ts";
import { oneShot } from "./peer_setup.ts";
import type { Command } from "./program.ts";

/** `peer resume`: sends what is left of transfers that did not come to their end. */
export const resume: Command = oneShot(async (peer, { command, signal, emit }) => {
  const unsent = chooseById(await peer.outbox.list(), command.positionals[0] ?? "");
  if (unsent.length === 0) emit({ event: "notice", message: "Nothing is unfinished" });
  const reports: SendReport[] = [];
  for (const { path, to, follow, id } of unsent) {
    const recipients = to.map((recipient) => `id:${recipient.id}`);
    reports.push(await peer.sendFile(path, recipients, { signal, follow }));
    await peer.outbox.remove(id);
  }
  return exitCodeOfReports(reports);
});
