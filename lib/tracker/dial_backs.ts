import { Gate, KeyedGate } from "../async/gate.ts";
import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import type { Credentials } from "../net/handshake.ts";
import { probe } from "../net/open_session.ts";
import { RequestBuckets } from "../net/request_buckets.ts";
import type { Session } from "../net/session.ts";
import type { PeerEntry } from "../wire/message.ts";

/** What {@linkcode DialBacks} needs. */
export interface DialBacksOptions {
  credentials: () => Credentials;
  /** Limit of one dial-back, milliseconds. */
  timeout: number;
  clock: Clock;
}

/** Requests of one member that make somebody dial: on average two a second, fifty at once. */
const REQUEST_RATE = { rate: 2, burst: 50 };
/** Dial-backs of silent members under way at once. */
const MAX_DIALS = 64;
/** Dial-backs of REGISTER at once for one address. */
const MAX_DIALS_PER_HOST = 16;

/** The tracker's dials to peers, and how often peers may have somebody dial. */
export class DialBacks {
  readonly #options: DialBacksOptions;
  readonly #requests: RequestBuckets;
  /** By address: whoever registers peers that never answer delays those of its own address only. */
  readonly #registrations = new KeyedGate(MAX_DIALS_PER_HOST);
  readonly #checks = new Gate(MAX_DIALS);

  constructor(options: DialBacksOptions) {
    this.#options = options;
    this.#requests = new RequestBuckets({ ...REQUEST_RATE, clock: options.clock });
  }

  /**
   * Lets a request of `id` that makes somebody dial pass, and counts it.
   *
   * @throws {P2PError} `rate-limited` when there are too many.
   */
  expectAllowed(id: string): void {
    if (this.#requests.take(id)) return;
    throw new P2PError("rate-limited", "Cannot dial so often: wait a moment");
  }

  /** Dials a peer that registers from `host`; rejects when its key does not answer. */
  ofNew(entry: PeerEntry, host: string): Promise<void> {
    return this.#registrations.run(host, () => this.#dial(entry));
  }

  /** Dials a member that is silent or lost; rejects when its key does not answer. */
  ofSilent(entry: PeerEntry): Promise<void> {
    return this.#checks.run(() => this.#dial(entry));
  }

  async #dial(entry: PeerEntry): Promise<void> {
    const { credentials, timeout } = this.#options;
    await probe({ address: entry, id: entry.id, credentials: credentials(), timeout });
  }
}

/** The address a session comes from; an IPv4 address in IPv6 notation is plain again. */
export function sourceHost(session: Session): string {
  return session.connection.remote.host.replace(/^::ffff:(?=\d+\.)/, "");
}
