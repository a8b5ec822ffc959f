import { onAbort } from "../async/abort.ts";
import { type Clock, delay, systemClock } from "../async/clock.ts";
import { untilItWorks } from "../async/until_it_works.ts";
import { asP2PError, ExitCode, isRetriable, P2PError } from "../errors.ts";
import type { Evidence } from "../identity/evidence.ts";
import { decodeEvidence, encodeEvidence } from "../identity/evidence_frame.ts";
import type { Credentials } from "../net/handshake.ts";
import { keepAlive } from "../net/keep_alive.ts";
import { dismiss, openSession } from "../net/open_session.ts";
import type { Candidates } from "../net/candidates.ts";
import { race } from "../net/race.ts";
import type { Answer, Session, WithoutSeq } from "../net/session.ts";
import { cameTo } from "../net/transport.ts";
import { type Address, formatAddress, isLoopback } from "../address.ts";
import type { Frame } from "../wire/frame.ts";
import { MAX_PEERS_PER_FRAME } from "../wire/limits.ts";
import type {
  MessageOf,
  PeerEntry,
  ReplyTo,
  ReportedRecipient,
  ReportedShare,
  RequestMessage,
} from "../wire/message.ts";
import { isNumberedPeerName } from "../wire/peer_name.ts";
import { checkPage, type ListChange, PeerList } from "./peer_list.ts";

export type { ListChange };

/** What a peer hears from its tracker. */
export interface TrackerClientObserver {
  onListChanged?(change: ListChange): void;
  onMessage?(message: MessageOf<"MESSAGE">, text: Uint8Array): void | Promise<void>;
  /** Somebody is accused of having signed wrong data; nothing of it is checked. */
  onEvidence?(evidence: Evidence): void;
  /** Another peer asks to be dialled, since it cannot dial this one. */
  onDial?(message: MessageOf<"DIAL">): void;
  /** Another peer asks for a connection through the tracker, since the two have no other path. */
  onJoin?(message: MessageOf<"JOIN">): void;
  /** The tracker ended the session, with BYE (null) or ERROR; true keeps the client from coming back. */
  onEnded?(error: P2PError | null): boolean;
  /** The session broke; the client comes back by itself. */
  onLost?(error: P2PError): void;
  /** Registered, for the first time or again. */
  onRegistered?(reply: MessageOf<"OK">): void;
  /** The tracker refuses this peer for good (barred, another secret): it will not try again. */
  onRefused?(error: P2PError): void;
}

/** What a peer registers with. */
export type Registration = Omit<MessageOf<"REGISTER">, "verb" | "seq">;

/** Settings of a {@linkcode TrackerClient}. */
export interface TrackerClientOptions {
  address: Candidates;
  credentials: Credentials;
  observer?: TrackerClientObserver;
  /** What to register with, asked at each registration. */
  registration?: () => Promise<Registration>;
  clock?: Clock;
  /** From 0 to 1, for jitter. */
  random?: () => number;
}

/** Silence of the tracker in milliseconds after which it is asked whether it is there, which shows it life as well. */
const IDLE_LIMIT = 15_000;
/** How long in milliseconds it may take to answer: a tracker that is lost is noticed within 30 s. */
const PONG_TIMEOUT = 10_000;
/** The same after this machine's addresses have changed. */
const RENEWAL_PONG = 5_000;
/** The same after another machine was lost: the line of this one may have been away. */
const REVIVAL_PONG = 2_000;
/** Shares that are read of a tracker at most, however many it says there are. */
const MAX_SHARES_READ = 2_000;
/** The same of the recipients of one. */
const MAX_RECIPIENTS_READ = 10_000;
/** Pause in milliseconds before coming back: a tracker's restart must not bring all at once. */
const FIRST_PAUSE = 250;
/** Longest time in milliseconds over which a tracker may have its peers spread their first try. */
const MAX_WITHIN = 30_000;

/**
 * A peer's side of its tracker: one session, the list of peers, and the way back when the session breaks.
 */
export class TrackerClient implements AsyncDisposable {
  readonly list = new PeerList();
  readonly #options: TrackerClientOptions;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #session: Session | undefined;
  /** Why the last session ended. */
  #failure: P2PError | undefined;
  #running: Promise<void> = Promise.resolve();
  #returning: Promise<void> | undefined;
  #reviving: Promise<void> | undefined;
  #registered = false;
  #isLocal: boolean;
  /** Address of several at which the tracker was found last. */
  #found: Address | undefined;
  /** Ends the pause before the next try to come back. */
  #wake: () => void = () => {};

  constructor(options: TrackerClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#isLocal = isLoopback(options.address.host);
  }

  /** Where the tracker is: of several addresses the one at which it was found last. */
  get address(): Address {
    const { host, port } = this.#found ?? this.#options.address;
    return { host, port };
  }

  /** Whether there is a session now. */
  get isConnected(): boolean {
    return this.#session !== undefined && !this.#session.connection.closed;
  }

  /** Whether it has registered and not unregistered since; also while the session is broken. */
  get isRegistered(): boolean {
    return this.#registered;
  }

  /** The tracker's id, once greeted. */
  get trackerId(): string | undefined {
    return this.#session?.remote.id;
  }

  /** Own address as the tracker reached it from, once connected. */
  get localHost(): string | undefined {
    return this.#session?.connection.local.host;
  }

  /** Whether the tracker listens on loopback, so that all its members are on this machine: as it said last. */
  get isLocal(): boolean {
    return this.#isLocal;
  }

  /** Whether the tracker says that it passes bytes on between members; false while there is no session. */
  get relays(): boolean {
    return this.#session?.remote.relay === true;
  }

  /** The tracker's own address, whatever name it was given by; undefined while there is no session. */
  get remoteHost(): string | undefined {
    return this.#session?.connection.remote.host;
  }

  /**
   * Opens the session.
   *
   * @throws {P2PError} `tracker-unreachable`, or why the two do not trust each other.
   */
  async connect(): Promise<void> {
    let session: Session;
    try {
      const { addresses = [] } = this.#options.address;
      session =
        await (addresses.length > 0 ? this.#openFirst(addresses) : this.#open(this.address));
    } catch (error) {
      throw this.#explain(asP2PError(error));
    }
    if (this.#stop.signal.aborted) {
      await session.close();
      throw this.#stop.signal.reason;
    }
    if (session.remote.role !== "tracker") {
      await session.close();
      throw new P2PError(
        "usage",
        `Cannot join ${formatAddress(this.address)}: it is a peer, not a tracker`,
      );
    }
    this.#session = session;
    // One that is reached through a tunnel has members elsewhere.
    this.#isLocal = session.remote.local === true && isLoopback(session.connection.local.host);
    keepAlive(session, { idleLimit: IDLE_LIMIT, pongTimeout: PONG_TIMEOUT, clock: this.#clock });
    this.#running = session.run({
      allocate: ({ verb }, length) =>
        verb === "MESSAGE" || verb === "EVIDENCE" ? new Uint8Array(length) : null,
      onMessage: (frame) => this.#onMessage(frame),
      onClosed: (error) => this.#onClosed(session, error),
    });
  }

  /**
   * Registers, and from then on comes back by itself whenever the session breaks.
   *
   * @throws {P2PError} what the tracker refused it with.
   */
  async register(): Promise<MessageOf<"OK">> {
    const { registration, observer } = this.#options;
    if (!registration) throw new TypeError("a client without registration cannot register");
    const asked = await registration();
    const { message } = await this.#ask({ verb: "REGISTER", ...asked });
    checkListedAs(message, asked);
    this.#registered = true;
    observer?.onRegistered?.(message);
    // When the session breaks before the list has come, the client comes back and asks again.
    await this.refresh().catch((error) => {
      if (!isRetriable(error)) throw error;
    });
    return message;
  }

  /**
   * Has the tracker list this peer anew, since its addresses have changed. What comes back by itself does so at once.
   *
   * @param isGone whether this machine no longer has an address: a session from there is dead, and says so to nobody.
   */
  async renew(isGone: (host: string) => boolean): Promise<void> {
    this.#wake();
    const session = this.#session;
    if (!session || !this.#registered) return;
    const own = session.connection.local.host;
    if (isGone(own)) {
      return session.abort(
        new P2PError("connection-lost", `this machine no longer has the address ${own}`),
      );
    }
    try {
      // Its address is there and its way may be gone, which a REGISTER, that takes longer, would find out too late.
      if (!await session.isAlive(RENEWAL_PONG)) {
        throw new P2PError("timeout", "Connection lost: no answer to PING");
      }
      await this.register();
    } catch (error) {
      session.abort(asP2PError(error));
    }
  }

  /**
   * Has a session again on which the tracker answers, for a client that has not registered: another comes back by itself.
   *
   * @throws {P2PError} as {@linkcode connect} does.
   */
  async revive(): Promise<void> {
    if (this.#registered) return;
    this.#reviving ??= this.#reconnect().finally(() => this.#reviving = undefined);
    await this.#reviving;
  }

  async #reconnect(): Promise<void> {
    const session = this.#session;
    if (session && await session.isAlive(REVIVAL_PONG)) return;
    session?.abort(new P2PError("timeout", "Connection lost: no answer to PING"));
    await this.connect();
  }

  /** Unregisters and waits for the tracker's OK. */
  async unregister(): Promise<void> {
    this.#registered = false;
    if (this.isConnected) await this.#ask({ verb: "UNREGISTER" }, 5_000);
  }

  /** Brings the list up to date and resolves with it. */
  async refresh(): Promise<PeerEntry[]> {
    for (let more = true; more;) {
      const { position } = this.list;
      const { message: page } = await this.#ask({
        verb: "PEERS",
        ...position,
        limit: MAX_PEERS_PER_FRAME,
      });
      checkPage(page, position);
      this.#apply(page);
      more = page.more;
    }
    return this.list.entries;
  }

  /** Hands a signed message to the tracker; resolves with the number of peers it went to, and with their ids. */
  async broadcast(
    message: Omit<MessageOf<"BROADCAST">, "verb" | "seq">,
    text: Uint8Array<ArrayBuffer>,
  ): Promise<{ delivered: number; to: string[] | undefined }> {
    const { message: { delivered, to } } = await this.#ask(
      { verb: "BROADCAST", ...message },
      undefined,
      text,
    );
    if (delivered === undefined || (to && new Set(to).size !== delivered)) {
      throw new P2PError(
        "malformed",
        "Cannot read the OK to BROADCAST: it does not say, or not twice the same, how many got it",
      );
    }
    return { delivered, to };
  }

  /** Asks the tracker to have `peer` dial this machine, at `port` of the address that the tracker sees, or elsewhere. */
  async requestDial(
    peer: string,
    where: Pick<MessageOf<"CONNECT">, "port" | "addresses" | "token">,
  ): Promise<void> {
    await this.#ask({ verb: "CONNECT", peer, ...where });
  }

  /** What tells the session that is open from those before; undefined while there is none. */
  get session(): unknown {
    return this.isConnected ? this.#session : undefined;
  }

  /** Tells the tracker how a share goes; one that is away is looked for, unless this client comes back by itself. */
  async report(report: Omit<MessageOf<"REPORT">, "verb" | "seq">): Promise<void> {
    if (!this.isConnected) await this.revive();
    await this.#ask({ verb: "REPORT", ...report });
  }

  /** Has the tracker tell everybody who has signed wrong data. */
  async accuse(evidence: Evidence): Promise<void> {
    const { message: { verb, ...fields }, body } = encodeEvidence(evidence);
    await this.#ask({ verb, ...fields }, undefined, body);
  }

  /** All shares that the tracker has been told of, those told of last first. */
  async shares(): Promise<ReportedShare[]> {
    const shares: ReportedShare[] = [];
    for (let more = true; more && shares.length < MAX_SHARES_READ;) {
      const { message: page } = await this.#ask({ verb: "SHARES", start: shares.length });
      shares.push(...page.shares);
      more = page.more && page.shares.length > 0;
    }
    return shares;
  }

  /** The recipients of a share. */
  async recipientsOf({ from, share }: ReportedShare): Promise<ReportedRecipient[]> {
    const recipients: ReportedRecipient[] = [];
    for (let more = true; more && recipients.length < MAX_RECIPIENTS_READ;) {
      const start = recipients.length;
      const { message: page } = await this.#ask({ verb: "SHARES", from, share, start });
      recipients.push(...page.recipients);
      more = page.more && page.recipients.length > 0;
    }
    return recipients;
  }

  /** As a tracker's operator: bars an id. */
  async remove(id: string): Promise<void> {
    await this.#ask({ verb: "REMOVE", id });
  }

  /** As a tracker's operator: lets a barred id join again. */
  async restore(id: string): Promise<void> {
    await this.#ask({ verb: "RESTORE", id });
  }

  /** As a tracker's operator: makes a new secret; resolves with the new invite. */
  async rotate(): Promise<string | undefined> {
    return (await this.#ask({ verb: "ROTATE" })).message.invite;
  }

  /** Says goodbye and stops coming back. */
  async close(): Promise<void> {
    this.#stop.abort(new P2PError("interrupted", "The client was closed"));
    await this.#session?.close();
    await this.#returning;
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(address: Address, lost?: AbortSignal): Promise<Session> {
    return openSession({
      address,
      credentials: this.#options.credentials,
      id: undefined,
      signal: this.#stop.signal,
      lost,
      clock: this.#clock,
    });
  }

  /** Opens a session at the first of several addresses that leads to the tracker. */
  async #openFirst(others: readonly Address[]): Promise<Session> {
    const { host, port } = this.#options.address;
    const all = [{ host, port }, ...others];
    const isFirst = (address: Address) => formatAddress(address) === formatAddress(this.address);
    const inOrder = [...all.filter(isFirst), ...all.filter((address) => !isFirst(address))];
    const over = new AbortController();
    using _ = onAbort(this.#stop.signal, () => over.abort(this.#stop.signal.reason));
    const failures: { address: Address; error: P2PError }[] = [];
    const attempt = (address: Address) => async (lost: AbortSignal) => {
      try {
        return { session: await this.#open(address, lost), address };
      } catch (thrown) {
        const error = asP2PError(thrown);
        failures.push({ address, error });
        // Who says no has proven to be the one.
        if (error.remote && !isRetriable(error)) over.abort(error);
        throw error;
      }
    };
    try {
      const found = await race(inOrder.map(attempt), {
        clock: this.#clock,
        signal: over.signal,
        drop: ({ session }) => dismiss(session),
      });
      this.#found = found.address;
      return found.session;
    } catch (error) {
      if (over.signal.aborted) throw over.signal.reason;
      if (failures.every(({ error }) => error.code === "wrong-key")) throw error;
      const told = failures.map(({ address, error }) => cameTo(address, error)).join("; ");
      throw new P2PError("peer-unreachable", `Cannot reach the tracker: ${told}`, { cause: error });
    }
  }

  async #ask<M extends WithoutSeq<RequestMessage>>(
    message: M,
    timeout?: number,
    body?: Uint8Array<ArrayBuffer>,
  ): Promise<Answer<ReplyTo<M["verb"]>>> {
    if (!this.#session) {
      // A tracker that does not admit this peer says so when the handshake is over.
      if (this.#failure?.remote && isFinal(this.#failure)) throw this.#explain(this.#failure);
      throw new P2PError(
        "tracker-unreachable",
        this.#text(
          this.#failure?.remote ? `it said: ${this.#failure.message}` : "there is no connection",
        ),
      );
    }
    return await this.#session.request(message, { timeout, body });
  }

  #onMessage({ message, body }: Frame): void | Promise<void> {
    const { observer } = this.#options;
    switch (message.verb) {
      case "PEER_LIST":
        this.#apply(message);
        if (message.more) this.refresh().catch(() => {});
        return;
      case "MESSAGE":
        return observer?.onMessage?.(message, body);
      case "EVIDENCE":
        // One with a number is for trackers.
        if (message.seq !== undefined) break;
        return observer?.onEvidence?.(decodeEvidence(message, body));
      case "DIAL":
        return observer?.onDial?.(message);
      case "JOIN":
        // One with a number is for trackers.
        if (message.seq === undefined) return observer?.onJoin?.(message);
        break;
    }
    throw new P2PError(
      "unexpected-verb",
      `Cannot answer ${message.verb}: a peer does not take it here`,
    );
  }

  #apply(message: MessageOf<"PEER_LIST">): void {
    const change = this.list.apply(message);
    if (Object.values(change).every(({ length }) => length === 0)) return;
    this.#options.observer?.onListChanged?.(change);
  }

  #onClosed(session: Session, error: P2PError | null): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#failure = error ?? undefined;
    if (this.#stop.signal.aborted || !this.#registered) return;
    if ((error === null || error.remote) && this.#options.observer?.onEnded?.(error)) return;
    const reason = error ?? new P2PError("connection-lost", "the tracker said goodbye");
    if (error?.remote && isFinal(error)) {
      return this.#options.observer?.onRefused?.(this.#explain(error));
    }
    this.#options.observer?.onLost?.(reason);
    this.#returning ??= this.#comeBack(session.backWithin);
  }

  /**
   * Connects and registers again, with growing, jittered pauses.
   *
   * @param within the time over which a tracker with many peers has them spread their first try, milliseconds.
   */
  async #comeBack(within = 0): Promise<void> {
    const { random = Math.random, observer } = this.#options;
    const { signal } = this.#stop;
    try {
      await this.#pause(FIRST_PAUSE * (0.5 + random()) + Math.min(within, MAX_WITHIN) * random());
      await untilItWorks(() => this.#return(), {
        mayPass: (error) => !isFinal(asP2PError(error)),
        pause: 2 * FIRST_PAUSE,
        wait: (ms) => this.#pause(ms),
        clock: this.#clock,
        random,
        signal,
      });
    } catch (error) {
      if (!signal.aborted) observer?.onRefused?.(asP2PError(error));
    }
  }

  async #return(): Promise<void> {
    try {
      await this.connect();
      await this.register();
    } catch (error) {
      await this.#session?.close();
      throw error;
    }
    if (!this.isConnected) {
      throw new P2PError("tracker-unreachable", this.#text("the connection broke again"));
    }
    // At once, not when the promise has settled: the session may break before that.
    this.#returning = undefined;
  }

  /** Waits before another try; {@linkcode renew} ends it. */
  async #pause(ms: number): Promise<void> {
    const woken = new Promise<void>((resolve) => this.#wake = resolve);
    const stop = new AbortController();
    using _ = onAbort(this.#stop.signal, () => stop.abort(this.#stop.signal.reason));
    const rested = delay(this.#clock, ms, stop.signal);
    rested.catch(() => {});
    await Promise.race([rested, woken]).finally(() => stop.abort());
  }

  /** Says of a failed connection what it means for a tracker. */
  #explain(error: P2PError): P2PError {
    const remedy = "get the invite of today with `tracker invite` and paste it at `peer --join -`";
    switch (error.code) {
      case "wrong-key":
        return new P2PError(
          "wrong-network",
          this.#text(`it is not a tracker of the invite's network; ${remedy}`),
          { cause: error },
        );
      case "wrong-secret":
        return new P2PError(
          "wrong-secret",
          this.#text(`the invite's secret is not the network's (any more); ${remedy}`),
          { cause: error },
        );
      case "peer-unreachable":
      case "timeout":
      case "connection-lost":
      case "busy":
        return new P2PError(
          "tracker-unreachable",
          `${error.message}; is the tracker running there? See --tracker and --join`,
          { cause: error },
        );
      default:
        return error;
    }
  }

  #text(reason: string): string {
    return `Cannot join the tracker at ${formatAddress(this.#options.address)}: ${reason}`;
  }
}

/** Trying again would not help: somebody has to do something. */
function isFinal(error: P2PError): boolean {
  return error.exitCode === ExitCode.unauthorised || error.code === "version" ||
    error.code === "invalid";
}

/**
 * Checks that a registration is the one that was asked for.
 *
 * @throws {P2PError} `malformed`.
 */
function checkListedAs(
  { name, port }: MessageOf<"OK">,
  asked: { name: string; port: number },
): void {
  if (name === undefined || !isNumberedPeerName(name, asked.name)) {
    throw new P2PError(
      "malformed",
      `Cannot read the OK to REGISTER: it lists ${name ?? "no name"} and not ${asked.name}`,
    );
  }
  if (port !== undefined && port !== asked.port) {
    throw new P2PError(
      "malformed",
      `Cannot read the OK to REGISTER: it lists port ${port} and not ${asked.port}`,
    );
  }
}
