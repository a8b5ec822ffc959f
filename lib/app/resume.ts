import { errorEvent } from "../cli/output/output.ts";
import { asP2PError, ExitCode, type P2PError } from "../errors.ts";
import type { NotedShare } from "../peer/ledger.ts";
import type { Peer } from "../peer/peer.ts";
import { exitCodeOfReports, type SendReport } from "../peer/send_job.ts";
import { lacking, resumable, type ShareRecipient } from "../peer/share_log.ts";
import { chooseById, expectAllRead } from "./noted.ts";
import { oneShot } from "./peer_setup.ts";
import type { Command, CommandContext } from "./program.ts";

/** `peer resume`: sends what is left of transfers that did not come to their end. */
export const resume: Command = oneShot(async (peer, context) =>
  await sendAgain(peer, context, {
    prefix: context.command.positionals[0] ?? "",
    to: resumable,
    names: { what: "unfinished transfer", listedBy: "peer history" },
    nothing: "Nothing is unfinished",
  })
);

/** `peer send --retry`: sends a share to all who do not have it, also to those who have turned it down. */
export async function retry(
  peer: Peer,
  context: CommandContext,
  prefix: string,
): Promise<ExitCode> {
  return await sendAgain(peer, context, {
    prefix,
    to: lacking,
    names: { what: "share", listedBy: "peer shares" },
    nothing: "Everybody has everything",
  });
}

/** What {@linkcode sendAgain} is about. */
interface Again {
  /** Of the id of a share, or `all`. */
  prefix: string;
  /** Whom of a share. */
  to: (share: NotedShare) => ShareRecipient[];
  /** What shares are called, for an error. */
  names: { what: string; listedBy: string };
  /** What is said when there is nothing to be done. */
  nothing: string;
}

async function sendAgain(
  peer: Peer,
  { signal, emit }: CommandContext,
  { prefix, to, names, nothing }: Again,
): Promise<ExitCode> {
  const unread: string[] = [];
  const all = await peer.ledger.list((message) => unread.push(message));
  const left = all.filter((share) => to(share).length > 0);
  const chosen = chooseById(prefix === "all" ? left : all, prefix, names)
    .filter((share) => to(share).length > 0);
  if (chosen.length === 0 && unread.length === 0) emit({ event: "notice", message: nothing });
  const reports: SendReport[] = [];
  const failed: P2PError[] = [];
  for (const share of chosen) {
    const { id: again, path, follow, strict } = share;
    const targets = to(share).map(({ id, name }) => id === "" ? name : `id:${id}`);
    try {
      reports.push(await peer.sendFile(path, targets, { signal, follow, strict, again }));
    } catch (thrown) {
      const error = asP2PError(thrown);
      // One file that cannot be read any more keeps nobody from getting the others.
      if (error.exitCode !== ExitCode.local || chosen.length === 1) throw error;
      emit(errorEvent(error));
      failed.push(error);
    }
  }
  if (reports.length === 0 && failed[0]) throw failed[0];
  expectAllRead(unread);
  return exitCodeOfReports(reports, failed.length);
}
