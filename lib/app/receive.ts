import { isOn, textOf } from "../cli/arguments/arguments.ts";
import type { AppEvent } from "../events.ts";
import { ExitCode, P2PError, reasonOf } from "../errors.ts";
import { type Invite, parseInvite } from "../identity/invite.ts";
import { formatAddress } from "../address.ts";
import type { Peer, PeerOptions } from "../peer/peer.ts";
import { takeSlot } from "../peer/slots.ts";
import { ask, pastedInvite, warnOfProcessList } from "./pasted_invite.ts";
import { interrupted, listed, makePeer, noticeOf } from "./peer_setup.ts";
import { fromInvite } from "./network_choice.ts";
import type { CommandContext } from "./program.ts";
import { OneTransfer, type Reception, ShareReception } from "./reception.ts";
import { stateFolders } from "./state_folder.ts";

/** Events that the receiver of a share does not show to people: they came for the files. */
const PLUMBING: ReadonlySet<AppEvent["event"]> = new Set<AppEvent["event"]>([
  "listening",
  "registered",
  "unregistered",
  "peer-joined",
  "peer-left",
]);

/** `peer receive`: takes what a share hands over, or one transfer, and ends. */
export async function receive(context: CommandContext): Promise<ExitCode> {
  const { command: { positionals, values, typed } } = context;
  if (isOn(values, "stdout") && isOn(values, "json")) {
    throw new P2PError("usage", "Cannot use --stdout with --json: both write to standard output");
  }
  if (isOn(values, "stdout")) await expectNoBinary(context);
  const [given] = positionals;
  if (given !== undefined && given !== "-") warnOfProcessList("peer receive", context);
  const invite = await (given === undefined ? askedInvite(context) : pastedInvite(given, context));
  if (invite === null) return await receiveListed(context);
  for (const flag of ["join", "tracker"]) {
    if (!typed.has(flag)) continue;
    throw new P2PError(
      "usage",
      `Cannot use an invite with --${flag}: the invite says which network; leave one of them out`,
    );
  }
  if (isOn(values, "insecure")) {
    throw new P2PError(
      "usage",
      "Cannot use an invite with --insecure: it is for encrypted networks; leave one of them out",
    );
  }
  try {
    return await receiveBy(invite, context);
  } catch (error) {
    throw error instanceof P2PError ? explain(error, invite) : error;
  }
}

/** Flags that are about the usual network: whoever types one of them has no invite to paste. */
const OF_THE_NETWORK = [
  "join",
  "tracker",
  "insecure",
  "name",
  "host",
  "port",
  "advertise",
  "map-port",
];

/** The invite that a person pastes; null when there is nobody to ask, or the usual network is meant. */
async function askedInvite({ command: { typed }, signal }: CommandContext): Promise<Invite | null> {
  if (!Deno.stdin.isTerminal() || OF_THE_NETWORK.some((flag) => typed.has(flag))) return null;
  const line = await ask(
    "Paste the invite that `peer share` shows, or press Enter to take one transfer of your network: ",
    signal,
  );
  return line.trim() === "" ? null : parseInvite(line);
}

/**
 * Asks before whatever arrives is written to a terminal, which obeys some of it.
 *
 * @throws {P2PError} `usage` when the answer is not yes, or there is nobody to ask.
 */
async function expectNoBinary({ signal }: CommandContext): Promise<void> {
  if (!Deno.stdout.isTerminal()) return;
  const question = "Show what arrives on this terminal, which it may confuse? [y/N] ";
  if (Deno.stdin.isTerminal() && /^y(es)?$/i.test((await ask(question, signal)).trim())) return;
  throw new P2PError(
    "usage",
    "Cannot use --stdout: standard output is a terminal; add `> FILE` or `| PROGRAM`, or leave it out",
  );
}

/** Receives one transfer on the usual network, listed like any other peer. */
async function receiveListed(context: CommandContext): Promise<ExitCode> {
  const one = new OneTransfer();
  const command = listed(async (peer, { signal, again }) => {
    await Promise.race([one.ended, peer.refused, interrupted(signal)]);
    await peer.stop(again);
    return ExitCode.done;
  }, { more: { takeOffer: (offer) => one.accept(offer), ...streamTargetOf(context) } });
  return await command({
    ...context,
    emit(event) {
      context.emit(event);
      one.onEvent(event);
    },
  });
}

/** Receives on the network of an invite, which is not remembered: all of a share, or else one transfer. */
async function receiveBy(
  invite: Invite,
  context: CommandContext,
): Promise<ExitCode> {
  const { command: { values }, env, emit, signal, again } = context;
  const folder = stateFolders(textOf(values, "state"), env).peers;
  using slot = await takeSlot(folder, noticeOf(context));
  const ready = Promise.withResolvers<void>();
  let reception: Reception = new OneTransfer();
  let isShare = false;
  const peer = makePeer(
    {
      ...context,
      emit(event) {
        const shown = isShare && !isOn(values, "json") ? forPeople(event) : event;
        if (shown) emit(shown);
        reception.onEvent(event);
      },
    },
    {
      identity: slot.identity,
      folder,
      network: fromInvite(invite),
      role: "peer",
    },
    {
      transient: true,
      takeOffer: (offer) => reception.accept(offer),
      onTrackerEnded: (error) => reception.onTrackerEnded(error),
      ...streamTargetOf(context),
    },
  );
  const working = async () => {
    await peer.connect();
    isShare = peer.isShare;
    if (isShare) {
      reception = new ShareReception({
        sharer: invite.network,
        ready: ready.promise,
        contents: () => peer.contents ?? 1,
      });
    }
    await peer.start();
    if (isShare) emit({ event: "notice", message: welcome(peer, invite.network) });
    ready.resolve();
    await Promise.race([reception.ended, peer.refused]);
    await peer.stop(again);
    return ExitCode.done;
  };
  try {
    return await Promise.race([working(), interrupted(signal)]);
  } finally {
    // An offer that still waits for it has to end.
    ready.resolve();
    await peer[Symbol.asyncDispose]();
  }
}

/** The option that sends the bytes to standard output as they come, with `--stdout`. */
function streamTargetOf({ command: { values } }: CommandContext): Pick<PeerOptions, "streamTo"> {
  if (!isOn(values, "stdout")) return {};
  return {
    async streamTo(bytes) {
      for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
    },
  };
}

/** The event as a person sees it, or null: to people there is a share and no tracker. */
function forPeople(event: AppEvent): AppEvent | null {
  if (event.event === "tracker-lost") {
    return { event: "notice", message: `Lost the share: ${event.reason}; trying to come back` };
  }
  return PLUMBING.has(event.event) ? null : event;
}

/** The line that a person sees while the receiver waits for its turn. */
function welcome(peer: Peer, sharer: string): string {
  const name = peer.knownPeers.find(({ id }) => id === sharer)?.name ?? sharer.slice(0, 8);
  return `Joined the share of ${name}; files go to ${peer.inboxPath}`;
}

/** The error of a tracker in the words of somebody who pasted a line and knows of no tracker. */
export function explain(error: P2PError, { host, port }: Invite): P2PError {
  const where = formatAddress({ host, port });
  switch (error.code) {
    case "wrong-secret":
    case "wrong-network":
      return new P2PError(
        error.code,
        `Cannot receive from ${where}: the invite is not of what runs there now; ` +
          "paste the line that `peer share` prints",
        { cause: error },
      );
    case "tracker-unreachable":
      return error.cause === undefined ? error : new P2PError(
        error.code,
        `${reasonOf(error.cause)}; is \`peer share\` still running there, and that port open?`,
        { cause: error },
      );
    default:
      return error;
  }
}
