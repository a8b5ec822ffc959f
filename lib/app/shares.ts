import { textOf } from "../cli/arguments/arguments.ts";
import type { TrackerClient } from "../directory/tracker_client.ts";
import { asP2PError, attributed, ExitCode, P2PError } from "../errors.ts";
import type { ShareEvent, ShareRecipientEvent } from "../events.ts";
import { Ledger, type NotedShare } from "../peer/ledger.ts";
import { lacking } from "../peer/share_log.ts";
import type { ReportedRecipient, ReportedShare } from "../wire/message.ts";
import { chooseById, expectAllRead } from "./noted.ts";
import { oneShot } from "./peer_setup.ts";
import type { CommandContext } from "./program.ts";
import { stateFolders } from "./state_folder.ts";
import { operate } from "./tracker_setup.ts";

/** A share to show, and its recipients for whoever asks for them. */
interface Shown {
  id: string;
  event: ShareEvent;
  recipients(): Promise<Omit<ShareRecipientEvent, "event" | "share" | "size">[]>;
}

/** Who has heard of shares: a tracker, or a peer that asks its own. */
type Informed = Pick<TrackerClient, "shares" | "recipientsOf">;

/**
 * `peer shares`: what this user's peers have sent and who has it, and what others have told the tracker of theirs. The
 * first needs no tracker.
 */
export async function shares(context: CommandContext): Promise<ExitCode> {
  const { command, env, emit } = context;
  const { peers } = stateFolders(textOf(command.values, "state"), env);
  const unread: string[] = [];
  const noted = await new Ledger(peers).list((message) => unread.push(message));
  const own = noted.map(notedShare);
  let hasAsked = false as boolean;
  const all = oneShot(async (peer) => {
    if (!peer.isConnected) throw new P2PError("tracker-unreachable", "the tracker is away");
    const known = new Set(own.map(({ id }) => id));
    const reported = (await peer.shares()).filter(({ share }) => !known.has(share));
    hasAsked = true;
    await show([...own, ...reported.map((share) => reportedShare(peer, share))], context);
    return ExitCode.done;
  });
  try {
    await all(context);
  } catch (error) {
    if (hasAsked || asP2PError(error).exitCode === ExitCode.usage) throw error;
    const message = `What others share is not shown: ${attributed(asP2PError(error))}`;
    emit({ event: "notice", message });
    await show(own, context);
  }
  expectAllRead(unread);
  return ExitCode.done;
}

/** `tracker shares`: what members have told the tracker of what they send. */
export async function trackerShares(context: CommandContext): Promise<ExitCode> {
  await using client = await operate(context);
  const all = await client.shares();
  const shown = all.map((share) => reportedShare(client, share));
  await show(shown, { ...context, listedBy: "tracker shares" });
  return ExitCode.done;
}

/** Shows shares, those that are being sent first; of one that is chosen each recipient. */
async function show(
  all: readonly Shown[],
  { command: { positionals: [prefix] }, emit, listedBy = "peer shares" }: CommandContext & {
    listedBy?: string;
  },
): Promise<void> {
  const names = { what: "share", listedBy };
  const chosen = prefix === undefined ? all : chooseById(all, prefix, names);
  const order = ({ event: { running, at } }: Shown) => `${running ? 0 : 1} ${at}`;
  for (const { event, recipients } of chosen.toSorted((a, b) => order(a) < order(b) ? -1 : 1)) {
    emit(event);
    if (prefix === undefined) continue;
    const { id: share, size } = event;
    for (const recipient of await recipients()) {
      emit({ event: "share-recipient", share, size, ...recipient });
    }
  }
  if (all.length === 0) emit({ event: "notice", message: "Nothing has been shared yet" });
}

/** A share of the ledger. */
function notedShare(share: NotedShare): Shown {
  const { id, isRunning: running, at, name, size, files, path, recipients } = share;
  const failed = recipients.filter(({ state }) => state === "failed").length;
  const [only] = recipients.length === 1 ? recipients : [];
  return {
    id,
    event: {
      event: "share",
      ...{ id, running, at, name, size },
      ...(files === undefined ? {} : { files }),
      path,
      ...(only ? { peer: only.name } : {}),
      recipients: recipients.length,
      delivered: recipients.length - lacking(share).length,
      failed,
    },
    recipients: () =>
      Promise.resolve(recipients.map(({ name: peer, ...recipient }) => ({ peer, ...recipient }))),
  };
}

/** A share that somebody has told the tracker of. */
function reportedShare(informed: Informed, share: ReportedShare): Shown {
  const { share: id, from, sender = from, at, name, size, files, total, delivered, failed } = share;
  return {
    id,
    event: {
      event: "share",
      ...{ id, running: share.state === "running", at, name, size },
      ...(files === undefined ? {} : { files }),
      sender,
      ...{ recipients: total, delivered, failed },
    },
    recipients: async () => (await informed.recipientsOf(share)).map(recipientOf),
  };
}

function recipientOf({ id = "", name: peer, code, ...recipient }: ReportedRecipient) {
  const error = code === undefined ? {} : { error: { code, message: code } };
  return { peer, id, ...recipient, ...error };
}
