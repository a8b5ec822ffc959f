import { ownerOf, plainHost } from "../address.ts";
import { Gate, KeyedGate } from "../async/gate.ts";
import { type Clock, delay } from "../async/clock.ts";
import { isOutOfDescriptors, P2PError } from "../errors.ts";
import type { Credentials } from "../net/handshake.ts";
import { withScope } from "../net/interfaces.ts";
import { probe } from "../net/open_session.ts";
import { type Rates, RequestLimits } from "../net/request_buckets.ts";
import type { Session } from "../net/session.ts";
import type { PeerEntry } from "../wire/message.ts";

/** What {@linkcode DialBacks} needs. */
export interface DialBacksOptions {
  credentials: () => Credentials;
  /** Limit of one dial-back, milliseconds. */
  timeout: number;
  clock: Clock;
}

/**
 * Requests that make somebody dial. An address may be that of a whole office, whose peers all come back at once when
 * the tracker was away.
 */
const REQUEST_RATES: Rates = {
  key: { rate: 2, burst: 50 },
  address: { rate: 200, burst: 4096 },
  all: { rate: 1000, burst: 20_000 },
};
/** Dial-backs of silent members under way at once. */
const MAX_DIALS = 64;
/** Dial-backs of REGISTER at once for one address, and in all. */
const MAX_DIALS_PER_HOST = 16;
const MAX_REGISTRATIONS = 256;

/** Tries of a dial for which there is no descriptor, and milliseconds between two of them. */
const WANT_TRIES = 20;
const WANT_PAUSE = 100;

/** Whether a dial failed because this process may open no more connections. */
export function isForWant(error: unknown): boolean {
  return error instanceof P2PError && isOutOfDescriptors(error.cause);
}

/** The tracker's dials to peers, and how often peers may have somebody dial. */
export class DialBacks {
  readonly #options: DialBacksOptions;
  readonly #requests: RequestLimits;
  /** By address: whoever registers peers that never answer delays those of its own address only. */
  readonly #registrations = new KeyedGate(MAX_DIALS_PER_HOST);
  readonly #allRegistrations = new Gate(MAX_REGISTRATIONS);
  readonly #checks = new Gate(MAX_DIALS);

  constructor(options: DialBacksOptions) {
    this.#options = options;
    this.#requests = new RequestLimits({ ...REQUEST_RATES, clock: options.clock });
  }

  /**
   * Lets a request on the session that makes somebody dial pass, and counts it.
   *
   * @throws {P2PError} `rate-limited` when there are too many.
   */
  expectAllowed(session: Session): void {
    if (this.#requests.take(session.remote.id, sourceHost(session))) return;
    throw new P2PError("rate-limited", "Cannot dial so often: wait a moment");
  }

  /** Dials a peer that registers on the session; rejects when its key does not answer. */
  ofNew(entry: PeerEntry, session: Session): Promise<void> {
    const dial = () => this.#dial(entry, session);
    const owner = ownerOf(sourceHost(session));
    return this.#registrations.run(owner, () => this.#allRegistrations.run(dial));
  }

  /** Dials a member that is silent or lost, of its session if it has one; rejects when its key does not answer. */
  ofSilent(entry: PeerEntry, session: Session | null): Promise<void> {
    return this.#checks.run(() => this.#dial(entry, session));
  }

  async #dial({ id, host, port }: PeerEntry, session: Session | null): Promise<void> {
    const { credentials, timeout, clock } = this.#options;
    const address = { host: withScope(host, session?.connection.local.host ?? ""), port };
    for (let tries = 1;; tries++) {
      try {
        await probe({ address, id, credentials: credentials(), timeout });
        return;
      } catch (error) {
        // That the tracker may open no more for the moment says nothing of the peer.
        if (!isForWant(error) || tries === WANT_TRIES) throw error;
      }
      await delay(clock, WANT_PAUSE);
    }
  }
}

/** The address a session comes from; an IPv4 address in IPv6 notation is plain again. */
export function sourceHost(session: Session): string {
  return plainHost(session.connection.remote.host);
}
