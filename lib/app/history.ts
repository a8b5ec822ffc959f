import { textOf } from "../cli/arguments/arguments.ts";
import { ExitCode } from "../errors.ts";
import type { AppEvent } from "../events.ts";
import { listUnreceived } from "../inbox/unfinished.ts";
import { History } from "../peer/history.ts";
import { Outbox } from "../peer/outbox.ts";
import { inboxOf } from "./peer_setup.ts";
import type { CommandContext } from "./program.ts";
import { stateFolders } from "./state_folder.ts";

/** `peer history`: what was sent and received, and what is unfinished. Needs no tracker. */
export async function history(context: CommandContext): Promise<ExitCode> {
  const { peers } = stateFolders(textOf(context.command.values, "state"), context.env);
  await listHistory({ history: new History(peers), outbox: new Outbox(peers) }, context);
  return ExitCode.done;
}

/** Shows finished transfers in their order, then the unfinished ones of both directions. */
export async function listHistory(
  { history, outbox }: { history: History; outbox: Outbox },
  { emit, command }: CommandContext,
): Promise<void> {
  let empty = true;
  const notice = (message: string) => emit({ event: "notice", message });
  const show = (event: AppEvent) => {
    emit(event);
    empty = false;
  };
  for await (const entry of history.entries()) show(entry);
  for (const { id, at, name, size, path, to } of await outbox.list(notice)) {
    const peers = to.map((recipient) => recipient.name);
    show({ event: "unfinished", id, direction: "send", at, name, size, peers, path });
  }
  for (
    const { id, at, name, size, bytes, from } of await listUnreceived(inboxOf(command), notice)
  ) {
    show({ event: "unfinished", id, direction: "receive", at, name, size, bytes, peers: [from] });
  }
  if (empty) emit({ event: "notice", message: "Nothing has been sent or received yet" });
}
