import { basename, join } from "node:path";
import { isOn, textOf } from "../cli/arguments/arguments.ts";
import { escapeText } from "../cli/output/escape.ts";
import type { Menu, MenuActions } from "../cli/terminal/menu.ts";
import { diskError } from "../disk/disk_error.ts";
import { ExitCode, P2PError } from "../errors.ts";
import type { Peer } from "../peer/peer.ts";
import { exitCodeOfReports, type SendReport } from "../peer/send_job.ts";
import { listHistory } from "./history.ts";
import { listed } from "./peer_setup.ts";
import { listPeers } from "./peers.ts";
import type { CommandContext } from "./program.ts";

/** `peer` alone: commands at a prompt, or line by line from a script, while it receives. */
export async function menu(context: CommandContext): Promise<ExitCode> {
  const { menu, output, signal, again, emit } = context;
  if (!menu) throw new TypeError("the menu command has no menu");
  const command = listed(async (peer) => {
    const ending = new AbortController();
    const running = menu.run(menuActions(peer, menu, context), {
      output,
      signal: AbortSignal.any([signal, ending.signal]),
    });
    let exitCode: ExitCode;
    try {
      exitCode = (await Promise.race([running, peer.refused])).exitCode;
    } finally {
      ending.abort();
      await running;
    }
    if (peer.isBusy) {
      emit({ event: "notice", message: "Waiting for transfers under way; interrupt to stop now" });
    }
    // The Ctrl-C that ended the menu does not end the transfers; the next one does.
    await peer.stop(signal.aborted ? again : signal);
    return exitCode;
  }, { more: { deliversQueue: true } });
  return await command(context);
}

function menuActions(peer: Peer, menu: Menu, context: CommandContext): MenuActions {
  const { values } = context.command;
  const data = textOf(values, "data") ?? "data";
  const follow = isOn(values, "follow");
  return {
    ping: async (target) => void await peer.ping(target),
    broadcast: async (text) => {
      const { failed } = await peer.sendBroadcastMessage(text);
      if (failed === 0) return;
      throw new P2PError("partial-delivery", `Cannot deliver to all: ${failed} did not get it`);
    },
    sendFile: async (name, recipients) => {
      const path = await findFile(data, name);
      const to = recipients.length > 0 ? recipients : await askRecipient(peer, menu);
      failIfFailed([await peer.sendFile(path, to, { follow })]);
    },
    peers: () => listPeers(peer, context),
    history: () => listHistory(peer, context),
    dataFiles: () => dataFiles(data),
    peerNames: () => peer.knownPeers.map(({ name }) => name),
  };
}

/** The recipient that a person names when several peers are there; none when there is nothing to ask. */
async function askRecipient(peer: Peer, menu: Menu): Promise<string[]> {
  const others = await peer.updatePeersList();
  if (others.length < 2 || !menu.interactive) return [];
  const names = others.map(({ name }) => escapeText(name)).join(", ");
  const answer = await menu.ask(`To whom (${names} or all)? `);
  if (answer === "") throw new P2PError("usage", "Cannot send: no recipient was named");
  return [answer];
}

/** Throws what a script's exit code comes from; the report itself has been shown. */
function failIfFailed(reports: SendReport[]): void {
  const [failure] = reports.flatMap(({ failures }) => failures);
  if (!failure) return;
  const isPartial = exitCodeOfReports(reports) === ExitCode.partialDelivery;
  if (!isPartial) throw failure;
  throw new P2PError("partial-delivery", `Cannot deliver to all: ${failure.message}`);
}

async function dataFiles(data: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isFile } of Deno.readDir(data)) if (isFile) names.push(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw diskError("read", data, error);
  }
  return names.sort();
}

/** Path of a file that was named at the menu: in the data folder if it is there, else as typed. */
async function findFile(data: string, name: string): Promise<string> {
  const inData = join(data, name);
  const isThere = name === basename(name) &&
    await Deno.stat(inData).then(({ isFile }) => isFile, () => false);
  return isThere ? inData : name;
}
