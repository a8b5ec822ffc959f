/**
 * What a tracker shows by `--http`: from the tracker that runs to the page, the API and the metrics.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { cpuUsage } from "node:process";
import { type Address, formatAddress, isLoopback, otherAddresses } from "../address.ts";
import { addressOf } from "../cli/arguments/arguments.ts";
import { HttpServer } from "../http/http_server.ts";
import { trackerRoutes } from "../http/tracker_routes.ts";
import type { MessageStatus, PeerStatus, Topic, TrackerStatus } from "../http/tracker_status.ts";
import type { Tracker, TrackerObserver } from "../tracker/serve.ts";
import type { PeerEntry, ReportedShare } from "../wire/message.ts";
import { addressesOf, nearest } from "./addresses.ts";
import type { CommandContext } from "./program.ts";
import type { TrackerState } from "./tracker_state.ts";

/** Port of `--http` where none is named. */
const PORT = 8080;
/** Broadcasts that are remembered. */
const MAX_MESSAGES = 100;
/** Entries read at a time: fewer come where those would not fit a frame. */
const PAGE = 1000;

/** Keeps what a tracker has shown, and tells who watches of each change. */
export class TrackerWatch {
  readonly #started = new Date();
  readonly #messages: Omit<MessageStatus, "name">[] = [];
  readonly #listeners = new Set<(topic: Topic) => void>();

  /** Hears what the tracker's own observer hears, before that. */
  observe(observer: TrackerObserver): TrackerObserver {
    return {
      ...observer,
      onBroadcast: (from, text, delivered) => {
        const decoded = new TextDecoder().decode(text);
        this.#messages.unshift({ time: new Date().toISOString(), from, text: decoded, delivered });
        this.#messages.splice(MAX_MESSAGES);
        this.#tell("messages");
        observer.onBroadcast?.(from, text, delivered);
      },
      onReport: () => this.#tell("shares"),
      onListChanged: () => this.#tell("peers"),
      onConvicted: (id, name) => {
        this.#tell("evidence");
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
    const started = this.#started;
    return {
      async info() {
        const states = { here: 0, unreachable: 0, away: 0 };
        for (const { state } of await peers()) states[state]++;
        const { user, system } = cpuUsage();
        return {
          id: tracker.id,
          version: config.version,
          address: formatAddress(tracker.address),
          ...{ secure, relays, started: started.toISOString(), peers: states },
          sessions: tracker.sessions,
          memory: Deno.memoryUsage().rss,
          cpu: (user + system) / 1e6,
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
      onChanged: (listener) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
      },
    };
  }

  #tell(topic: Topic): void {
    for (const listener of this.#listeners) listener(topic);
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
 * Serves what `--http` asks for. On loopback whoever is on this machine may read it; elsewhere only who has the token,
 * which stands in the address of the page behind the #: there it is sent to nobody, and is in no log of requests.
 *
 * @throws {P2PError} `address-in-use` or `usage`.
 */
export async function serveTrackerPage(
  { command: { values } }: CommandContext,
  status: TrackerStatus,
  state: TrackerState,
): Promise<{ url: string } & AsyncDisposable> {
  const { host, port } = addressOf(values, "http") ?? { host: "127.0.0.1", port: null };
  const address: Address = { host: host === "localhost" ? "127.0.0.1" : host, port: port ?? PORT };
  const token = isLoopback(address.host) ? null : await state.httpToken();
  const server = await HttpServer.listen({ address, routes: await trackerRoutes(status), token });
  const [own = nearest(address.host)] = addressesOf(address.host);
  const place = formatAddress({ host: own, port: server.address.port });
  return {
    url: `http://${place}/${token === null ? "" : `#token=${token}`}`,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
