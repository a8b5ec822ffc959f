import { isOn, textOf } from "../cli/arguments/arguments.ts";
import { errorEvent } from "../cli/output/output.ts";
import { openContent } from "../content/open_content.ts";
import { StreamContent } from "../content/stream_content.ts";
import type { TreeOptions } from "../content/tree_content.ts";
import { meantAsPeers } from "../directory/target.ts";
import { isThere } from "../disk/folder.ts";
import { asP2PError, ExitCode, P2PError } from "../errors.ts";
import type { Peer } from "../peer/peer.ts";
import { exitCodeOfReports, type SendOutcome } from "../peer/send_job.ts";
import { openQueueing } from "./open_queueing.ts";
import { oneShot } from "./peer_setup.ts";
import type { Command, CommandContext } from "./program.ts";
import { retry } from "./resume.ts";

/** `peer send`: files, folders and standard input, one after the other, to peers that are there. */
export const send: Command = oneShot(async (peer, context) => {
  const { command, signal, emit } = context;
  const { values, positionals } = command;
  const again = textOf(values, "retry");
  if (again !== undefined) {
    refuseWith("--retry", command);
    return await retry(peer, context, again);
  }
  const to = recipientsOf(command);
  if (positionals.filter((path) => path === "-").length > 1) {
    throw new P2PError("usage", "Cannot send standard input twice: `-` may stand once");
  }
  await refusePeers(peer, command);
  const input = positionals.includes("-") ? standardInput(command) : null;
  if (input === null && command.typed.has("name")) {
    throw new P2PError(
      "usage",
      "Cannot use --name: it names standard input, and no path is `-`; files keep their names",
    );
  }
  const how = { follow: isOn(values, "follow"), strict: isOn(values, "strict") };
  const unsent = await unsendable(positionals, how);
  const [first] = unsent.values();
  if (first && (how.strict || unsent.size === new Set(positionals).size)) throw first;
  for (const error of unsent.values()) emit(errorEvent(error));
  const queueing = await openQueueing(peer, to, context);
  const reports: SendOutcome[] = [];
  for (const path of positionals) {
    if (unsent.has(path)) continue;
    try {
      reports.push(
        queueing
          ? await queueing.send(path, how)
          : path === "-" && input
          ? await peer.sendStream(input, to, { signal })
          : await peer.sendFile(path, to, { signal, ...how }),
      );
    } catch (thrown) {
      const error = asP2PError(thrown);
      // What has become unreadable meanwhile keeps nobody from getting the rest.
      if (error.exitCode !== ExitCode.local || how.strict || positionals.length === 1) throw error;
      unsent.set(path, error);
      emit(errorEvent(error));
    }
  }
  await queueing?.sayWhen();
  if (reports.length === 0) throw unsent.values().next().value;
  return exitCodeOfReports(reports, unsent.size);
}, recipientsOf);

/** Refuses what a share that is sent again has of its own. */
function refuseWith(flag: string, { positionals, typed }: CommandContext["command"]): void {
  const [path] = positionals;
  const other = path ?? ["to", "follow", "strict", "name", "queue", "queue-for"]
    .filter((name) => typed.has(name)).map((name) => `--${name}`)[0];
  if (other === undefined) return;
  throw new P2PError(
    "usage",
    `Cannot use ${flag} with ${other}: the share says what is sent, and to whom; leave it out`,
  );
}

/** What `--to` says. */
function recipientsOf({ values }: CommandContext["command"]): string[] {
  const flag = textOf(values, "to");
  return flag === undefined ? [] : [flag];
}

/** Why paths cannot be sent: looked at before the first is, when there are several. */
async function unsendable(
  paths: readonly string[],
  how: TreeOptions,
): Promise<Map<string, P2PError>> {
  const unsent = new Map<string, P2PError>();
  // A single path is opened at once, which is all that a look does.
  if (paths.length === 1) return unsent;
  for (const path of paths) {
    if (path === "-") continue;
    try {
      await using _content = await openContent(path, how);
    } catch (error) {
      unsent.set(path, asP2PError(error));
    }
  }
  return unsent;
}

/** Refuses a peer in the place of a path, as `sendfile` of the menu takes it, before anything is sent. */
async function refusePeers(peer: Peer, { positionals }: CommandContext["command"]): Promise<void> {
  for (const path of positionals) {
    const meant = meantAsPeers(path, peer.knownPeers);
    if (meant === null || await isThere(path)) continue;
    const what = meant.includes(",") ? "these are peers" : "it is the name of a peer";
    throw new P2PError(
      "usage",
      `Cannot send ${path}: there is no such file, and ${what}; write --to ${meant}`,
    );
  }
}

function standardInput({ values }: CommandContext["command"]): StreamContent {
  const name = textOf(values, "name");
  if (name !== undefined) return new StreamContent(Deno.stdin.readable, name);
  throw new P2PError("usage", "Cannot send standard input: it has no name; say --name NAME");
}
