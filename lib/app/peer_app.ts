import { basename, join } from "node:path";
import { isOn, textOf } from "../cli/arguments/arguments.ts";
import { escapeText } from "../cli/output/escape.ts";
import type { Menu, MenuActions } from "../cli/terminal/menu.ts";
import { PEER_PROGRAM } from "../cli/arguments/programs.ts";
import { ExitCode, P2PError } from "../errors.ts";
import { formatAddress } from "../net/transport.ts";
import { History } from "../peer/history.ts";
import { chooseById, Outbox } from "../peer/outbox.ts";
import type { Peer } from "../peer/peer.ts";
import { forgetUnreceived, listUnreceived } from "../inbox/unfinished.ts";
import type { AppEvent } from "../events.ts";
import { StreamContent } from "../content/stream_content.ts";
import { exitCodeOfReports, type SendReport } from "../peer/send_job.ts";
import { firstIdentity } from "../peer/slots.ts";
import { choose, inboxOf, listed, makePeer, remember } from "./peer_setup.ts";
import { aborted, type Command, type CommandContext, type Program, runProgram } from "./program.ts";
import { stateFolders } from "./state_folder.ts";

/** The `peer` program. What only some commands need is loaded by those: the others start sooner. */
const PROGRAM: Program = {
  spec: PEER_PROGRAM,
  menus: ["menu"],
  commands: {
    menu,
    run: listed((peer, context) => serve(peer, context)),
    peers: oneShot(peers),
    ping: oneShot(ping),
    broadcast: oneShot(broadcast),
    send: oneShot(send),
    share: async (context) => await (await import("./share.ts")).share(context),
    receive: async (context) => await (await import("./receive.ts")).receive(context),
    trust: oneShot(trust),
    history,
    resume: oneShot(resume),
    forget,
  },
};

/** Runs the `peer` program and resolves with its exit code. */
export function runPeer(args: readonly string[]): Promise<ExitCode> {
  return runProgram(PROGRAM, args);
}

/** A command that asks, does and ends; it is not listed. */
function oneShot(body: (peer: Peer, context: CommandContext) => Promise<ExitCode>): Command {
  return async (context) => {
    const { folder, network } = await choose(context);
    const identity = await firstIdentity(folder);
    await using peer = makePeer(context, { identity, folder, network, role: "client" });
    const working = (async () => {
      await peer.join();
      await remember(folder, network);
      return await body(peer, context);
    })();
    working.catch(() => {});
    const stopped = aborted(context.signal).then(() => ExitCode.interrupted);
    return await Promise.race([working, stopped]);
  };
}

/** Receives until a signal comes; then lets transfers under way end, until a second one. */
async function serve(peer: Peer, { signal, again, emit }: CommandContext): Promise<ExitCode> {
  await Promise.race([aborted(signal), peer.refused]);
  if (peer.isBusy) {
    emit({
      event: "notice",
      message: "Waiting for transfers under way; interrupt again to stop now",
    });
  }
  await peer.stop(again);
  return ExitCode.done;
}

async function menu(context: CommandContext): Promise<ExitCode> {
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
    // Ctrl-C that ended the menu does not end the transfers; the next one does.
    await peer.stop(signal.aborted ? again : signal);
    return exitCode;
  });
  return await command(context);
}

function menuActions(peer: Peer, menu: Menu, context: CommandContext): MenuActions {
  const data = textOf(context.command.values, "data") ?? "data";
  return {
    ping: async (target) => void await peer.ping(target),
    broadcast: async (text) => void await peer.sendBroadcastMessage(text),
    sendFile: async (name, recipients) => {
      const path = await findFile(data, name);
      const to = recipients.length > 0 ? recipients : await askRecipient(peer, menu);
      failIfFailed([await peer.sendFile(path, to)]);
    },
    peers: () => listPeers(peer, context),
    history: () => listHistory(peer, context),
    dataFiles: () => dataFiles(data),
    peerNames: () => peer.knownPeers.map(({ name }) => name),
  };
}

/** Asks until the answer is yes or no, which an empty one is. */
/** With several peers about, a person is asked; nothing to ask leaves it to `sendFile`. */
async function askRecipient(peer: Peer, menu: Menu): Promise<string[]> {
  const others = await peer.updatePeersList();
  if (others.length < 2 || !menu.interactive) return [];
  const names = others.map(({ name }) => escapeText(name)).join(", ");
  const answer = await menu.ask(`To whom (${names} or all)? `);
  if (answer === "") throw new P2PError("usage", "Cannot send: no recipient was named");
  return [answer];
}

/** The menu shows the report; a script's exit code comes from here. */
function failIfFailed(reports: SendReport[]): void {
  const [failure] = reports.flatMap(({ failures }) => failures);
  if (!failure) return;
  const isPartial = exitCodeOfReports(reports) === ExitCode.partialDelivery;
  if (!isPartial) throw failure;
  throw new P2PError("partial-delivery", `Cannot deliver to all: ${failure.message}`);
}

async function peers(peer: Peer, context: CommandContext): Promise<ExitCode> {
  if (!peer.isConnected) {
    throw new P2PError("tracker-unreachable", "Cannot list the peers: the tracker does not answer");
  }
  await listPeers(peer, context);
  return ExitCode.done;
}

async function listPeers(peer: Peer, { emit }: CommandContext): Promise<void> {
  const entries = peer.isConnected ? await peer.updatePeersList() : peer.knownPeers;
  for (const entry of entries) {
    const { id, name, reachable } = entry;
    emit({ event: "peer", id, name, address: formatAddress(entry), reachable });
  }
  if (entries.length === 0) emit({ event: "notice", message: "No other peer is there" });
}

async function ping(peer: Peer, { command }: CommandContext): Promise<ExitCode> {
  await peer.ping(command.positionals[0] ?? "");
  return ExitCode.done;
}

async function broadcast(peer: Peer, { command }: CommandContext): Promise<ExitCode> {
  await peer.sendBroadcastMessage(command.positionals.join(" "));
  return ExitCode.done;
}

async function send(peer: Peer, context: CommandContext): Promise<ExitCode> {
  const { command, signal } = context;
  const to = textOf(command.values, "to");
  const reports: SendReport[] = [];
  const recipients = to === undefined ? [] : [to];
  if (command.positionals.filter((path) => path === "-").length > 1) {
    throw new P2PError("usage", "Cannot send standard input twice: `-` may stand once");
  }
  const input = command.positionals.includes("-") ? standardInput(command) : null;
  const follow = isOn(command.values, "follow");
  for (const path of command.positionals) {
    reports.push(
      path === "-" && input
        ? await peer.sendStream(input, recipients, { signal })
        : await peer.sendFile(path, recipients, { signal, follow }),
    );
  }
  return exitCodeOfReports(reports);
}

function standardInput({ values, explicit }: CommandContext["command"]): StreamContent {
  const name = textOf(values, "name");
  if (name !== undefined && explicit.has("name")) {
    return new StreamContent(Deno.stdin.readable, name);
  }
  throw new P2PError("usage", "Cannot send standard input: it has no name; say --name NAME");
}

async function trust(peer: Peer, { command, emit }: CommandContext): Promise<ExitCode> {
  const entry = await peer.trust(command.positionals[0] ?? "");
  emit({ event: "notice", message: `${entry.name} is id:${entry.id} from now on` });
  return ExitCode.done;
}

async function history(context: CommandContext): Promise<ExitCode> {
  const { peers } = stateFolders(textOf(context.command.values, "state"), context.env);
  await listHistory({ history: new History(peers), outbox: new Outbox(peers) }, context);
  return ExitCode.done;
}

/** Sends what is left of transfers that did not come to their end. */
async function resume(peer: Peer, { command, signal, emit }: CommandContext): Promise<ExitCode> {
  const unsent = chooseById(await peer.outbox.list(), command.positionals[0] ?? "");
  if (unsent.length === 0) emit({ event: "notice", message: "Nothing is unfinished" });
  const reports: SendReport[] = [];
  for (const { path, to, follow, id } of unsent) {
    const recipients = to.map((recipient) => `id:${recipient.id}`);
    reports.push(await peer.sendFile(path, recipients, { signal, follow }));
    await peer.outbox.remove(id);
  }
  return exitCodeOfReports(reports);
}

async function forget({ command, env, emit }: CommandContext): Promise<ExitCode> {
  const { peers } = stateFolders(textOf(command.values, "state"), env);
  const outbox = new Outbox(peers);
  const unsent = (await outbox.list()).map((entry) => ({
    ...entry,
    forget: () => outbox.remove(entry.id),
  }));
  const unreceived = (await listUnreceived(inboxOf(command))).map((entry) => ({
    ...entry,
    forget: () => forgetUnreceived(entry),
  }));
  for (
    const { name, forget } of chooseById([...unsent, ...unreceived], command.positionals[0] ?? "")
  ) {
    await forget();
    emit({ event: "notice", message: `Forgot ${name}` });
  }
  return ExitCode.done;
}

async function listHistory(
  { history, outbox }: { history: History; outbox: Outbox },
  { emit, command }: CommandContext,
): Promise<void> {
  let empty = true;
  const show = (event: AppEvent) => {
    emit(event);
    empty = false;
  };
  for await (const entry of history.entries()) show(entry);
  for (const { id, at, name, size, path, to } of await outbox.list()) {
    const peers = to.map((recipient) => recipient.name);
    show({ event: "unfinished", id, direction: "send", at, name, size, peers, path });
  }
  for (const { id, at, name, size, bytes, from } of await listUnreceived(inboxOf(command))) {
    show({ event: "unfinished", id, direction: "receive", at, name, size, bytes, peers: [from] });
  }
  if (empty) emit({ event: "notice", message: "Nothing has been sent or received yet" });
}

async function dataFiles(data: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isFile } of Deno.readDir(data)) if (isFile) names.push(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}

/** A name in the data folder first, then a path. */
async function findFile(data: string, name: string): Promise<string> {
  const inData = join(data, name);
  const isThere = name === basename(name) &&
    await Deno.stat(inData).then(({ isFile }) => isFile, () => false);
  return isThere ? inData : name;
}
