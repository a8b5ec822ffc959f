import { textOf } from "../cli/arguments/arguments.ts";
import { ExitCode } from "../errors.ts";
import { forgetUnreceived, listUnreceived } from "../inbox/unfinished.ts";
import { Ledger } from "../peer/ledger.ts";
import { resumable } from "../peer/share_log.ts";
import { chooseById, expectAllRead } from "./noted.ts";
import { inboxOf } from "./peer_setup.ts";
import type { CommandContext } from "./program.ts";
import { stateFolders } from "./state_folder.ts";

/** `peer forget`: gives unfinished transfers up, and what has come of them. */
export async function forget({ command, env, emit }: CommandContext): Promise<ExitCode> {
  const { peers } = stateFolders(textOf(command.values, "state"), env);
  const ledger = new Ledger(peers);
  const unread: string[] = [];
  const onLeftOut = (message: string) => void unread.push(message);
  const shares = (await ledger.list(onLeftOut)).filter((share) => resumable(share).length > 0);
  const unsent = shares.map((share) => ({ ...share, forget: () => ledger.remove(share.id) }));
  const unreceived = (await listUnreceived(inboxOf(command), onLeftOut)).map((entry) => ({
    ...entry,
    forget: () => forgetUnreceived(entry),
  }));
  const chosen = chooseById([...unsent, ...unreceived], command.positionals[0] ?? "");
  if (chosen.length === 0 && unread.length === 0) {
    emit({ event: "notice", message: "Nothing is unfinished" });
  }
  for (const { name, forget } of chosen) {
    await forget();
    emit({ event: "notice", message: `Forgot ${name}` });
  }
  expectAllRead(unread);
  return ExitCode.done;
}
