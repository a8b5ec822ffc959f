import { type BandwidthLane, BandwidthLimiter } from "../async/bandwidth_limiter.ts";
import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import { type Caps, HostCounts } from "../net/host_counts.ts";
import { type Rates, RequestLimits } from "../net/request_buckets.ts";
import type { Session } from "../net/session.ts";
import type { MessageOf } from "../wire/message.ts";
import { sourceHost } from "./dial_backs.ts";
import type { Roster } from "./roster.ts";
import { splice } from "./splice.ts";

/** How a tracker relays. */
export interface RelaySettings {
  /** Bytes a second of all links together; by default without a limit. */
  rate?: number | undefined;
  /** Passes the bytes of a link on; by default as they are, which is {@linkcode splice}. */
  splice?: typeof splice | undefined;
}

/** The ids of the members of a link. */
export type Ends = readonly [asking: string, asked: string];

/** What a {@linkcode Relay} needs. */
export interface RelayOptions extends RelaySettings {
  roster: Roster;
  clock: Clock;
  onJoined?: ((ends: Ends) => void) | undefined;
  /** So many bytes were passed on, of both directions. */
  onEnded?: ((ends: Ends, bytes: number) => void) | undefined;
}

/** Links that one member has asked for, at once. */
const MAX_PER_MEMBER = 8;
/** The same by where those are who asked: keys cost nothing. Each takes 256 KiB and two descriptors. */
const MAX_LINKS: Caps = { address: 32, network: 64, all: 128 };
/** Links that are asked for. */
const RATES: Rates = {
  key: { rate: 1, burst: 16 },
  address: { rate: 10, burst: 100 },
  all: { rate: 50, burst: 500 },
};
/** Milliseconds that the other member has to open its connection. */
const JOIN_TIME = 8_000;

/** A session whose connection is to be joined with another one, and the number of its request. */
interface End {
  readonly session: Session;
  readonly seq: number;
}

/** A link whose other end has not come yet. */
interface Waiting {
  readonly asking: string;
  readonly asked: string;
  readonly other: PromiseWithResolvers<End>;
  /** Settles when both ends have been joined, or could not be. */
  readonly joined: Promise<void>;
}

/** What a member has asked for. */
interface Member {
  links: number;
  readonly lane: BandwidthLane | undefined;
}

/**
 * Passes bytes on between two members that have no other path. Each opens a session of its own, whose connection carries
 * bare bytes from the tracker's OK on: a second TLS, which is none of the tracker's business.
 */
export class Relay {
  readonly #options: RelayOptions;
  readonly #limits: RequestLimits;
  readonly #limiter: BandwidthLimiter | undefined;
  /** By their tokens. */
  readonly #waiting = new Map<string, Waiting>();
  /** Those with links, by id. */
  readonly #members = new Map<string, Member>();
  readonly #counts = new HostCounts();
  readonly #carried = new WeakMap<Session, Promise<void>>();

  constructor(options: RelayOptions) {
    const { rate, clock } = options;
    this.#options = options;
    this.#limits = new RequestLimits({ ...RATES, clock });
    this.#limiter = rate === undefined ? undefined : new BandwidthLimiter({ rate, clock });
  }

  /**
   * Has a member open the other end of a link that the session is to be one of; resolves when both are joined.
   *
   * @throws {P2PError} `peer-unknown`, `rate-limited`, `busy`, or `peer-unreachable` when it did not come.
   */
  async ask(session: Session, { seq, peer, token }: MessageOf<"RELAY">): Promise<void> {
    const asked = this.#options.roster.get(peer)?.session;
    if (!asked) {
      throw new P2PError("peer-unknown", `Cannot relay to ${peer.slice(0, 8)}: it is not here`);
    }
    if (this.#waiting.has(token)) {
      throw new P2PError("invalid", "Cannot relay: another link has that token");
    }
    const leave = this.#enter(session);
    const { id } = session.remote;
    const other = Promise.withResolvers<End>();
    const join = async () => this.#join({ session, seq }, await other.promise, leave);
    const joined = join();
    this.#waiting.set(token, { asking: id, asked: peer, other, joined });
    const cancel = this.#options.clock.after(JOIN_TIME, () => {
      const text = `Cannot relay to ${peer.slice(0, 8)}: it did not come to the tracker in time`;
      other.reject(new P2PError("peer-unreachable", text));
    });
    asked.post({ verb: "JOIN", peer: id, token });
    try {
      await joined;
    } catch (error) {
      leave();
      throw error;
    } finally {
      cancel();
      this.#waiting.delete(token);
    }
  }

  /**
   * Joins the session with the one that waits for it.
   *
   * @throws {P2PError} `peer-unknown` when none does.
   */
  async come(session: Session, { seq, peer, token }: MessageOf<"JOIN">): Promise<void> {
    const waiting = this.#waiting.get(token);
    const isTheirs = waiting?.asking === peer && waiting.asked === session.remote.id;
    if (!waiting || !isTheirs || seq === undefined) {
      throw new P2PError("peer-unknown", "Cannot join: nobody waits for this, or not any more");
    }
    this.#waiting.delete(token);
    waiting.other.resolve({ session, seq });
    await waiting.joined;
  }

  /** Has those that wait hear that the tracker is stopping. */
  stop(): void {
    const stopping = new P2PError("shutting-down", "Cannot relay: the tracker is stopping");
    for (const { other } of this.#waiting.values()) other.reject(stopping);
  }

  /** Resolves when the bytes of a session are passed on no longer: at once where they never were. */
  async carried(session: Session): Promise<void> {
    await this.#carried.get(session);
  }

  /**
   * Counts another link of the member; returns what counts it no more.
   *
   * @throws {P2PError} `rate-limited`, `busy`.
   */
  #enter(session: Session): () => void {
    const { id } = session.remote;
    const host = sourceHost(session);
    const member = this.#members.get(id) ?? { links: 0, lane: this.#limiter?.lane() };
    if (!this.#limits.has(id, host)) {
      throw new P2PError("rate-limited", "Cannot relay so often: wait a moment");
    }
    if (member.links >= MAX_PER_MEMBER) {
      throw new P2PError(
        "busy",
        `Cannot relay: ${MAX_PER_MEMBER} connections of this member go through the tracker ` +
          "already; try again when one has ended",
      );
    }
    if (!this.#counts.hasRoom(host, MAX_LINKS)) {
      throw new P2PError(
        "busy",
        "Cannot relay: as many connections go through the tracker as it takes; try again later, " +
          "or open a port of one of the two peers",
      );
    }
    this.#limits.take(id, host);
    member.links++;
    this.#members.set(id, member);
    this.#counts.add(host);
    let hasLeft = false;
    return () => {
      if (hasLeft) return;
      hasLeft = true;
      this.#counts.remove(host);
      if (--member.links === 0) this.#members.delete(id);
    };
  }

  async #join(asking: End, asked: End, leave: () => void): Promise<void> {
    const ends = [asking, asked];
    try {
      await Promise.all(ends.map(({ session, seq }) => session.send({ verb: "OK", re: seq })));
    } catch (error) {
      // One of them may have got its OK, and sends bytes already.
      const gone = new P2PError("connection-lost", "The other end of the relay has gone");
      for (const { session } of ends) session.abort(gone);
      throw error;
    }
    const carried = this.#carry(asking.session, asked.session).finally(leave);
    for (const { session } of ends) this.#carried.set(session, carried);
  }

  async #carry(asking: Session, asked: Session): Promise<void> {
    const { clock, onJoined, onEnded, splice: pass = splice } = this.#options;
    const ids: Ends = [asking.remote.id, asked.remote.id];
    const lane = this.#members.get(ids[0])?.lane;
    const passing = pass(asking.detach(), asked.detach(), { clock, lane });
    onJoined?.(ids);
    onEnded?.(ids, await passing);
  }
}
