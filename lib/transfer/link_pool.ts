import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import type { Path } from "../events.ts";
import { dismiss } from "../net/open_session.ts";
import type { Session } from "../net/session.ts";
import type { PeerEntry } from "../wire/message.ts";
import { onDemand } from "../on_demand.ts";
import type { DirectSearch } from "./direct_search.ts";
import { watchLine } from "./line_watch.ts";
import { type LinkServices, PeerLink } from "./peer_link.ts";

/** How a peer is reached. */
export interface Ways {
  /** Whether its bytes may not go through the tracker. */
  isDirect?: boolean;
  /** Gives it up. */
  signal?: AbortSignal | undefined;
}

/** What a {@linkcode LinkPool} needs. */
export interface LinkPoolOptions {
  /** Opens a session to a peer. */
  open: (entry: PeerEntry, ways?: Ways) => Promise<Session>;
  /** Where a peer is now, as far as that can be found out soon. */
  locate: (entry: PeerEntry) => Promise<PeerEntry>;
  services: () => LinkServices;
  /** Whether the other side of a session has proven its id; without (`--insecure`) its address has to fit too. */
  isProven: boolean;
  /** How long in milliseconds a link that this side opened waits for the next transfer; 0: not at all. */
  idleTime: number;
  clock: Clock;
}

/** How long in milliseconds a link in the place of a lost one waits for what was carried on that. */
const HANDOVER = 2_000;

/**
 * The links of a peer to others: one to each for both directions, whichever side opened it. The side that
 * opened it closes it when nothing has been under way for a while.
 */
export class LinkPool implements AsyncDisposable {
  readonly #options: LinkPoolOptions;
  /** The link that is used for what is sent to a peer, by its id. */
  readonly #links = new Map<string, PeerLink>();
  readonly #dialling = new Map<string, Promise<PeerLink>>();
  /** Links that this side opened, and what ends the waiting of those that are idle. */
  readonly #own = new Map<PeerLink, () => void>();
  /** Links whose line is watched, since something is sent on them. */
  readonly #watched = new Set<PeerLink>();
  readonly #stop = new AbortController();
  /** Searches for a direct path to peers with a relayed link that this side opened, by id. */
  readonly #searches = new Map<string, DirectSearch>();
  /** How often a link to a peer has left the relay, by id. */
  readonly #moves = new Map<string, number>();

  constructor(options: LinkPoolOptions) {
    this.#options = options;
  }

  /**
   * The link to a peer, opened if there is none.
   *
   * @param ways.isDirect whether one through the tracker is of no use.
   * @throws {P2PError} why none can be opened.
   */
  async take(entry: PeerEntry, ways: Pick<Ways, "isDirect"> = {}): Promise<PeerLink> {
    const link = this.#links.get(entry.id);
    const isOfUse = link?.isOpen && !(ways.isDirect && link.isRelayed) && !link.refusesOffers;
    if (isOfUse && this.#isOf(link, entry)) {
      if (link.isIdle && this.#own.has(link)) this.#waitForNext(link);
      this.#watch(link, entry);
      return link;
    }
    const opened = await (this.#dialling.get(entry.id) ?? this.#open(entry, ways));
    this.#watch(opened, entry);
    return opened;
  }

  #open(entry: PeerEntry, ways: Ways): Promise<PeerLink> {
    const dial = this.#dial(entry, ways);
    // Others who want a link meanwhile may not mind the tracker.
    if (ways.isDirect) return dial.then((link) => this.#keep(entry.id, link));
    return this.#opening(entry, dial);
  }

  /** Whether there is an open link to the peer with the id. */
  has(id: string): boolean {
    return this.#links.get(id)?.isOpen ?? false;
  }

  /**
   * Has `action` ask a peer something.
   *
   * @throws {P2PError} as {@linkcode take} does; what `action` throws.
   */
  async ask<T>(
    entry: PeerEntry,
    action: (session: Session, path: Path) => Promise<T>,
  ): Promise<T> {
    const link = await this.take(entry);
    const { isFresh } = link;
    const askOn = (link: PeerLink) => link.ask((session) => action(session, link.path));
    try {
      return await askOn(link);
    } catch (error) {
      // One that waited may have ended under the request: that is no answer.
      const isLost = error instanceof P2PError && error.code === "connection-lost";
      if (isFresh || link.isOpen || !isLost) throw error;
      return await askOn(await this.take(entry));
    }
  }

  /** Runs a session that another peer opened; resolves when it has ended. */
  async accept(session: Session): Promise<void> {
    const { id, role } = session.remote;
    const link = new PeerLink(session, { services: this.#options.services(), isAccepted: true });
    // A one-shot command has the id of a peer, and does not receive.
    if (role === "peer" && id !== "" && this.#isBetter(link, this.#links.get(id))) {
      this.#keep(id, link);
    }
    await link.ended;
  }

  /** Looks at once for a direct path to those who are reached through the tracker, or to one of them. */
  lookAgain(id?: string): void {
    for (const [other, search] of this.#searches) {
      if (id === undefined || other === id) search.lookAgain();
    }
  }

  /** Closes the links that are idle; the others are closed when they are. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new P2PError("interrupted", "This peer is stopping"));
    await Promise.all([...this.#own.keys()].map((link) => link.isIdle && this.#close(link)));
  }

  /** Gives the link to a peer that is being opened to all who want one meanwhile. */
  #opening(entry: PeerEntry, link: Promise<PeerLink>): Promise<PeerLink> {
    const opening = link.then((link) => this.#keep(entry.id, link))
      .finally(() => this.#dialling.delete(entry.id));
    this.#dialling.set(entry.id, opening);
    return opening;
  }

  async #dial(entry: PeerEntry, ways: Ways): Promise<PeerLink> {
    const link = this.#adopt(await this.#options.open(entry, ways));
    if (link.isRelayed) {
      // Where that fails, for want of a descriptor, the link stays as it is.
      this.#leaveRelay(entry, link).catch(() => {});
    }
    return link;
  }

  /** Takes a session that this side has opened. */
  #adopt(session: Session): PeerLink {
    const link = new PeerLink(session, {
      services: this.#options.services(),
      onIdle: (link) => this.#waitForNext(link),
    });
    this.#own.set(link, () => {});
    void link.ended.then(() => {
      this.#own.get(link)?.();
      this.#own.delete(link);
    });
    return link;
  }

  #watch(link: PeerLink, entry: PeerEntry): void {
    if (this.#watched.has(link)) return;
    this.#watched.add(link);
    watchLine(link, {
      clock: this.#options.clock,
      onDoubt: () => this.#replace(link, entry).catch(() => {}),
      onEnd: () => this.#watched.delete(link),
    });
  }

  /** Opens another link to a peer that is silent; what is sent goes on there when that comes about sooner. */
  async #replace(silent: PeerLink, entry: PeerEntry): Promise<void> {
    if (this.#dialling.has(entry.id)) return;
    const { locate, clock } = this.#options;
    const { findWayBack } = await onDemand<typeof import("./way_back.ts")>(
      "./way_back.ts",
      import.meta.url,
    );
    const { session } = silent;
    const finding = findWayBack({
      entry,
      silent: session,
      open: (entry, signal) => this.#dial(entry, { signal }),
      locate,
      clock,
      signal: this.#stop.signal,
    });
    const link = await this.#opening(entry, finding);
    this.#waitForNext(link, HANDOVER);
    silent.leave();
    silent.session.abort(
      new P2PError("connection-lost", "Connection lost: it was silent, and a new one was answered"),
    );
  }

  /** Looks for a direct path to the peer of a relayed link, and takes that as soon as there is one. */
  async #leaveRelay(entry: PeerEntry, link: PeerLink): Promise<void> {
    const { id } = entry;
    const { open, locate, clock } = this.#options;
    const { DirectSearch } = await onDemand<typeof import("./direct_search.ts")>(
      "./direct_search.ts",
      import.meta.url,
    );
    const moves = this.#moves.get(id) ?? 0;
    const search = new DirectSearch({
      link,
      open: async () => await open(await locate(entry), { isDirect: true }),
      moves,
      clock,
    });
    this.#searches.set(id, search);
    const session = await search.run();
    if (this.#searches.get(id) === search) this.#searches.delete(id);
    if (!session) return;
    if (this.#stop.signal.aborted || !link.isOpen) return dismiss(session);
    this.#moves.set(id, moves + 1);
    const direct = this.#keep(id, this.#adopt(session));
    // What was under way may have ended meanwhile.
    this.#waitForNext(direct, HANDOVER);
  }

  /** Whether a link is to be used instead of one that may be there. */
  #isBetter(link: PeerLink, other: PeerLink | undefined): boolean {
    return !other?.isOpen || other.isRelayed && !link.isRelayed;
  }

  #keep(id: string, link: PeerLink): PeerLink {
    const before = this.#links.get(id);
    this.#links.set(id, link);
    if (before?.isRelayed && !link.isRelayed) before.leave();
    void link.ended.then(() => {
      if (this.#links.get(id) === link) this.#links.delete(id);
    });
    return link;
  }

  #waitForNext(link: PeerLink, idleTime = this.#options.idleTime): void {
    const { clock } = this.#options;
    if (!this.#own.has(link)) return;
    this.#own.get(link)?.();
    if (this.#stop.signal.aborted || idleTime === 0) return void this.#close(link);
    this.#own.set(
      link,
      clock.after(idleTime, () => {
        if (link.isIdle) void this.#close(link);
      }),
    );
  }

  async #close(link: PeerLink): Promise<void> {
    this.#own.get(link)?.();
    await link.close();
  }

  #isOf(link: PeerLink, entry: PeerEntry): boolean {
    const { host } = link.session.connection.remote;
    return this.#options.isProven || this.#own.has(link) ||
      [entry, ...entry.addresses ?? []].some((address) => address.host === host);
  }
}
