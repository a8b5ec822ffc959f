import { textOf } from "../cli/arguments/arguments.ts";
import { ExitCode } from "../errors.ts";
import type { AppEvent, ShareEvent } from "../events.ts";
import { chooseById, expectAllRead, Ledger, type NotedShare } from "../peer/ledger.ts";
import type { CommandContext } from "./program.ts";
import { stateFolders } from "./state_folder.ts";

/** What a share is called where one is chosen. */
export const SHARE_NAMES = { what: "share", listedBy: "peer shares" };

/** `peer shares`: what this user's peers have sent, and who has it. Needs no tracker. */
export async function shares({ command, env, emit }: CommandContext): Promise<ExitCode> {
  const { peers } = stateFolders(textOf(command.values, "state"), env);
  const unread: string[] = [];
  const all = await new Ledger(peers).list((message) => unread.push(message));
  showShares(all.map(shareEvent), command.positionals[0], { emit, names: SHARE_NAMES });
  expectAllRead(unread);
  return ExitCode.done;
}

/** Shows shares, those that are being sent first; of one that is chosen each recipient. */
export function showShares(
  all: readonly ShareEvent[],
  prefix: string | undefined,
  { emit, names }: { emit: (event: AppEvent) => void; names: typeof SHARE_NAMES },
): void {
  const chosen = prefix === undefined ? all : chooseById(all, prefix, names);
  const order = ({ running, at }: ShareEvent) => `${running ? 0 : 1} ${at}`;
  for (const share of chosen.toSorted((a, b) => order(a) < order(b) ? -1 : 1)) {
    emit(share);
    if (prefix === undefined) continue;
    const { id, size } = share;
    for (const recipient of share.recipients) {
      emit({ event: "share-recipient", share: id, size, ...recipient });
    }
  }
  if (all.length === 0) emit({ event: "notice", message: "Nothing has been shared yet" });
}

/** What is shown of a share of the ledger. */
function shareEvent(share: NotedShare): ShareEvent {
  const { id, isRunning: running, at, name, size, files, path } = share;
  return {
    event: "share",
    id,
    running,
    at,
    name,
    size,
    ...(files === undefined ? {} : { files }),
    path,
    recipients: share.recipients.map(({ name: peer, ...recipient }) => ({ peer, ...recipient })),
  };
}
