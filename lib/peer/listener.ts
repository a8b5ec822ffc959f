import { onDemand } from "../on_demand.ts";
import { tellOnce } from "../tell_once.ts";
import type { AppEvent } from "../events.ts";
import { type Clock, delay } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import { certificatePem } from "../identity/certificate.ts";
import type { BareConnection } from "../net/connection.ts";
import type { Credentials, Remote } from "../net/handshake.ts";
import type { RequestLimits } from "../net/request_buckets.ts";
import type * as Interfaces from "../net/interfaces.ts";
import type { listen, wildcardHost } from "../net/listen.ts";
import type { Server } from "../net/server.ts";
import type { Session } from "../net/session.ts";
import type { ListenerKey } from "../net/tls_door.ts";
import {
  type Address,
  formatAddress,
  isLoopback,
  isWildcard,
  plainHost,
  reachOf,
  RELAYED,
} from "../address.ts";
import { MAX_ADDRESSES } from "../wire/limits.ts";
import type { TrackerClient } from "../directory/tracker_client.ts";

/** What a {@linkcode PeerListener} needs. */
export interface PeerListenerOptions {
  credentials: Credentials;
  tracker: TrackerClient;
  /** Whether the network is a share. */
  isShare: () => boolean;
  /** The port at which a tracker in this process takes sessions for this peer, which listens nowhere then. */
  dialBackPort: number | undefined;
  /** Address to listen on; by default all of this machine, or loopback for a tracker that is for this machine alone. */
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

/** What listening needs beside what a peer that only sends does: loaded by whoever listens. */
interface Parts {
  Server: typeof Server;
  listen: typeof listen;
  wildcardHost: typeof wildcardHost;
  interfaces: typeof Interfaces;
}

/** How often the port of a listener that was closed is tried, and milliseconds between two tries. */
const FREE_TRIES = 20;
const FREE_PAUSE = 5;

/** Where other peers reach this one. */
export class PeerListener {
  readonly #options: PeerListenerOptions;
  /** Those that took sessions before the last one count for the sessions that they have. */
  readonly #servers: Server[] = [];
  #parts: Parts | undefined;
  #listening: Promise<Address> | undefined;
  #isStopped = false;

  /** Says what a person should know, once. */
  readonly #tellOnce: (message: string) => void;

  constructor(options: PeerListenerOptions) {
    this.#options = options;
    this.#tellOnce = tellOnce((message) => options.emit({ event: "notice", message }));
  }

  /** Undefined until it listens. */
  get address(): Address | undefined {
    return this.#server?.address;
  }

  /** Where others on other machines may dial this one, the likeliest first; none until it listens. */
  get addresses(): Address[] {
    if (this.#parts === undefined || this.address === undefined) return [];
    const { host, port } = this.address;
    return this.#hosts(host, this.#parts.interfaces).map((host) => ({ host, port }));
  }

  /** What stands in the way of others: the address to listen on is none of this machine's any more. */
  get isLost(): boolean {
    const { address, addresses } = this;
    return address !== undefined && addresses.length === 0 && !isLoopback(address.host) &&
      !isWildcard(address.host);
  }

  /** Whether this machine no longer has an address. */
  isGone(host: string): boolean {
    return !isLoopback(host) && this.#parts?.interfaces.isOwnAddress(plainHost(host)) === false;
  }

  /**
   * Starts to listen, and resolves with where. What listens is loaded here: most one-shot commands need none of it.
   *
   * @throws {P2PError} `address-in-use`, or `address-unavailable` when the host is none of this machine's.
   */
  async listen(): Promise<Address> {
    const [{ Server }, { listen, wildcardHost }, interfaces] = await Promise.all([
      onDemand<typeof import("../net/server.ts")>("../net/server.ts", import.meta.url),
      onDemand<typeof import("../net/listen.ts")>("../net/listen.ts", import.meta.url),
      onDemand<typeof import("../net/interfaces.ts")>("../net/interfaces.ts", import.meta.url),
    ]);
    const parts = this.#parts = { Server, listen, wildcardHost, interfaces };
    const host = this.#options.host ?? this.#ownHost(parts);
    const { port } = this.#listenOn(parts, { host, port: this.#options.port });
    return { host, port };
  }

  /**
   * Listens for other machines too, on the same port if that is free, when the tracker is no longer one for this machine
   * alone: it was started anew. Sessions go on.
   */
  async follow(): Promise<void> {
    const [parts, address] = [this.#parts, this.address];
    if (!parts || !address || this.#isStopped) return;
    if (this.#options.host !== undefined || !isLoopback(address.host)) return;
    const host = this.#ownHost(parts);
    if (isLoopback(host)) return;
    this.#server?.stopAccepting();
    for (let tries = 1; !this.#isStopped; tries++) {
      try {
        // The port is free a moment after its listener has been closed.
        return void this.#listenOn(parts, { host, port: tries < FREE_TRIES ? address.port : 0 });
      } catch (error) {
        if (tries >= FREE_TRIES) throw error;
        await delay(this.#options.clock, FREE_PAUSE);
      }
    }
  }

  /** The port that others can dial; undefined until it listens. */
  get port(): number | undefined {
    return this.#options.dialBackPort ?? this.address?.port;
  }

  /** Whether an address leads to this listener. */
  isOwn({ host, port }: Address): boolean {
    const own = this.address;
    if (own?.port !== port) return false;
    if (!isWildcard(own.host)) return own.host === host;
    return isLoopback(host) || this.#parts?.interfaces.isOwnAddress(plainHost(host)) === true;
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

  /**
   * Serves a peer whose bytes the tracker passes on, as if it had dialled this one. Refused where this peer does not
   * listen, or not any more.
   */
  async take(bare: BareConnection, relay: Address): Promise<void> {
    const { relayedConn } = await onDemand<typeof import("../net/relayed_conn.ts")>(
      "../net/relayed_conn.ts",
      import.meta.url,
    );
    const conn = await relayedConn(bare, this.#key && { key: this.#key });
    if (this.#server) this.#server.take(conn, relay);
    else conn.close();
  }

  /** Ends what a barred peer has opened. */
  async refuse(id: string): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.refuse(id, barred())));
  }

  /** Takes no new sessions; those under way go on. */
  stopAccepting(): void {
    this.#isStopped = true;
    this.#server?.stopAccepting();
  }

  /** Ends all sessions and waits for them. */
  async close(): Promise<void> {
    await this.#listening?.catch(() => {});
    this.#isStopped = true;
    await Promise.all(this.#servers.map((server) => server.close()));
  }

  get #server(): Server | undefined {
    return this.#servers.at(-1);
  }

  /** Where to listen when no host is given: on all of this machine, unless the tracker is for this machine alone. */
  #ownHost({ wildcardHost }: Parts): string {
    const { tracker, isShare } = this.#options;
    // Nobody dials those whom a share sends to.
    if (isShare()) return "127.0.0.1";
    return tracker.isLocal ? tracker.localHost ?? "127.0.0.1" : wildcardHost();
  }

  /** What this peer proves its id with; null with `--insecure`. */
  get #key(): ListenerKey | null {
    const { identity, membership } = this.#options.credentials;
    if (!membership) return null;
    return {
      cert: certificatePem({ subjectKey: identity.publicKey, issuer: identity }),
      key: identity.pkcs8Pem(),
    };
  }

  #listenOn({ Server, listen }: Parts, { host, port }: Address): Address {
    const { credentials, onSession, clock } = this.#options;
    const server = new Server(listen({ host, port }, this.#key), {
      credentials: () => credentials,
      admit: (remote) => this.#admit(remote),
      onSession,
      onRefused: (error, from) => this.#onRefused(error, from),
      onShort: (reason) => this.#tellOnce(`Cannot take more connections for now: ${reason}`),
      clock,
    });
    this.#servers.push(server);
    return server.address;
  }

  /** Addresses of other machines' use that a listener on `host` takes connections to. */
  #hosts(
    host: string,
    { machineAddresses, linkLocalAddresses, isOwnAddress }: typeof Interfaces,
  ): string[] {
    if (!isWildcard(host)) return !isLoopback(host) && isOwnAddress(host) ? [host] : [];
    const { localHost = "" } = this.#options.tracker;
    // On a link without other addresses the others are there too.
    const onLink = reachOf(localHost) === "link-local" ? linkLocalAddresses() : [];
    const own = [...machineAddresses(), ...onLink];
    // A socket of `::` takes IPv4 too where it was chosen here, and most likely where it was asked for.
    return own.filter((own) => host === "::" || !own.includes(":")).slice(0, MAX_ADDRESSES);
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
    const who = from.host === RELAYED.host ? "a caller via relay" : formatAddress(from);
    emit({ event: "notice", message: `Refused ${who}: ${error.message}` });
  }
}

/** The error of a peer that has been removed. */
export function barred(): P2PError {
  return new P2PError("barred", "Cannot connect: this peer has been removed from the network");
}
