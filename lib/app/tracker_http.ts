/**
 * What a tracker shows by `--http`: from the tracker that runs to the page, the API and the metrics.
 *
 * @module
 */

import { formatAddress, otherAddresses } from "../address.ts";
import { Watchers } from "../http/routes.ts";
import { trackerRoutes } from "../http/tracker_routes.ts";
import type { MessageStatus, PeerStatus, Topic, TrackerStatus } from "../http/tracker_status.ts";
import type { Tracker, TrackerObserver } from "../tracker/serve.ts";
import type { PeerEntry, ReportedShare } from "../wire/message.ts";
import type { CommandContext } from "./program.ts";
import { type Page, processInfo, servePage } from "./served_page.ts";
import type { TrackerState } from "./tracker_state.ts";

/** Broadcasts that are remembered. */
const MAX_MESSAGES = 100;
/** Entries read at a time: fewer come where those would not fit a frame. */
const PAGE = 1000;

/** Keeps what a tracker has shown, and tells who watches of each change. */
export class TrackerWatch {
  readonly #info = processInfo();
  readonly #messages: Omit<MessageStatus, "name">[] = [];
  readonly #watchers = new Watchers<Topic>();

  /** Hears what the tracker's own observer hears, before that. */
  observe(observer: TrackerObserver): TrackerObserver {
    return {
      ...observer,
      onBroadcast: (from, text, delivered) => {
        const decoded = new TextDecoder().decode(text);
        this.#messages.unshift({ time: new Date().toISOString(), from, text: decoded, delivered });
        this.#messages.splice(MAX_MESSAGES);
        this.#watchers.tell("messages");
        observer.onBroadcast?.(from, text, delivered);
      },
      onReport: () => this.#watchers.tell("shares"),
      onListChanged: () => this.#watchers.tell("peers"),
      onConvicted: (id, name) => {
        this.#watchers.tell("evidence");
        observer.onConvicted?.(id, name);
      },
    };
  }

  /** What is to be shown of a tracker. */
  statusOf(
    tracker: Tracker,
    { secure, relays, store }: { secure: boolean; relays: boolean; store: TrackerState["store"] },
  ): TrackerStatus {
    const peers = () => statesOf(tracker);
    const nameOf = (id: string) => tracker.nameOf(id);
    const info = this.#info;
    return {
      async info() {
        const states = { here: 0, unreachable: 0, away: 0 };
        for (const { state } of await peers()) states[state]++;
        return {
          ...info(),
          ...{ id: tracker.id, address: formatAddress(tracker.address) },
          ...{ secure, relays, peers: states, sessions: tracker.sessions },
          remembers: store?.isWritable ?? true,
        };
      },
      peers,
      shares: () =>
        pages((start) => {
          const { shares, more } = tracker.shares.list({ start, count: PAGE }, nameOf);
          return { page: shares, more };
        }),
      share(from, share) {
        let found: ReportedShare | undefined;
        const recipients = pages((start) => {
          const page = tracker.shares.find({ from, share, start, count: PAGE }, nameOf);
          [found] = page.shares;
          return { page: page.recipients, more: page.more };
        });
        return found ? { share: found, recipients } : null;
      },
      messages: () =>
        this.#messages.map(({ from, ...message }) => ({
          ...{ from, ...message, name: nameOf(from) ?? null },
        })),
      evidence: () =>
        tracker.evidence().map(({ server: id, transfer, sharer }) => ({
          ...{ id, name: nameOf(id) ?? null, transfer, sharer },
        })),
      counts: () => tracker.counts,
      onChanged: (listener) => this.#watchers.add(listener),
    };
  }
}

/** All entries of a list that is read in pages. */
function pages<T>(read: (start: number) => { page: T[]; more: boolean }): T[] {
  const all: T[] = [];
  while (true) {
    const { page, more } = read(all.length);
    all.push(...page);
    if (!more || page.length === 0) return all;
  }
}

/** Who is listed; of a member of this tracker also since when, and when it was last heard. */
async function statesOf(tracker: Tracker): Promise<PeerStatus[]> {
  const now = Date.now();
  const ago = (ms: number) => new Date(now - ms).toISOString();
  const members = new Map(tracker.members().map((member) => [member.entry.id, member]));
  return (await tracker.peers()).map((entry) => {
    const member = members.get(entry.id);
    return {
      id: entry.id,
      name: entry.name,
      address: formatAddress(entry),
      addresses: otherAddresses(entry.addresses).addresses ?? [],
      groups: entry.groups ?? [],
      state: stateOf(entry),
      since: member ? ago(member.listedFor) : null,
      seen: member ? ago(member.silentFor) : null,
    };
  });
}

function stateOf({ away, reachable }: PeerEntry): PeerStatus["state"] {
  if (away) return "away";
  return reachable ? "here" : "unreachable";
}

/**
 * Serves what `--http` asks for of a tracker.
 *
 * @throws {P2PError} `address-in-use` or `usage`.
 */
export async function serveTrackerPage(
  context: CommandContext,
  status: TrackerStatus,
  { httpToken }: TrackerState,
): Promise<Page> {
  return await servePage(context, { routes: await trackerRoutes(status), token: httpToken });
}
