import { type Clock, systemClock } from "../async/clock.ts";
import { P2PError, reasonOf } from "../errors.ts";
import { certificatePem } from "../identity/certificate.ts";
import { verifyMessage } from "../identity/signed_text.ts";
import { formatInvite } from "../identity/invite.ts";
import { type Identity, randomToken } from "../identity/keys.ts";
import type { NetworkKey } from "../identity/network.ts";
import { Gate, KeyedGate } from "../async/gate.ts";
import type { Credentials, Remote } from "../net/handshake.ts";
import { probe } from "../net/open_session.ts";
import { REFUSALS_TOLD, RequestBuckets } from "../net/request_buckets.ts";
import { Server } from "../net/server.ts";
import type { Session } from "../net/session.ts";
import { type Address, listen } from "../net/transport.ts";
import type { Frame } from "../wire/frame.ts";
import { MAX_BARRED } from "../wire/limits.ts";
import type { MessageOf, PeerEntry } from "../wire/message.ts";
import { Liveness } from "./liveness.ts";
import type { Member } from "./members.ts";
import { MemoryRegistry, type Registry } from "./registry.ts";

/** Why a peer left when it was no failure; any other reason is a text for people. */
export const LeftReason = {
  unregistered: "unregistered",
  goodbye: "said goodbye",
  dismissed: "dismissed",
} as const;

/** What the application hears of a tracker. */
export interface TrackerObserver {
  onJoined?(entry: PeerEntry): void;
  onLeft?(entry: PeerEntry, reason: string): void;
  onBroadcast?(author: string, text: Uint8Array, delivered: number): void;
  onRefused?(error: P2PError, address: Address): void;
}

/** The tracker's trust: its own key, certified by the network's key. Null means `--insecure`. */
export interface TrackerTrust {
  network: NetworkKey;
  /** Ids that may not join. */
  barred: Iterable<string>;
  /** Makes a new secret and keeps it. */
  rotate: () => Promise<NetworkKey>;
  /** Keeps the list of barred ids. */
  saveBarred: (ids: string[]) => Promise<void>;
}

/** Settings of a {@linkcode Tracker}. Times are milliseconds. */
export interface TrackerOptions {
  host: string;
  port: number;
  identity: Identity;
  trust: TrackerTrust | null;
  /** Under which address the invite names the tracker; by default where it listens. */
  advertise?: Partial<Address> | undefined;
  /** False lists every peer as unreachable, so that it is asked to dial. */
  dialBack?: boolean | undefined;
  /** Takes a session that another part of this process waits for, and runs it; false leaves it to the tracker. */
  acceptDialBack?: ((session: Session) => boolean) | undefined;
  /** Whether peers may be listed under another address than they come from, once dialled back there. */
  allowAdvertise?: boolean | undefined;
  pingAfter?: number | undefined;
  pongTimeout?: number | undefined;
  dialTimeout?: number | undefined;
  handshakeTimeout?: number | undefined;
  registry?: Registry;
  observer?: TrackerObserver;
  clock?: Clock;
}

/** Broadcasts of one member: on average two a second, twenty at once. */
const BROADCAST_RATE = { rate: 2, burst: 20 };
/** Requests of one member that make somebody dial: on average two a second, fifty at once. */
const DIAL_RATE = { rate: 2, burst: 50 };
/** Dial-backs of silent members under way at once. */
const MAX_DIALS = 64;
/** Dial-backs of REGISTER at once for one address. */
const MAX_DIALS_PER_HOST = 16;
/** Changes within this time, milliseconds, reach the peers in one frame. */
const PUSH_DELAY = 50;

/**
 * Knows who is there, tells everybody, and relays broadcasts. The composition root: each method hands its
 * work to the module that does it.
 */
export class Tracker implements AsyncDisposable {
  readonly #options: TrackerOptions;
  readonly #clock: Clock;
  readonly #registry: Registry;
  readonly #observer: TrackerObserver;
  readonly #members = new Map<string, Member>();
  readonly #barred: Set<string>;
  readonly #broadcasts: RequestBuckets;
  readonly #dialRequests: RequestBuckets;
  readonly #refusals: RequestBuckets;
  /** By address: whoever registers peers that never answer delays those of its own address only. */
  readonly #registrations = new KeyedGate(MAX_DIALS_PER_HOST);
  readonly #checks = new Gate(MAX_DIALS);
  readonly #liveness: Liveness;
  #network: NetworkKey | undefined;
  #server: Server | undefined;
  #cancelPush: (() => void) | undefined;
  #closed = false;

  constructor(options: TrackerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#registry = options.registry ?? new MemoryRegistry(() => randomToken(16));
    this.#observer = options.observer ?? {};
    this.#network = options.trust?.network;
    this.#barred = new Set(options.trust?.barred);
    this.#broadcasts = new RequestBuckets({ ...BROADCAST_RATE, clock: this.#clock });
    this.#refusals = new RequestBuckets({ ...REFUSALS_TOLD, clock: this.#clock });
    this.#dialRequests = new RequestBuckets({ ...DIAL_RATE, clock: this.#clock });
    this.#liveness = new Liveness({
      clock: this.#clock,
      pingAfter: options.pingAfter ?? 20_000,
      pongTimeout: options.pongTimeout ?? 5_000,
      members: () => this.#members.values(),
      dialBack: ({ entry }) => this.#checks.run(() => this.#dialBack(entry)),
      drop: (member, reason) => this.#drop(member, reason),
    });
  }

  /** Own id. */
  get id(): string {
    return this.#options.identity.id;
  }

  /** Where it listens; only after {@linkcode start}. */
  get address(): Address {
    if (!this.#server) throw new TypeError("the tracker has not been started");
    return this.#server.address;
  }

  /** What a peer pastes to join; undefined with `--insecure`. */
  get invite(): string | undefined {
    if (!this.#network) return undefined;
    const { host, port } = { ...this.address, ...this.#options.advertise };
    const { key, secret } = this.#network;
    return formatInvite({ host, port, network: key.id, secret });
  }

  /**
   * Listens and serves until {@linkcode close}.
   *
   * @throws {P2PError} `address-in-use` or `usage`.
   */
  start(): void {
    const { identity, handshakeTimeout } = this.#options;
    const key = this.#network?.key;
    const tls = key
      ? {
        cert: certificatePem({ subjectKey: identity.publicKey, issuer: key }),
        key: identity.pkcs8Pem(),
      }
      : null;
    this.#server = new Server(listen(this.#options, tls), {
      credentials: () => this.#credentials(),
      admit: (remote) => this.#admit(remote),
      onSession: (session) => this.#serve(session),
      onRefused: (error, address) => {
        if (this.#refusals.take(address.host)) this.#observer.onRefused?.(error, address);
      },
      clock: this.#clock,
      ...(handshakeTimeout === undefined ? {} : { handshakeTimeout }),
    });
  }

  /** Checks every member that has been silent for too long and drops those that do not answer. */
  async cleanupPeers(): Promise<void> {
    await this.#liveness.cleanupPeers();
  }

  /**
   * Relays a signed message to every registered peer but the session it came on.
   *
   * @returns to how many it went.
   */
  broadcastToPeers(
    message: MessageOf<"MESSAGE">,
    text: Uint8Array<ArrayBuffer>,
    author: Session,
  ): number {
    let delivered = 0;
    for (const { session } of this.#members.values()) {
      if (!session || session === author) continue;
      session.post(message, text);
      delivered++;
    }
    this.#observer.onBroadcast?.(message.from, text, delivered);
    return delivered;
  }

  /**
   * Lists the peer of `session` under the address it comes from, after dialling back there: a peer that
   * cannot be dialled is listed as unreachable and told why.
   */
  async handlePeerRegistration(session: Session, message: MessageOf<"REGISTER">): Promise<void> {
    const { id, role } = session.remote;
    if (id === "" || role !== "peer") {
      throw new P2PError("unauthorised", "Cannot register: only a peer that said HELLO may");
    }
    this.#limitDials(id);
    const wanted: PeerEntry = {
      id,
      name: message.name,
      host: this.#listedHost(session, message),
      port: message.port,
      reachable: this.#options.dialBack ?? true,
    };
    const reason = wanted.reachable
      ? await this.#registrations.run(
        sourceHost(session),
        () => this.#dialBack(wanted).then(() => undefined, reasonOf),
      )
      : undefined;
    if (session.connection.closed) return;
    const reachable = wanted.reachable && reason === undefined;
    const entry = await this.#registry.register({ ...wanted, reachable });
    this.#join(entry, session);
    const { name, host, port } = entry;
    session.post({
      verb: "OK",
      re: message.seq,
      name,
      host,
      port,
      reachable,
      ...(reason === undefined ? {} : {
        reason: `${reason}; open port ${port} of this machine to the others`,
      }),
    });
  }

  /** Takes a registered peer off the list and ends its session: with BYE, or with what went wrong. */
  async dismiss(id: string, error?: P2PError): Promise<void> {
    const member = this.#members.get(id);
    if (!member) return;
    const { session } = member;
    member.session = null;
    await this.#drop(member, LeftReason.dismissed);
    await (error ? session?.refuse(error) : session?.close());
  }

  /** All registered peers. */
  async peers(): Promise<PeerEntry[]> {
    return await this.#registry.list();
  }

  /** Says goodbye to all and stops. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#liveness.stop();
    this.#cancelPush?.();
    await this.#server?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #credentials(): Credentials {
    const network = this.#network;
    return {
      identity: this.#options.identity,
      role: "tracker",
      membership: network ? { id: network.key.id, secret: network.secret } : null,
    };
  }

  #admit({ id, role }: Remote): void {
    if (this.#barred.has(id)) {
      throw new P2PError("barred", "Cannot join: this peer has been removed from the network");
    }
    if (role === "operator" && id !== this.id) {
      throw new P2PError("unauthorised", "Cannot operate this tracker: only its own key may");
    }
  }

  async #serve(session: Session): Promise<void> {
    if (this.#options.acceptDialBack?.(session)) return await session.ended;
    await session.run({
      onMessage: (frame) => this.#onMessage(frame, session),
      onClosed: (error) => this.#onClosed(session, error),
    });
  }

  async #onMessage({ message, body }: Frame, session: Session): Promise<void> {
    switch (message.verb) {
      case "REGISTER":
        return await this.handlePeerRegistration(session, message);
      case "UNREGISTER":
        return await this.#unregister(session, message);
      case "PEERS":
        return await this.#list(session, message);
      case "BROADCAST":
        return this.#broadcast(session, message, body);
      case "CONNECT":
        return this.#connect(session, message);
      case "REMOVE":
        return await this.#remove(session, message);
      case "ROTATE":
        return await this.#rotate(session, message);
      default:
        throw new P2PError(
          "unexpected-verb",
          `Cannot answer ${message.verb}: a tracker does not take it`,
        );
    }
  }

  async #unregister(session: Session, { seq }: MessageOf<"UNREGISTER">): Promise<void> {
    const member = this.#memberOf(session);
    if (member) await this.#drop(member, LeftReason.unregistered);
    session.post({ verb: "OK", re: seq });
  }

  async #list(session: Session, { seq, since, epoch }: MessageOf<"PEERS">): Promise<void> {
    const changes = await this.#registry.changes(since, epoch);
    const member = this.#memberOf(session);
    if (member) member.told = { epoch: changes.epoch, revision: changes.revision };
    session.post({ verb: "PEER_LIST", re: seq, ...changes, barred: this.#barredIds() });
  }

  #broadcast(
    session: Session,
    message: MessageOf<"BROADCAST">,
    text: Uint8Array<ArrayBuffer>,
  ): void {
    const { id: from } = session.remote;
    const { seq, id, time, name, signature } = message;
    if (from === "") throw new P2PError("unauthorised", "Cannot broadcast: say HELLO first");
    if (!this.#broadcasts.take(from)) {
      throw new P2PError(
        "rate-limited",
        `Cannot broadcast: more than ${BROADCAST_RATE.rate} a second; wait a moment`,
      );
    }
    if (!isText(text)) {
      throw new P2PError("invalid", "Cannot broadcast: the text is empty or not UTF-8");
    }
    const network = this.#network?.key.id;
    if (network && !verifyMessage(from, { network, id, time, name }, text, signature)) {
      throw new P2PError("unauthorised", "Cannot broadcast: the signature is not the sender's");
    }
    const delivered = this.broadcastToPeers(
      { verb: "MESSAGE", id, from, name, time, signature },
      text,
      session,
    );
    session.post({ verb: "OK", re: seq, delivered });
  }

  /** Asks a peer that cannot be dialled to dial the asking one. */
  #connect(session: Session, { seq, peer, port, token }: MessageOf<"CONNECT">): void {
    const member = this.#members.get(peer);
    if (!member?.session) {
      throw new P2PError("peer-unknown", `Cannot connect to ${peer.slice(0, 8)}: it is not here`);
    }
    const { id } = session.remote;
    if (id === "") throw new P2PError("unauthorised", "Cannot connect: say HELLO first");
    if (id !== this.id) this.#limitDials(id);
    member.session.post({ verb: "DIAL", peer: id, host: sourceHost(session), port, token });
    session.post({ verb: "OK", re: seq });
  }

  #limitDials(id: string): void {
    if (this.#dialRequests.take(id)) return;
    throw new P2PError("rate-limited", "Cannot dial so often: wait a moment");
  }

  async #remove(session: Session, { seq, id }: MessageOf<"REMOVE">): Promise<void> {
    const trust = this.#operated(session);
    this.#barred.add(id);
    await trust.saveBarred([...this.#barred]);
    const error = new P2PError("barred", "This peer has been removed from the network");
    const theirs = [...this.#server?.sessions ?? []].filter(({ remote }) => remote.id === id);
    await Promise.all(theirs.map((other) => other.refuse(error)));
    const member = this.#members.get(id);
    if (member) await this.#drop(member, "removed from the network");
    this.#pushSoon();
    session.post({ verb: "OK", re: seq });
  }

  /** Makes a new secret. Whoever has the old one is sent away and needs the new invite. */
  async #rotate(session: Session, { seq }: MessageOf<"ROTATE">): Promise<void> {
    this.#network = await this.#operated(session).rotate();
    const { invite } = this;
    session.post({ verb: "OK", re: seq, ...(invite ? { invite } : {}) });
    const others = [...this.#server?.sessions ?? []].filter((other) => other !== session);
    await Promise.all(others.map((other) => other.close()));
  }

  #operated(session: Session): TrackerTrust {
    const { trust } = this.#options;
    if (!trust || session.remote.role !== "operator") {
      throw new P2PError("unauthorised", "Cannot do that: only the tracker's own key may");
    }
    return trust;
  }

  #listedHost(session: Session, { host }: MessageOf<"REGISTER">): string {
    if (host === undefined) return sourceHost(session);
    if (!this.#options.allowAdvertise || !this.#options.trust) {
      throw new P2PError(
        "invalid",
        `Cannot list the address ${host}: start the tracker with --allow-advertise, ` +
          "or the peer without --advertise",
      );
    }
    return host;
  }

  async #dialBack(entry: PeerEntry): Promise<void> {
    await probe({
      address: entry,
      id: entry.id,
      credentials: this.#credentials(),
      timeout: this.#options.dialTimeout ?? 5_000,
    });
  }

  #join(entry: PeerEntry, session: Session): void {
    const known = this.#members.get(entry.id);
    if (known?.session && known.session !== session) {
      // Its own old session is dead already; one that is alive is of a copy of its state folder.
      const error =
        "Another peer with the same key has registered; each needs its own --state folder";
      void known.session.refuse(new P2PError("replaced", error));
    }
    this.#members.set(entry.id, {
      entry,
      session,
      checkedAt: this.#clock.now(),
      checking: false,
      told: known?.session === session ? known.told : { epoch: "", revision: 0 },
    });
    if (!known) this.#observer.onJoined?.(entry);
    this.#pushSoon();
  }

  async #drop(member: Member, reason: string): Promise<void> {
    const { entry, session } = member;
    if (this.#members.get(entry.id) !== member) return;
    this.#members.delete(entry.id);
    await this.#registry.unregister(entry.id);
    if (reason !== LeftReason.unregistered) {
      session?.abort(new P2PError("timeout", `Dropped ${entry.name}: ${reason}`));
    }
    this.#observer.onLeft?.(entry, reason);
    this.#pushSoon();
  }

  #onClosed(session: Session, error: P2PError | null): void {
    const member = this.#memberOf(session);
    if (!member || this.#server === undefined) return;
    member.session = null;
    if (error === null) void this.#drop(member, LeftReason.goodbye);
    else if (!member.entry.reachable) void this.#drop(member, error.message);
    else void this.#liveness.sessionLost(member);
  }

  /** The latest of the barred: peers refuse them too. The tracker itself refuses all. */
  #barredIds(): string[] {
    return [...this.#barred].slice(-MAX_BARRED);
  }

  #memberOf(session: Session): Member | undefined {
    const member = this.#members.get(session.remote.id);
    return member?.session === session ? member : undefined;
  }

  /** Tells every member what changed, soon, in as few frames as possible. */
  #pushSoon(): void {
    if (this.#closed) return;
    this.#cancelPush ??= this.#clock.after(PUSH_DELAY, () => {
      this.#cancelPush = undefined;
      for (const member of this.#members.values()) void this.#push(member);
    });
  }

  async #push(member: Member): Promise<void> {
    const { session, told } = member;
    if (!session || session.connection.closed) return;
    const changes = await this.#registry.changes(told.revision, told.epoch);
    session.post({ verb: "PEER_LIST", ...changes, barred: this.#barredIds() });
    // A list that is longer than one frame is fetched by the peer, page by page.
    const { epoch, revision } = changes;
    member.told = { epoch, revision };
  }
}

function isText(bytes: Uint8Array): boolean {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes) !== "";
  } catch {
    return false;
  }
}

/** The address a session comes from; an IPv4 address in IPv6 notation is plain again. */
function sourceHost(session: Session): string {
  return session.connection.remote.host.replace(/^::ffff:(?=\d+\.)/, "");
}
