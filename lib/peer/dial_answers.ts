import { formatAddress, mayBeDialledFor, ownerOf } from "../address.ts";
import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import type { TrackerClient } from "../directory/tracker_client.ts";
import type { Credentials } from "../net/handshake.ts";
import { type Caps, HostCounts } from "../net/host_counts.ts";
import { openSession } from "../net/open_session.ts";
import { type Rates, RequestBuckets, RequestLimits } from "../net/request_buckets.ts";
import type { Session } from "../net/session.ts";
import type { MessageOf } from "../wire/message.ts";
import { type Candidates, candidatesOf, scoped } from "../net/candidates.ts";
import { race } from "../net/race.ts";

/** What {@linkcode DialAnswers} needs. */
export interface DialAnswersOptions {
  credentials: Credentials;
  tracker: TrackerClient;
  clock: Clock;
  /** Ends the dials that are under way. */
  signal: AbortSignal;
}

/** Who asks to be dialled, and where. */
export interface DialRequest extends Candidates {
  id: string;
  token: MessageOf<"DIAL">["token"];
}

/** Dials and sessions under way because others asked for them, by where they go, and by who asks. */
const MAX_ANSWERS: Caps = { address: 16, network: 32, all: 64 };

/** Dials because others asked for them: for one of those, to one address, and in all. */
const ANSWER_RATES: Rates = {
  key: { rate: 2, burst: 50 },
  address: { rate: 10, burst: 100 },
  all: { rate: 50, burst: 500 },
};

/** Dials of this peer because others asked for them, through the tracker. */
export class DialAnswers {
  readonly #options: DialAnswersOptions;
  /** Dials and sessions under way, by where they go. */
  readonly #counts = new HostCounts();
  /** The same, by where those who ask are: one of them may name addresses in many networks. */
  readonly #asking = new HostCounts();
  readonly #limits: RequestLimits;
  /** Buckets of the addresses beside the first one of each request. */
  readonly #others: RequestBuckets;

  constructor(options: DialAnswersOptions) {
    this.#options = options;
    const { clock } = options;
    this.#limits = new RequestLimits({ ...ANSWER_RATES, clock });
    this.#others = new RequestBuckets({ ...ANSWER_RATES.address, clock });
  }

  /**
   * Dials a peer that asked for it, at its addresses, and has `serve` run the session. Members and the tracker can make
   * this peer dial, so that only a few of these are under way at a time; others are left out.
   *
   * Whoever asked takes the first of these connections that gets to it, which need not be the first one that this side
   * finds open: so each that comes about is served, and the other side ends those that it does not want.
   *
   * @throws {P2PError} `peer-unreachable`, with one text for every failure: what dialling there is like is nothing for
   * those who ask.
   */
  async answer(asked: DialRequest, serve: (session: Session) => Promise<void>): Promise<void> {
    const { clock, signal } = this.#options;
    const { id, host } = asked;
    if (!this.#hasRoom(host, host) || !this.#limits.take(id, host)) return;
    let session: Session;
    try {
      const addresses = this.#addresses(asked);
      const attempts = addresses.map((address) => (lost: AbortSignal) =>
        this.#dial({ ...asked, ...address }, { by: host, lost })
      );
      const drop = (late: Session) => void serve(late).catch(() => {});
      session = await race(attempts, { clock, signal, drop });
    } catch (cause) {
      throw new P2PError(
        "peer-unreachable",
        `Cannot dial ${id.slice(0, 8)}, which asked to be dialled: it is not to be reached`,
        { cause },
      );
    }
    await serve(session);
  }

  /**
   * The addresses to dial for whoever asks.
   *
   * @throws {P2PError} `invalid` when there is none.
   */
  #addresses(asked: DialRequest): Candidates[] {
    const { tracker } = this.#options;
    const { id, host, port } = asked;
    // The tracker's own address was given to this peer, and by none of those who ask.
    if (id === tracker.trackerId) return [{ host, port }];
    const via = tracker.remoteHost ?? "";
    const first = formatAddress(asked);
    const allowed = candidatesOf(asked, { via }).filter((address) =>
      mayBeDialledFor(address.host, via) &&
      (formatAddress(address) === first || this.#others.take(ownerOf(address.host)))
    );
    if (allowed.length > 0) return allowed;
    throw new P2PError("invalid", `Cannot dial ${host}: it is no address to dial for others`);
  }

  async #dial(
    { host, port, id, token }: DialRequest,
    { by, lost }: { by: string; lost: AbortSignal },
  ): Promise<Session> {
    const { credentials, tracker, clock, signal } = this.#options;
    const where = { host, port };
    if (!this.#hasRoom(host, by)) {
      throw new P2PError("busy", `Cannot dial ${host}: too many dials for others are under way`);
    }
    this.#counts.add(host);
    this.#asking.add(by);
    const leave = () => {
      this.#counts.remove(host);
      this.#asking.remove(by);
    };
    try {
      const session = await openSession({
        address: await scoped(where, tracker.localHost),
        id,
        token,
        credentials,
        clock,
        signal,
        lost,
      });
      void session.ended.then(leave);
      return session;
    } catch (error) {
      leave();
      throw error;
    }
  }

  #hasRoom(host: string, by: string): boolean {
    return this.#counts.hasRoom(host, MAX_ANSWERS) && this.#asking.hasRoom(by, MAX_ANSWERS);
  }
}
