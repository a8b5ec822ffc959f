import { P2PError } from "../errors.ts";
import { certificatePem } from "../identity/certificate.ts";
import { formatInvite, type InvitePlace } from "../identity/invite.ts";
import type { Identity } from "../identity/keys.ts";
import type { NetworkKey } from "../identity/network.ts";
import type { Credentials, Remote } from "../net/handshake.ts";
import type { Session } from "../net/session.ts";
import { type Address, isLoopback } from "../address.ts";
import { listen, type Listener } from "../net/listen.ts";

/** The tracker's trust: its own key, certified by the network's key. Null means `--insecure`. */
export interface TrackerTrust {
  network: NetworkKey;
  /** Makes a new secret and keeps it. */
  rotate: () => Promise<NetworkKey>;
}

/** Who a tracker is: its own key and its network's trust. */
export interface TrackerStanding {
  identity: Identity;
  trust: TrackerTrust | null;
}

/**
 * Listens as a tracker: with TLS and a certificate of the network's key, unless there is no trust.
 *
 * @throws {P2PError} `address-in-use` or `usage`.
 */
export function listenAsTracker(
  { host, port }: Address,
  { identity, trust }: TrackerStanding,
): Listener {
  if (!trust) return listen({ host, port }, null);
  const cert = certificatePem({ subjectKey: identity.publicKey, issuer: trust.network.key });
  return listen({ host, port }, { cert, key: identity.pkcs8Pem() });
}

/** The network of a running tracker, whose secret may change. */
export class TrackerNetwork {
  readonly #standing: TrackerStanding;
  readonly #isLocal: boolean;
  #network: NetworkKey | null;

  /** @param host where the tracker listens. */
  constructor(standing: TrackerStanding, host: string) {
    this.#standing = standing;
    this.#isLocal = isLoopback(host);
    this.#network = standing.trust?.network ?? null;
  }

  /** Whether the tracker listens on loopback, so that all its members are on its machine. */
  get isLocal(): boolean {
    return this.#isLocal;
  }

  /** The network's id; undefined with `--insecure`. */
  get id(): string | undefined {
    return this.#network?.key.id;
  }

  /** The tracker's own id. */
  get trackerId(): string {
    return this.#standing.identity.id;
  }

  /** What the tracker shows in a handshake. */
  credentials(): Credentials {
    const network = this.#network;
    return {
      identity: this.#standing.identity,
      role: "tracker",
      membership: network && { id: network.key.id, secret: network.secret },
      local: this.#isLocal,
    };
  }

  /** What a peer pastes to join a tracker at the address; undefined with `--insecure`. */
  invite(place: InvitePlace): string | undefined {
    if (!this.#network) return undefined;
    const { key, secret } = this.#network;
    return formatInvite({ ...place, network: key.id, secret });
  }

  /**
   * Refuses one who says to be the operator and is not.
   *
   * @throws {P2PError} `unauthorised`.
   */
  checkRole({ id, role }: Remote): void {
    if (role !== "operator" || id === this.trackerId) return;
    throw new P2PError("unauthorised", "Cannot operate this tracker: only its own key may");
  }

  /**
   * The trust that the operator's session may change.
   *
   * @throws {P2PError} `unauthorised` for any other session.
   */
  checkOperator({ remote }: Session): TrackerTrust {
    const { trust } = this.#standing;
    if (trust && remote.role === "operator") return trust;
    throw new P2PError("unauthorised", "Cannot do that: only the tracker's own key may");
  }

  /** Makes a new secret, as asked on the operator's session. */
  async rotate(operator: Session): Promise<void> {
    this.#network = await this.checkOperator(operator).rotate();
  }
}
