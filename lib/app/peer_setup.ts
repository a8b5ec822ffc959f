/**
 * From flags to a running {@linkcode Peer}: which network, which identity, and how a command of a listed
 * peer starts and ends.
 *
 * @module
 */

import { reachOf } from "../address.ts";
import { untilAborted } from "../async/abort.ts";
import {
  addressOf,
  type FlagValues,
  isOn,
  millisecondsOf,
  numberOf,
  type ParsedCommand,
  textOf,
} from "../cli/arguments/arguments.ts";
import { escapeText } from "../cli/output/escape.ts";
import { formatSize, nameOf } from "../cli/output/format.ts";
import type { Menu } from "../cli/terminal/menu.ts";
import { isMeant } from "../directory/target.ts";
import { ExitCode, P2PError, reasonOf } from "../errors.ts";
import type { AppEvent } from "../events.ts";
import type { Invite } from "../identity/invite.ts";
import type { Identity } from "../identity/keys.ts";
import { recallNetwork, rememberNetwork } from "../identity/network.ts";
import { onDemand } from "../on_demand.ts";
import { type AcceptRule, parseAcceptRule } from "../peer/accept_rule.ts";
import type { AskPerson } from "../peer/offer_policy.ts";
import { Peer, type PeerOptions } from "../peer/peer.ts";
import { firstIdentity, takeSlot } from "../peer/slots.ts";
import { isGroupName, MAX_GROUPS } from "../wire/group_name.ts";
import { defaultPeerName, isPeerName } from "../wire/peer_name.ts";
import { findTracker } from "./local_tracker.ts";
import { chooseNetwork, type NetworkChoice } from "./network_choice.ts";
import type { Command, CommandContext } from "./program.ts";
import { stateFolders } from "./state_folder.ts";

/** Identity, state and network of a command's peer. */
export interface PeerSetup {
  identity: Identity;
  /** Folder of the state of this user's peers. */
  folder: string;
  network: Pick<NetworkChoice, "tracker" | "membership">;
  role: "peer" | "client";
}

/** How {@linkcode listed} starts. */
export interface ListedOptions {
  /** What overrides the flags. */
  more?: Partial<PeerOptions>;
  /** Runs what joins; by default once. */
  start?: (join: () => Promise<void>, context: CommandContext) => Promise<void>;
}

/**
 * Makes a command of a peer that is listed and receives while it runs: takes a slot for its identity, joins, runs
 * `body`, leaves.
 */
export function listed(
  body: (peer: Peer, context: CommandContext) => Promise<ExitCode>,
  { more = {}, start = (join) => join() }: ListedOptions = {},
): Command {
  return async (context) => {
    const { folder, network } = await choose(context);
    using slot = await takeSlot(folder, noticeOf(context));
    const { identity } = slot;
    const http = addressOf(context.command.values, "http") === undefined
      ? undefined
      : await onDemand<typeof import("./peer_http.ts")>("./peer_http.ts", import.meta.url);
    const watch = http && new http.PeerWatch();
    const emit = (event: AppEvent) => {
      watch?.onEvent(event);
      context.emit(event);
    };
    const setup = { identity, folder, network, role: "peer" } as const;
    const peer = makePeer({ ...context, emit }, setup, more);
    try {
      await using page = watch &&
        await http?.servePeerPage(context, watch.statusOf(peer, folder), folder);
      if (page) emit({ event: "http", url: page.url });
      const join = async () => {
        if (!peer.isConnected) await peer.connect();
        await remember(network, folder, context);
        await peer.start();
      };
      const starting = start(join, context);
      const stopped = interrupted(context.signal).catch((error) => {
        // A registered peer is up, though its list may still be on its way: the body runs, sees the signal, and leaves
        // as it should.
        if (!peer.isRegistered) throw error;
        return starting;
      });
      await Promise.race([starting, stopped]);
      sayWhoIsAway(peer, context);
      return await body(peer, context);
    } finally {
      // However it ends, as when the menu's terminal is gone in the middle of a line.
      if (peer.isRegistered) await peer.unregisterFromTracker().catch(() => {});
      await peer[Symbol.asyncDispose]();
    }
  };
}

/** Says whom `--accept` names that is not there: it may be misspelt. */
function sayWhoIsAway(peer: Peer, { command: { values }, emit }: CommandContext): void {
  const rule = acceptRule(values);
  if (rule.who !== "peers") return;
  const away = rule.peers.filter((target) =>
    !peer.knownPeers.some((entry) => isMeant(target, entry))
  );
  if (away.length === 0) return;
  const message = `Not there now: ${
    away.join(", ")
  }; --accept takes files of these peers once they are`;
  emit({ event: "notice", message });
}

/**
 * A command that asks, does and ends; its peer is not listed.
 *
 * @param to whom the command will talk to, by its arguments; by default to nobody but the tracker.
 */
export function oneShot(
  body: (peer: Peer, context: CommandContext) => Promise<ExitCode>,
  to: (command: ParsedCommand) => readonly string[] | undefined = () => undefined,
): Command {
  return async (context) => {
    const { folder, network } = await choose(context);
    const identity = await firstIdentity(folder, noticeOf(context));
    await using peer = makePeer(context, { identity, folder, network, role: "client" });
    const working = (async () => {
      await peer.join(to(context.command));
      await remember(network, folder, context);
      return await body(peer, context);
    })();
    working.catch(() => {});
    const stopped = untilAborted(context.signal).then(() => ExitCode.interrupted);
    return await Promise.race([working, stopped]);
  };
}

/** Shows what a person should know. */
export function noticeOf({ emit }: CommandContext): (message: string) => void {
  return (message) => emit({ event: "notice", message });
}

/** Rejects when a signal asks to end: a command that is still starting has nothing under way that is to be let end. */
export async function interrupted(signal: AbortSignal): Promise<never> {
  await untilAborted(signal);
  throw signal.reason;
}

/**
 * Chooses the network of a command, by its flags, the invite that is remembered and the tracker of this machine; and the
 * folder of the state of this user's peers.
 */
export async function choose(
  context: CommandContext,
): Promise<{ folder: string; network: NetworkChoice }> {
  const { command: { values, explicit }, env } = context;
  const folders = stateFolders(textOf(values, "state"), env);
  const { host, port } = addressOf(values, "tracker") ?? { host: "localhost", port: null };
  const network = chooseNetwork({
    insecure: isOn(values, "insecure"),
    join: await joinInvite(context),
    tracker: { host, port: port ?? 5000 },
    isTrackerExplicit: explicit.has("tracker"),
    remembered: await recallNetwork(folders.peers),
    local: await findTracker(folders.tracker),
  });
  return { folder: folders.peers, network };
}

/** The invite of `--join`, if it is given. */
async function joinInvite(context: CommandContext): Promise<Invite | null> {
  const { values, typed } = context.command;
  const given = textOf(values, "join");
  if (given === undefined) return null;
  const { pastedInvite, warnOfProcessList } = await onDemand<typeof import("./pasted_invite.ts")>(
    "./pasted_invite.ts",
    import.meta.url,
  );
  if (given !== "-" && typed.has("join")) warnOfProcessList("peer --join -", context);
  return await pastedInvite(given, context);
}

/** Keeps a pasted invite once it has worked; where that is impossible the command goes on all the same. */
export async function remember(
  { joined }: NetworkChoice,
  folder: string,
  context: CommandContext,
): Promise<void> {
  if (!joined) return;
  try {
    await rememberNetwork(folder, joined);
  } catch (error) {
    noticeOf(context)(
      `Cannot remember the network: ${reasonOf(error)}; the next command needs --join again`,
    );
  }
}

/** A peer by the flags of a command; `more` is what the command decides itself. */
export function makePeer(
  { command, emit, menu }: CommandContext,
  { identity, folder, network, role }: PeerSetup,
  more: Partial<PeerOptions> = {},
): Peer {
  const { tracker, membership } = network;
  const { values, explicit, typed } = command;
  const host = textOf(values, "host");
  // A variable is meant for the peer that runs: a command beside it takes a free port.
  const isPortMeant = role === "peer" || typed.has("port");
  return new Peer({
    identity,
    membership,
    tracker,
    role,
    // The --name of `send` is that of what it sends.
    name: peerName(command.command === "send" ? undefined : textOf(values, "name")),
    host: host === "auto" ? undefined : host,
    port: isPortMeant ? numberOf(values, "port") : undefined,
    groups: groupsIn(values),
    advertise: explicit.has("advertise") ? advertisedAddress(values) : undefined,
    mapPort: isMapped(values),
    received: inboxOf(command),
    folder,
    accept: acceptRule(values),
    askPerson: menu?.interactive ? askToAccept(menu) : undefined,
    maxSize: numberOf(values, "max-size"),
    quota: numberOf(values, "quota"),
    limitRate: numberOf(values, "limit-rate"),
    ackTimeout: millisecondsOf(values, "ack-timeout"),
    giveUpAfter: millisecondsOf(values, "give-up-after"),
    keepPartials: millisecondsOf(values, "keep-partials"),
    parallel: numberOf(values, "parallel"),
    seedFor: millisecondsOf(values, "seed-for"),
    emit,
    ...more,
  });
}

/** The address of `--advertise`: a name would be resolved by whoever dials, and is listed by no tracker. */
function advertisedAddress(values: ParsedCommand["values"]): PeerOptions["advertise"] {
  const address = addressOf(values, "advertise");
  if (address && reachOf(address.host) === undefined) {
    throw new P2PError(
      "usage",
      `Cannot use --advertise: '${address.host}' is not an IP address; write one, ` +
        "for example 192.168.1.7:5001",
    );
  }
  return address;
}

/** The groups of `--group`. */
function groupsIn(values: FlagValues): string[] {
  const groups = (textOf(values, "group") ?? "").split(",").map((group) => group.trim())
    .filter(Boolean);
  const wrong = groups.find((group) => !isGroupName(group));
  if (wrong !== undefined) {
    throw new P2PError(
      "usage",
      `Cannot use --group: '${wrong}' is no name of a group; write 1 to 32 of a-z, 0-9, dots, dashes and ` +
        "underscores, with a letter or digit first",
    );
  }
  if (new Set(groups).size > MAX_GROUPS) {
    throw new P2PError(
      "usage",
      `Cannot use --group: ${groups.join(",")} are more than ${MAX_GROUPS} groups; leave some out`,
    );
  }
  return groups;
}

/** Whether a router is asked to lead a port to the peer. */
function isMapped(values: FlagValues): boolean {
  if (!isOn(values, "map-port") || !isOn(values, "insecure")) return isOn(values, "map-port");
  throw new P2PError(
    "usage",
    "Cannot use --map-port with --insecure: whoever is on the Internet could send files; leave one " +
      "of them out",
  );
}

/** Folder for the files that arrive. */
export function inboxOf({ values }: ParsedCommand): string {
  return textOf(values, "received") ?? "received_files";
}

function acceptRule(values: FlagValues): AcceptRule {
  const rule = parseAcceptRule(textOf(values, "accept") ?? "members");
  if (rule.who !== "peers" || !isOn(values, "insecure")) return rule;
  throw new P2PError(
    "usage",
    "Cannot use --accept with peers and --insecure together: without keys nobody can be told apart",
  );
}

/** A question at the menu that is asked until the answer is yes or no; an empty one means no. */
function askToAccept(menu: Menu): AskPerson {
  return async ({ name, size, peer }, signal) => {
    const what = `${escapeText(name)}${size === null ? "" : ` (${formatSize(size)})`}`;
    while (true) {
      const answer = await menu.ask(`Accept ${what} from ${nameOf(peer)}? [y/N] `, signal);
      if (/^y(es)?$/i.test(answer)) return true;
      if (/^(no?)?$/i.test(answer)) return false;
    }
  };
}

/** The name to be listed under: as given, or this machine's. */
export function peerName(flag: string | undefined): string {
  if (flag === undefined) return defaultPeerName(Deno.hostname());
  if (isPeerName(flag)) return flag;
  throw new P2PError(
    "usage",
    `Cannot use the name '${flag}': names have 1 to 64 characters without spaces and without , @ : / ` +
      "and are not `all` or `tracker`",
  );
}
