import { join } from "node:path";
import {
  addressOf,
  isOn,
  numberOf,
  type ParsedCommand,
  textOf,
} from "../cli/arguments/arguments.ts";
import { TRACKER_PROGRAM } from "../cli/arguments/programs.ts";
import { ExitCode, P2PError } from "../errors.ts";
import { formatInvite, type Invite } from "../identity/invite.ts";
import { Identity, loadOrCreateIdentity, randomToken } from "../identity/keys.ts";
import { loadOrCreateNetwork, type NetworkKey, rotateSecret } from "../identity/network.ts";
import { readPrivate, replacePrivate } from "../disk/private_file.ts";
import { type Address, formatAddress } from "../net/transport.ts";
import { composeMessage } from "../peer/text_message.ts";
import { resolveTarget } from "../directory/target.ts";
import { TrackerClient } from "../directory/tracker_client.ts";
import { MemoryRegistry } from "../tracker/registry/memory_registry.ts";
import { serveTracker, type TrackerObserver } from "../tracker/serve.ts";
import { listenAsTracker } from "../tracker/tracker_network.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { PeerEntry } from "../wire/message.ts";
import { isWildcard, machineAddresses } from "./addresses.ts";
import { announceTracker, findTracker } from "./local_tracker.ts";
import { type CommandContext, type Program, runProgram } from "./program.ts";
import { stateFolders } from "./state_folder.ts";

/** The `tracker` program. */
const PROGRAM: Program = {
  spec: TRACKER_PROGRAM,
  commands: { run, invite, peers, broadcast, remove },
};

/** Runs the `tracker` program and resolves with its exit code. */
export function runTracker(args: readonly string[]): Promise<ExitCode> {
  return runProgram(PROGRAM, args);
}

async function run({ command, emit, env, signal }: CommandContext): Promise<ExitCode> {
  const { values } = command;
  const folder = folderOf(command, env);
  const { host, port } = listenOn(command);
  const insecure = isOn(values, "insecure");
  const trust = insecure ? null : {
    network: await loadOrCreateNetwork(folder),
    rotate: async () => {
      const network = await rotateSecret(folder);
      await announce(network);
      return network;
    },
  };
  const registry = new MemoryRegistry(() => randomToken(16), {
    barred: insecure ? [] : await loadBarred(folder),
    saveBarred: (ids) => replacePrivate(join(folder, "barred.json"), JSON.stringify(ids)),
  });
  const identity = await loadOrCreateIdentity(join(folder, "identity.key"));
  const listener = listenAsTracker({ host, port }, { identity, trust });
  await using tracker = serveTracker(listener, {
    identity,
    trust,
    registry,
    signal,
    advertise: advertised(command),
    allowAdvertise: isOn(values, "allow-advertise"),
    pingAfter: milliseconds(numberOf(values, "ping-after")),
    pongTimeout: milliseconds(numberOf(values, "pong-timeout")),
    observer: observer(emit),
  });
  const announce = (network: NetworkKey | null) => {
    const at = reachableAt(command, tracker.address);
    return announceTracker(folder, { ...at, invite: network ? inviteAt(at, network) : null });
  };
  await announce(trust?.network ?? null);
  emit({
    event: "listening",
    ...tracker.address,
    id: tracker.id,
    secure: !insecure,
    ...(tracker.invite ? { invite: tracker.invite } : {}),
  });
  await tracker.closed;
  return ExitCode.done;
}

/** Prints the invite, of the running tracker or of the one that ran last. */
async function invite(context: CommandContext): Promise<ExitCode> {
  const { command, emit, env } = context;
  if (isOn(command.values, "insecure")) {
    throw new P2PError(
      "usage",
      "Cannot invite: with --insecure there are no invites; leave it out",
    );
  }
  const folder = folderOf(command, env);
  const known = await findTracker(folder);
  const network = isOn(command.values, "rotate")
    ? await rotate(context, known !== null)
    : await loadOrCreateNetwork(folder);
  const at = known ?? reachableAt(command, listenOn(command));
  const addresses = machineAddresses().filter((address) => address !== at.host);
  emit({
    event: "invite",
    invite: formatInvite(inviteAt(at, network)),
    ...(addresses.length > 0 ? { addresses } : {}),
  });
  return ExitCode.done;
}

/** Asks the running tracker for a new secret; makes one in its files when it does not run. */
async function rotate(context: CommandContext, hasRun: boolean): Promise<NetworkKey> {
  const folder = folderOf(context.command, context.env);
  if (hasRun) {
    try {
      await using client = await operate(context);
      await client.rotate();
      return await loadOrCreateNetwork(folder);
    } catch (error) {
      if (!(error instanceof P2PError) || error.code !== "tracker-unreachable") throw error;
    }
  }
  const network = await rotateSecret(folder);
  const known = await findTracker(folder);
  if (known) await announceTracker(folder, { ...known, invite: inviteAt(known, network) });
  return network;
}

async function peers(context: CommandContext): Promise<ExitCode> {
  await using client = await operate(context);
  for (const entry of await client.refresh()) {
    const { id, name, reachable } = entry;
    context.emit({ event: "peer", id, name, address: formatAddress(entry), reachable });
  }
  return ExitCode.done;
}

async function broadcast(context: CommandContext): Promise<ExitCode> {
  const { command, env, emit } = context;
  await using client = await operate(context);
  const folder = folderOf(command, env);
  const message = composeMessage(command.positionals.join(" "), {
    identity: await loadOrCreateIdentity(join(folder, "identity.key")),
    network: isOn(command.values, "insecure")
      ? undefined
      : (await loadOrCreateNetwork(folder)).key.id,
    name: "tracker",
  });
  const delivered = await client.broadcast(message.header, message.text);
  emit({ event: "broadcast-sent", id: message.header.id, delivered });
  return ExitCode.done;
}

async function remove(context: CommandContext): Promise<ExitCode> {
  await using client = await operate(context);
  const [target = ""] = context.command.positionals;
  const plain = target.replace(/^id:/, "");
  const id = isBase64Url(plain, 32) ? plain : resolveTarget(target, await client.refresh()).id;
  await client.remove(id);
  context.emit({ event: "removed", id });
  return ExitCode.done;
}

/** Connects to the running tracker as its operator, with its own key. */
async function operate({ command, env }: CommandContext): Promise<TrackerClient> {
  const folder = folderOf(command, env);
  const insecure = isOn(command.values, "insecure");
  const explicit = command.explicit.has("port") || command.explicit.has("host");
  const known = explicit ? null : await findTracker(folder);
  const network = insecure ? null : await loadOrCreateNetwork(folder);
  const client = new TrackerClient({
    address: known ?? listenOn(command),
    credentials: {
      identity: insecure
        ? Identity.generate()
        : await loadOrCreateIdentity(join(folder, "identity.key")),
      role: insecure ? "client" : "operator",
      membership: network ? { id: network.key.id, secret: network.secret } : null,
    },
  });
  await client.connect();
  return client;
}

function folderOf(command: ParsedCommand, env: CommandContext["env"]): string {
  return stateFolders(textOf(command.values, "state"), env).tracker;
}

function listenOn({ values }: ParsedCommand): Address {
  return { host: textOf(values, "host") ?? "localhost", port: numberOf(values, "port") ?? 5000 };
}

/** The address that others reach the tracker at: as advertised, or this machine's own. */
function reachableAt(command: ParsedCommand, { host, port }: Address): Address {
  const [own = "127.0.0.1"] = isWildcard(host) ? machineAddresses() : [host];
  return { host: own, port, ...advertised(command) };
}

function advertised(command: ParsedCommand): Partial<Address> | undefined {
  const given = addressOf(command.values, "advertise");
  if (given) return { host: given.host, ...(given.port === null ? {} : { port: given.port }) };
  const { host } = listenOn(command);
  const [own] = isWildcard(host) ? machineAddresses() : [];
  return own === undefined ? undefined : { host: own };
}

function inviteAt({ host, port }: Address, { key, secret }: NetworkKey): Invite {
  return { host, port, network: key.id, secret };
}

async function loadBarred(folder: string): Promise<string[]> {
  const text = await readPrivate(join(folder, "barred.json"));
  if (text === null) return [];
  try {
    const ids: unknown = JSON.parse(text);
    if (Array.isArray(ids) && ids.every((id) => isBase64Url(id, 32))) return ids;
  } catch {
    // Said below.
  }
  throw new P2PError(
    "disk",
    `Cannot read ${join(folder, "barred.json")}: it is not a list of ids; mend it or move it away`,
  );
}

function observer(emit: CommandContext["emit"]): TrackerObserver {
  const brief = (entry: PeerEntry) => ({
    id: entry.id,
    name: entry.name,
    address: formatAddress(entry),
  });
  return {
    onJoined: (entry) => emit({ event: "peer-joined", ...brief(entry) }),
    onLeft: (entry, reason) => emit({ event: "peer-left", ...brief(entry), reason: reason.text }),
    onRefused: ({ message, code }, from) => {
      if (code === "connection-lost" || code === "timeout") return;
      emit({ event: "notice", message: `Refused ${formatAddress(from)}: ${message}` });
    },
  };
}

function milliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}
