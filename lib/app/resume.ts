import { errorEvent } from "../cli/output/output.ts";
import { asP2PError, ExitCode, type P2PError } from "../errors.ts";
import { chooseById, expectAllRead } from "../peer/outbox.ts";
import { exitCodeOfReports, type SendReport } from "../peer/send_job.ts";
import { oneShot } from "./peer_setup.ts";
import type { Command } from "./program.ts";

/** `peer resume`: sends what is left of transfers that did not come to their end. */
export const resume: Command = oneShot(async (peer, { command, signal, emit }) => {
  const unread: string[] = [];
  const all = await peer.outbox.list((message) => unread.push(message));
  const unsent = chooseById(all, command.positionals[0] ?? "");
  if (unsent.length === 0 && unread.length === 0) {
    emit({ event: "notice", message: "Nothing is unfinished" });
  }
  const reports: SendReport[] = [];
  const failed: P2PError[] = [];
  for (const entry of unsent) {
    const { path, to, follow } = entry;
    const recipients = to.map(({ id }) => `id:${id}`);
    try {
      const report = await peer.sendFile(path, recipients, { signal, follow });
      reports.push(report);
      // What has begun anew is noted under an id of its own; those who are not there still wait.
      const absent = to.filter(({ id }) =>
        report.recipients.some(({ peer }) => peer === `id:${id}`)
      );
      await peer.outbox.remove(entry.id);
      if (absent.length > 0) await peer.outbox.put({ ...entry, to: absent });
    } catch (thrown) {
      const error = asP2PError(thrown);
      // One file that cannot be read any more keeps nobody from getting the others.
      if (error.exitCode !== ExitCode.local || unsent.length === 1) throw error;
      emit(errorEvent(error));
      failed.push(error);
    }
  }
  if (reports.length === 0 && failed[0]) throw failed[0];
  expectAllRead(unread);
  return exitCodeOfReports(reports, failed.length);
});
