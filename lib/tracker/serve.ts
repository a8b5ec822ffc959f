import { onAbort } from "../async/abort.ts";
import { type Clock, systemClock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import { randomToken } from "../async/random.ts";
import type { Evidence } from "../identity/evidence.ts";
import type { InvitePlace } from "../identity/invite.ts";
import type { Remote } from "../net/handshake.ts";
import { refuseUnexpected } from "../net/open_session.ts";
import { REFUSALS_TOLD, RequestLimits } from "../net/request_buckets.ts";
import { machineAddresses } from "../net/interfaces.ts";
import { Server } from "../net/server.ts";
import type { Session } from "../net/session.ts";
import type { Address } from "../address.ts";
import type { Listener } from "../net/listen.ts";
import type { PeerEntry } from "../wire/message.ts";
import { DialBacks } from "./dial_backs.ts";
import { Convictions } from "./convictions.ts";
import { diallingHandlers } from "./handlers/dialling.ts";
import { evidenceHandlers } from "./handlers/evidence.ts";
import { Dispatcher } from "./handlers/handlers.ts";
import { listHandlers } from "./handlers/list.ts";
import { membershipHandlers } from "./handlers/membership.ts";
import { messageHandlers } from "./handlers/messages.ts";
import { operatingHandlers } from "./handlers/operating.ts";
import { relayingHandlers } from "./handlers/relaying.ts";
import { sharingHandlers } from "./handlers/sharing.ts";
import { Leases } from "./leases.ts";
import { LEFT, type LeftReason } from "./left_reason.ts";
import { lastSign, Liveness } from "./liveness.ts";
import { Shares } from "./shares.ts";
import { PeerLists } from "./peer_lists.ts";
import { BARRED, MemoryRegistry } from "./registry/memory_registry.ts";
import type { Registry } from "./registry/registry.ts";
import { type Ends, Relay, type RelaySettings } from "./relay.ts";
import { type Member, Roster } from "./roster.ts";
import type { TrackerStore } from "./store/tracker_store.ts";
import { TrackerNetwork, type TrackerStanding } from "./tracker_network.ts";

/** Bytes of answers and lists that a session may leave unread and be listened to: a few pages of the list. */
const MAX_UNREAD = 256 * 1024;

/** Members that are to come back in a second to a tracker that is started again, each with a handshake. */
const RETURNS = 200;

/** What the application hears of a tracker. */
export interface TrackerObserver {
  onJoined?(entry: PeerEntry): void;
  onLeft?(entry: PeerEntry, reason: LeftReason): void;
  onBroadcast?(author: string, text: Uint8Array, delivered: number): void;
  /** Something was reported of a share, or its reporter is gone. */
  onReport?(): void;
  /** Something has changed in who is there, a state, name or address. */
  onListChanged?(): void;
  /** A member has been proven to have signed wrong data. */
  onConvicted?(id: string, name: string): void;
  onRefused?(error: P2PError, address: Address): void;
  /** Bytes are passed on between two members, by their names, or ids where they have none. */
  onRelayed?(members: readonly [string, string]): void;
  /** They were, so many of both directions; not told of each of many. */
  onRelayEnded?(members: readonly [string, string], bytes: number): void;
  /** Out of descriptors: newcomers are told to come back later. Said again and again. */
  onShort?(reason: string): void;
}

/** Settings of {@linkcode serveTracker}. Times are milliseconds. */
export interface TrackerOptions extends TrackerStanding {
  /** Ends the tracker, as {@linkcode Tracker.close} does. */
  signal?: AbortSignal | undefined;
  /** Under which address the invite names the tracker; by default where it listens. */
  advertise?: Partial<InvitePlace> | undefined;
  /** False lists every peer as unreachable, so that it is asked to dial. */
  dialBack?: boolean | undefined;
  /** Takes a session that another part of this process waits for, and runs it; false leaves it to the tracker. */
  acceptDialBack?: ((session: Session) => boolean) | undefined;
  /** Whether peers may be listed under another address than they come from, once dialled back there. */
  allowAdvertise?: boolean | undefined;
  /** Passes bytes on between members that have no other path; by default it does not. */
  relay?: RelaySettings | undefined;
  /** Of a share: how many files and folders it hands to each peer, which take no more. */
  contents?: number | undefined;
  pingAfter?: number | undefined;
  pongTimeout?: number | undefined;
  dialTimeout?: number | undefined;
  handshakeTimeout?: number | undefined;
  registry?: Registry | undefined;
  /** What outlives this process; by default nothing does. A registry that is given has its own. */
  store?: TrackerStore | undefined;
  observer?: TrackerObserver | undefined;
  clock?: Clock | undefined;
}

/** A member, and milliseconds since it was listed and since it last showed that it lives. */
export interface MemberStatus {
  readonly entry: PeerEntry;
  readonly listedFor: number;
  readonly silentFor: number;
}

/** How often something has happened. */
export interface TrackerCounts {
  joined: number;
  left: number;
  refused: number;
  broadcasts: number;
  /** Copies of broadcasts that went out. */
  messages: number;
  reports: number;
  relayedBytes: number;
}

/** A tracker that runs. */
export interface Tracker extends AsyncDisposable {
  /** Own id. */
  readonly id: string;
  /** Where it listens. */
  readonly address: Address;
  /** What a peer pastes to join; undefined with `--insecure`. */
  readonly invite: string | undefined;
  /** Resolves when it has ended, and all its handlers have. */
  readonly closed: Promise<void>;
  /** All registered peers. */
  peers(): Promise<PeerEntry[]>;
  /** How many sessions are open. */
  readonly sessions: number;
  /** What has happened since it started. */
  readonly counts: Readonly<TrackerCounts>;
  /** What has been reported of shares. */
  readonly shares: Pick<Shares, "list" | "find">;
  /** The members of this tracker: of each since when it is there, and when it last showed that it lives. */
  members(): MemberStatus[];
  /** What has been proven of peers that have signed wrong data, the oldest first. */
  evidence(): Evidence[];
  /** The name that an id is listed under. */
  nameOf(id: string): string | undefined;
  /** Takes a registered peer off the list and ends its session: with BYE, or with what went wrong. */
  dismiss(id: string, error?: P2PError): Promise<void>;
  /** Checks every member that has been silent for too long and drops those that do not answer. */
  cleanupPeers(): Promise<void>;
  /** Says goodbye to all and stops. */
  close(): Promise<void>;
}

/**
 * Knows who is there, tells everybody, and relays broadcasts, until the signal aborts. `listener` is one of
 * {@linkcode listenAsTracker}, and the tracker closes it.
 */
export function serveTracker(listener: Listener, options: TrackerOptions): Tracker {
  return new RunningTracker(listener, options);
}

/** The composition root: each part does its work with what it is given here. */
class RunningTracker implements Tracker {
  readonly address: Address;
  readonly closed: Promise<void>;
  readonly counts: TrackerCounts = {
    ...{ joined: 0, left: 0, refused: 0, broadcasts: 0, messages: 0, reports: 0, relayedBytes: 0 },
  };
  readonly shares: Shares;
  readonly #options: TrackerOptions;
  readonly #registry: Registry;
  readonly #network: TrackerNetwork;
  readonly #roster: Roster;
  readonly #lists: PeerLists;
  readonly #liveness: Liveness<Member>;
  readonly #leases: Leases;
  readonly #convictions: Convictions;
  readonly #clock: Clock;
  readonly #dispatcher: Dispatcher;
  readonly #refusals: RequestLimits;
  readonly #relay: Relay | undefined;
  readonly #server: Server;
  readonly #unsubscribe: () => void;
  readonly #stopListening: (() => void) | undefined;
  readonly #ended = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;

  constructor(listener: Listener, options: TrackerOptions) {
    const { clock = systemClock, observer, signal, store } = options;
    this.#options = options;
    this.#clock = clock;
    const { counts } = this;
    const registry = options.registry ??
      new MemoryRegistry(() => randomToken(16), { clock, ...(store ? { store } : {}) });
    this.#registry = registry;
    const { hostname } = listener.addr as Deno.NetAddr;
    this.#network = new TrackerNetwork(options, hostname);
    const network = this.#network;
    const convictions = this.#convictions = new Convictions(store);
    const onLeft = (entry: PeerEntry, reason: LeftReason) => {
      counts.left++;
      observer?.onLeft?.(entry, reason);
    };
    const roster: Roster = new Roster({
      registry,
      clock,
      onJoined: (entry) => {
        const session = roster.get(entry.id)?.session;
        if (session) convictions.tell(session);
        counts.joined++;
        observer?.onJoined?.(entry);
      },
      onLeft,
    });
    this.#roster = roster;
    const ownHost = () => machineAddresses()[0] ?? hostname;
    const lists = new PeerLists({ registry, members: roster, ownHost, clock });
    this.#lists = lists;
    const dialBacks = new DialBacks({
      credentials: () => network.credentials(),
      timeout: options.dialTimeout ?? 5_000,
      clock,
    });
    const nameOf = (id: string) => roster.get(id)?.entry.name ?? `id:${id.slice(0, 8)}`;
    const namesOf = ([asking, asked]: Ends) => [nameOf(asking), nameOf(asked)] as const;
    this.#relay = options.relay && new Relay({
      ...options.relay,
      roster,
      clock,
      onJoined: (ids) => observer?.onRelayed?.(namesOf(ids)),
      onEnded: (ids, bytes) => {
        counts.relayedBytes += bytes;
        if (this.#refusals.take(ids[0])) observer?.onRelayEnded?.(namesOf(ids), bytes);
      },
    });
    this.shares = new Shares({ clock, store });
    const handlers = {
      ...membershipHandlers({
        roster,
        dialBacks,
        dialBack: options.dialBack ?? true,
        contents: options.contents,
        isLocal: network.isLocal,
        allowAdvertise: (options.allowAdvertise ?? false) && options.trust !== null,
      }),
      ...listHandlers({ lists, roster }),
      ...messageHandlers({
        roster,
        network,
        clock,
        onBroadcast: (author, text, delivered) => {
          counts.broadcasts++;
          counts.messages += delivered;
          observer?.onBroadcast?.(author, text, delivered);
        },
      }),
      ...sharingHandlers({
        ...{ shares: this.shares, roster, clock },
        onReport: () => {
          counts.reports++;
          observer?.onReport?.();
        },
      }),
      ...evidenceHandlers({
        convictions,
        roster,
        network,
        clock,
        onConvicted: (id) => observer?.onConvicted?.(id, nameOf(id)),
      }),
      ...diallingHandlers({ roster, dialBacks, trackerId: network.trackerId }),
      ...relayingHandlers({ relay: this.#relay, roster }),
      ...operatingHandlers({
        roster,
        registry,
        network,
        sessions: () => this.#server.sessions,
        invite: () => this.invite,
      }),
    };
    this.#dispatcher = new Dispatcher(handlers, clock);
    this.#refusals = new RequestLimits({ ...REFUSALS_TOLD, clock });
    this.#unsubscribe = registry.subscribe((event) => {
      lists.onChange(event);
      observer?.onListChanged?.();
      // Whoever has not come back is no member here.
      if (event.kind === "gone" && event.entry.away) {
        onLeft(event.entry, event.cause === "barred" ? LEFT.removed : LEFT.away);
      }
    });
    this.#liveness = new Liveness({
      clock,
      pingAfter: options.pingAfter ?? 20_000,
      pongTimeout: options.pongTimeout ?? 5_000,
      members: () => roster,
      dialBack: ({ entry, session }) => dialBacks.ofSilent(entry, session),
      drop: (member, reason) => roster.drop(member, reason),
    });
    this.#leases = new Leases({ registry, roster, clock });
    this.#server = this.#serve(listener, clock);
    this.address = this.#server.address;
    this.closed = this.#ended.promise;
    this.#stopListening = onAbort(signal, () => void this.close());
  }

  get id(): string {
    return this.#network.trackerId;
  }

  get invite(): string | undefined {
    return this.#network.invite({ ...this.address, ...this.#options.advertise });
  }

  async peers(): Promise<PeerEntry[]> {
    return await this.#registry.list();
  }

  get sessions(): number {
    return this.#server.sessions.size;
  }

  members(): MemberStatus[] {
    const now = this.#clock.now();
    return [...this.#roster].map((member) => ({
      entry: member.entry,
      listedFor: now - member.since,
      silentFor: now - lastSign(member),
    }));
  }

  evidence(): Evidence[] {
    return this.#convictions.all();
  }

  nameOf(id: string): string | undefined {
    return this.#roster.get(id)?.entry.name;
  }

  async dismiss(id: string, error?: P2PError): Promise<void> {
    const session = await this.#roster.release(id, LEFT.dismissed);
    await (error ? session?.refuse(error) : session?.close());
  }

  async cleanupPeers(): Promise<void> {
    await this.#liveness.cleanupPeers();
  }

  close(): Promise<void> {
    return this.#closing ??= this.#end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #end(): Promise<void> {
    this.#stopListening?.();
    this.#liveness.stop();
    this.#leases.stop();
    this.#unsubscribe();
    this.#lists.stop();
    this.#relay?.stop();
    const seconds = Math.floor(this.#roster.size / RETURNS);
    await this.#server.close(seconds > 0 ? seconds * 1000 : undefined);
    this.#ended.resolve();
  }

  #serve(listener: Listener, clock: Clock): Server {
    const { handshakeTimeout, observer } = this.#options;
    return new Server(listener, {
      credentials: () => ({ ...this.#network.credentials(), relay: this.#relay !== undefined }),
      admit: (remote) => this.#admit(remote),
      onSession: (session) => this.#run(session),
      onRefused: (error, address) => {
        this.counts.refused++;
        if (this.#refusals.take(address.host)) observer?.onRefused?.(error, address);
      },
      onShort: (reason) => observer?.onShort?.(reason),
      makesRoom: true,
      clock,
      ...(handshakeTimeout === undefined ? {} : { handshakeTimeout }),
    });
  }

  async #admit(remote: Remote): Promise<void> {
    if (await this.#registry.isBarred(remote.id)) {
      throw new P2PError("barred", BARRED);
    }
    this.#network.checkRole(remote);
  }

  async #run(session: Session): Promise<void> {
    if (this.#options.acceptDialBack?.(session)) return await session.ended;
    if (session.remote.token !== undefined) return await refuseUnexpected(session);
    let dropped: Promise<void> | undefined;
    await session.run({
      maxUnread: MAX_UNREAD,
      allocate: ({ verb }, length) => this.#dispatcher.takes(verb) ? new Uint8Array(length) : null,
      onMessage: (frame) => this.#dispatcher.dispatch(frame, session),
      onClosed: (error) => dropped = this.#onClosed(session, error),
    });
    await dropped;
    await this.#relay?.carried(session);
  }

  /** Whether whoever is at the other end of a session has another one. */
  #hasOther(session: Session): boolean {
    for (const other of this.#server.sessions) {
      if (other !== session && other.remote.id === session.remote.id) return true;
    }
    return false;
  }

  /** Drops the member of a session that has ended, unless its listener may answer yet. */
  async #onClosed(session: Session, error: P2PError | null): Promise<void> {
    // Whoever is there when the tracker ends is expected back by the next one.
    if (this.#closing) return;
    const { id } = session.remote;
    if (this.shares.isReporting(id) && !this.#hasOther(session)) {
      this.shares.lost(id);
      this.#options.observer?.onReport?.();
    }
    const member = this.#roster.of(session);
    if (!member) return;
    member.session = null;
    if (error === null) await this.#roster.drop(member, LEFT.goodbye);
    else if (member.entry.reachable) void this.#liveness.sessionLost(member);
    else await this.#roster.drop(member, { code: "lost", text: error.message });
  }
}
