import type { AppEvent } from "../events.ts";
import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import { certificatePem } from "../identity/certificate.ts";
import type { Credentials, Remote } from "../net/handshake.ts";
import type { RequestLimits } from "../net/request_buckets.ts";
import type { Server } from "../net/server.ts";
import type { Session } from "../net/session.ts";
import { type Address, formatAddress, isLoopback } from "../address.ts";
import type { TrackerClient } from "../directory/tracker_client.ts";

/** What a {@linkcode PeerListener} needs. */
export interface PeerListenerOptions {
  credentials: Credentials;
  tracker: TrackerClient;
  /** Whether the network is a share. */
  isShare: () => boolean;
  /** The port at which a tracker in this process takes sessions for this peer, which listens nowhere then. */
  dialBackPort: number | undefined;
  /** Address to listen on; by default the one that {@linkcode PeerListener.ownHost} says. */
  host: string | undefined;
  /** Port to listen on; 0 takes a free one. */
  port: number;
  /** Runs a session that another peer opened. */
  onSession: (session: Session) => Promise<void>;
  /** How many refused connections of one address are told. */
  refusals: RequestLimits;
  emit: (event: AppEvent) => void;
  clock: Clock;
}

/** Where other peers reach this one. */
export class PeerListener {
  readonly #options: PeerListenerOptions;
  #server: Server | undefined;
  #listening: Promise<Address> | undefined;

  constructor(options: PeerListenerOptions) {
    this.#options = options;
  }

  /** Undefined until it listens. */
  get address(): Address | undefined {
    return this.#server?.address;
  }

  /** Where to listen when no host is given: on loopback, or on the address that reached the tracker. */
  get ownHost(): string {
    const { tracker, isShare } = this.#options;
    // Nobody dials those whom a share sends to.
    if (isLoopback(tracker.address.host) || isShare()) return "127.0.0.1";
    return tracker.localHost ?? "127.0.0.1";
  }

  /**
   * Starts to listen, and resolves with where. What listens is loaded here: most one-shot commands need none of it.
   *
   * @throws {P2PError} `address-in-use`, or `address-unavailable` when the host is none of this machine's.
   */
  async listen(): Promise<Address> {
    const [{ Server }, { listen }] = await Promise.all([
      import("../net/server.ts"),
      import("../net/listen.ts"),
    ]);
    const { credentials, onSession, clock, port } = this.#options;
    const host = this.#options.host ?? this.ownHost;
    const { identity, membership } = credentials;
    const tls = membership
      ? {
        cert: certificatePem({ subjectKey: identity.publicKey, issuer: identity }),
        key: identity.pkcs8Pem(),
      }
      : null;
    this.#server = new Server(listen({ host, port }, tls), {
      credentials: () => credentials,
      admit: (remote) => this.#admit(remote),
      onSession,
      onRefused: (error, from) => this.#onRefused(error, from),
      clock,
    });
    return { host, port: this.#server.address.port };
  }

  /** The port that others can dial; undefined until it listens. */
  get port(): number | undefined {
    return this.#options.dialBackPort ?? this.address?.port;
  }

  /** Whether an address leads to this listener. */
  isOwn({ host, port }: Address): boolean {
    const own = this.address;
    if (own?.port !== port) return false;
    if (own.host !== "0.0.0.0" && own.host !== "::") return own.host === host;
    return isLoopback(host) || Deno.networkInterfaces().some(({ address }) => address === host);
  }

  /**
   * Starts to listen unless it does, and resolves with the port: a one-shot command needs one when it has to be dialled.
   *
   * @throws {P2PError} as {@linkcode listen} does.
   */
  async expectPort(): Promise<number> {
    if (this.port === undefined) {
      this.#listening ??= this.listen().finally(() => this.#listening = undefined);
      await this.#listening;
    }
    return this.port as number;
  }

  /** Ends what a barred peer has opened. */
  async refuse(id: string): Promise<void> {
    await this.#server?.refuse(id, barred());
  }

  /** Takes no new sessions; those under way go on. */
  stopAccepting(): void {
    this.#server?.stopAccepting();
  }

  /** Ends all sessions and waits for them. */
  async close(): Promise<void> {
    await this.#listening?.catch(() => {});
    await this.#server?.close();
  }

  #admit({ id }: Remote): void {
    if (!this.#options.tracker.list.isBarred(id)) return;
    throw barred();
  }

  #onRefused(error: P2PError, from: Address): void {
    // Connections that merely end are everyday; those that fail to prove themselves are not.
    if (error.code === "connection-lost" || error.code === "timeout") return;
    const { refusals, emit } = this.#options;
    if (!refusals.take(from.host)) return;
    emit({ event: "notice", message: `Refused ${formatAddress(from)}: ${error.message}` });
  }
}

/** The error of a peer that has been removed. */
export function barred(): P2PError {
  return new P2PError("barred", "Cannot connect: this peer has been removed from the network");
}
