import { isOn, textOf } from "../cli/arguments/arguments.ts";
import { StreamContent } from "../content/stream_content.ts";
import { P2PError } from "../errors.ts";
import { exitCodeOfReports, type SendReport } from "../peer/send_job.ts";
import { oneShot } from "./peer_setup.ts";
import type { Command, CommandContext } from "./program.ts";

/** `peer send`: files, folders and standard input, one after the other, to peers that are there. */
export const send: Command = oneShot(async (peer, context) => {
  const { command, signal } = context;
  const reports: SendReport[] = [];
  const flag = textOf(command.values, "to");
  const to = flag === undefined ? [] : [flag];
  if (command.positionals.filter((path) => path === "-").length > 1) {
    throw new P2PError("usage", "Cannot send standard input twice: `-` may stand once");
  }
  const input = command.positionals.includes("-") ? standardInput(command) : null;
  if (input === null && command.typed.has("name")) {
    throw new P2PError(
      "usage",
      "Cannot use --name: it names standard input, and no path is `-`; files keep their names",
    );
  }
  const follow = isOn(command.values, "follow");
  for (const path of command.positionals) {
    reports.push(
      path === "-" && input
        ? await peer.sendStream(input, to, { signal })
        : await peer.sendFile(path, to, { signal, follow }),
    );
  }
  return exitCodeOfReports(reports);
});

function standardInput({ values }: CommandContext["command"]): StreamContent {
  const name = textOf(values, "name");
  if (name !== undefined) return new StreamContent(Deno.stdin.readable, name);
  throw new P2PError("usage", "Cannot send standard input: it has no name; say --name NAME");
}
