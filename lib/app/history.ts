import { textOf } from "../cli/arguments/arguments.ts";
import { asP2PError, ExitCode } from "../errors.ts";
import { namesById } from "../directory/name_book.ts";
import type { AppEvent } from "../events.ts";
import { listUnreceived } from "../inbox/unfinished.ts";
import { fileBytes } from "../pieces/manifest.ts";
import { History } from "../peer/history.ts";
import { readHistory } from "../peer/read_history.ts";
import { Ledger } from "../peer/ledger.ts";
import { resumable } from "../peer/share_log.ts";
import { inboxOf } from "./peer_setup.ts";
import type { CommandContext } from "./program.ts";
import { stateFolders } from "./state_folder.ts";

/** `peer history`: what was sent and received, and what is unfinished. Needs no tracker. */
export async function history(context: CommandContext): Promise<ExitCode> {
  const { peers } = stateFolders(textOf(context.command.values, "state"), context.env);
  const names = await namesById(peers).catch((error) => {
    context.emit({ event: "notice", message: asP2PError(error).message });
    return new Map<string, string>();
  });
  const nameOf = (id: string) => names.get(id);
  await listHistory({ history: new History(peers), ledger: new Ledger(peers), nameOf }, context);
  return ExitCode.done;
}

/** Shows finished transfers in their order, then the unfinished ones of both directions. */
export async function listHistory(
  { history, ledger, nameOf }: {
    history: History;
    ledger: Ledger;
    /** The name that an id is known by. */
    nameOf: (id: string) => string | undefined;
  },
  { emit, command }: CommandContext,
): Promise<void> {
  let empty = true;
  const notice = (message: string) => emit({ event: "notice", message });
  const show = (event: AppEvent) => {
    emit(event);
    empty = false;
  };
  for await (const entry of readHistory(history)) {
    show({ ...entry, peer: nameOf(entry.peer) ?? entry.peer });
  }
  for (const share of await ledger.list(notice)) {
    const { id, at, name, size, path } = share;
    const peers = resumable(share).map((recipient) => recipient.name);
    if (peers.length === 0) continue;
    show({ event: "unfinished", id, direction: "send", at, name, size, peers, path });
  }
  const unreceived = await listUnreceived(inboxOf(command), notice);
  for (const { id, at, name, table, from, ...all } of unreceived) {
    const peers = [nameOf(from) ?? from];
    const [size, bytes] = [fileBytes(all.size, table), fileBytes(all.bytes, table)];
    show({ event: "unfinished", id, direction: "receive", at, name, size, bytes, peers });
  }
  if (empty) emit({ event: "notice", message: "Nothing has been sent or received yet" });
}
