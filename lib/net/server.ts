import { timingSafeEqual } from "@std/crypto/timing-safe-equal";
import { asP2PError, isOutOfDescriptors, P2PError, reasonOf } from "../errors.ts";
import { type Clock, delay, systemClock } from "../async/clock.ts";
import { Connection } from "./connection.ts";
import { type Credentials, greetAsListener, type Remote } from "./handshake.ts";
import { keepAlive } from "./keep_alive.ts";
import { Session } from "./session.ts";
import { type Address } from "../address.ts";
import { closeQuietly, isFreedByClose } from "./closing.ts";
import { type Caps, HostCounts } from "./host_counts.ts";
import { ParkedSockets } from "./parked_sockets.ts";
import { restOf } from "./slow_line.ts";
import { accept, type Listener } from "./listen.ts";
import { TlsDoor } from "./tls_door.ts";
import { type Caller, WaitingRoom } from "./waiting_room.ts";

/** Settings and callbacks of a {@linkcode Server}. */
export interface ServerOptions {
  /** Asked for each connection: a rotated secret counts at once. */
  credentials: () => Credentials;
  /** Refuses a proven remote by throwing a `P2PError`, or rejecting with one; asked again when it has its session. */
  admit?: (remote: Remote, address: Address) => void | Promise<void>;
  /** Runs a new session; resolves when it has ended. */
  onSession: (session: Session) => Promise<void>;
  /** A connection that came to nothing: a failed handshake, a refused member. */
  onRefused?: (error: P2PError, address: Address) => void;
  /** No connection can be accepted for want of descriptors, for the reason; said as often as one fails. */
  onShort?: (reason: string) => void;
  /**
   * Whether the newest sessions of peers give way where descriptors have run out, so that some are left for those who
   * come and go, and others hear `busy` instead of nothing. For a server whose peers come back by themselves.
   */
  makesRoom?: boolean;
  /** Absolute limit for TLS and HELLO/AUTH together, milliseconds. */
  handshakeTimeout?: number;
  /** Handshakes under way at once; over it one gives way: see {@linkcode WaitingRoom.enter}. */
  maxPending?: number;
  /** Sessions at once; over it new ones are refused with `busy`. */
  maxSessions?: number;
  /** Sessions at once from one address. */
  maxSessionsPerAddress?: number;
  clock?: Clock;
}

/** Silence in milliseconds after which a session is asked whether it is there, and for an answer to that. */
const IDLE_LIMIT = 120_000;
const PONG_TIMEOUT = 30_000;

/** Pause after an accept that failed because something ran out, milliseconds. */
const ACCEPT_PAUSE = 50;

/**
 * Hanging connections from which on callers count as attackers: the listener is told to guard itself then. A process
 * has 1024 descriptors or more, and callers that are slow and honest are few.
 */
const MAX_HANGING = 64;
/** The same where descriptors have run out. */
const SOME_HANGING = 8;

/** Descriptors that are kept for callers, dials and files where they have run out. */
const SPARE = 8;
/** Milliseconds after which a quarter more sessions are tried. */
const ROOM_TIME = 2_000;

/** Connections that an address, a network or all may leave stuck in a quarter of an hour before new ones are refused. */
const MAX_CUT_SHORT: Caps = { address: 64, network: 128, all: 512 };
const CUT_SHORT_TIME = 15 * 60_000;

/** Sessions of one network (a /24 or /64), of which one alone cannot take all that there are. */
const MAX_SESSIONS_PER_NETWORK = 10_000;

/** Accepts connections until it is closed, greets each and runs its session. */
export class Server {
  readonly address: Address;
  readonly #listener: Listener;
  readonly #options: ServerOptions;
  readonly #clock: Clock;
  readonly #waiting: WaitingRoom;
  /** Connections of callers who were turned away in the middle of TLS. */
  readonly #parked = new ParkedSockets();
  readonly #sessions = new Set<Session>();
  /** Sessions by where they come from. */
  readonly #sessionCounts = new HostCounts();
  readonly #tasks = new Set<Promise<void>>();
  /** Connections that were closed while the other side left them unread. */
  readonly #cutShort = new HostCounts();
  readonly #cancels = new Set<() => void>();
  readonly #stop = new AbortController();
  readonly #accepting: Promise<void>;
  /** Sessions that the descriptors have room for, as far as that is known, and since when. */
  #room = { sessions: Infinity, since: 0 };
  #makingRoom: Promise<unknown> | undefined;

  constructor(listener: Listener, options: ServerOptions) {
    this.#listener = listener;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#waiting = new WaitingRoom(options.maxPending ?? 64);
    const { hostname: host, port } = listener.addr as Deno.NetAddr;
    this.address = { host, port };
    this.#accepting = this.#accept();
  }

  /** Sessions that are open now. */
  get sessions(): ReadonlySet<Session> {
    return this.#sessions;
  }

  /** Greets a caller whose connection came another way than through the listener: a tracker passes its bytes on. */
  take(conn: Deno.Conn, relay: Address): void {
    if (this.#stop.signal.aborted) closeQuietly(conn);
    else this.#begin(conn, relay);
  }

  /** Ends the open sessions of an id. */
  async refuse(id: string, error: P2PError): Promise<void> {
    const theirs = [...this.#sessions].filter(({ remote }) => remote.id === id);
    await Promise.all(theirs.map((session) => session.refuse(error)));
  }

  /** Stops accepting; sessions under way go on. */
  stopAccepting(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    closeQuietly(this.#listener);
    for (const cancel of this.#cancels) cancel();
    const stopping = new P2PError("shutting-down", "This side is stopping");
    for (const caller of this.#waiting.callers) caller.turnAway(stopping);
  }

  /** Stops accepting, says goodbye on every session and waits for all handlers. */
  async close(within?: number): Promise<void> {
    this.stopAccepting();
    for (const session of this.#sessions) {
      session.close(within).catch(() => {});
    }
    await this.#accepting;
    await Promise.all(this.#tasks);
    this.#parked.close();
  }

  async #accept(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        this.#begin(await accept(this.#listener));
      } catch (error) {
        if (this.#stop.signal.aborted || error instanceof Deno.errors.BadResource) return;
        // A caller that has gone again before it was accepted: the next one may be there.
        if (isOfCaller(error)) continue;
        // EMFILE and the like: the listener is sound, descriptors come back as callers and sessions end.
        // Where callers hang it is their doing; where none do, the honest ones wait.
        if (this.#parked.counts.all >= SOME_HANGING) this.#relieve();
        else if (isOutOfDescriptors(error)) this.#makeRoom(reasonOf(error));
        await delay(this.#clock, ACCEPT_PAUSE, this.#stop.signal).catch(() => {});
      }
    }
  }

  #begin(conn: Deno.Conn, relay?: Address): void {
    const task: Promise<void> = this.#serve(conn, relay).finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  async #serve(conn: Deno.Conn, relay: Address | undefined): Promise<void> {
    const connection = new Connection(conn, { clock: this.#clock, relay });
    const { host, port } = connection.remote;
    const caller: Caller = { host, turnAway: (reason) => connection.close(reason) };
    this.#waiting.enter(caller)?.turnAway(tooMany());
    const began = this.#clock.now();
    const { handshakeTimeout = 10_000 } = this.#options;
    const late = () => {
      caller.turnAway(new P2PError("timeout", `No handshake from ${host} in time`));
    };
    let cancel = this.#clock.after(handshakeTimeout, late);
    let session: Session;
    let credentials: Credentials;
    try {
      if ("handshake" in conn) {
        await this.#secure(conn as Deno.TlsConn, { caller, connection });
        cancel();
        cancel = this.#clock.after(restOf(handshakeTimeout, this.#clock.now() - began), late);
      }
      credentials = this.#options.credentials();
      const remote = await greetAsListener(
        connection,
        credentials,
        async (remote) => {
          this.#checkLimits(host, remote);
          await this.#options.admit?.(remote, { host, port });
        },
      );
      session = new Session(connection, remote, this.#clock);
      this.#waiting.prove(caller);
    } catch (error) {
      if (!(error instanceof Hanging)) await connection.end();
      if (!this.#stop.signal.aborted) {
        const reason = error instanceof Hanging ? error.reason : connectionError(connection, error);
        if (reason !== NO_ROOM) this.#options.onRefused?.(reason, { host, port });
      }
      return;
    } finally {
      cancel();
      this.#waiting.leave(caller);
    }
    this.#sessions.add(session);
    this.#sessionCounts.add(host);
    try {
      if (!await this.#isStillWelcome(session, credentials)) return;
      keepAlive(session, { idleLimit: IDLE_LIMIT, pongTimeout: PONG_TIMEOUT, clock: this.#clock });
      await this.#options.onSession(session);
    } catch (error) {
      // A handler with a bug costs its own session, not the process.
      connection.close(asP2PError(error));
    } finally {
      this.#sessions.delete(session);
      this.#sessionCounts.remove(host);
      if (connection.isCutShort) this.#noteCutShort(host);
    }
  }

  /**
   * Completes TLS, unless the caller is turned away before.
   *
   * @throws {Hanging} when it was, and its connection is parked; else what went wrong with TLS.
   */
  async #secure(
    conn: Deno.TlsConn,
    { caller, connection }: { caller: Caller; connection: Connection },
  ): Promise<void> {
    if (isFreedByClose(conn)) return void await conn.handshake();
    const handshake = conn.handshake();
    const { turnAway } = caller;
    const turnedAway = Promise.withResolvers<never>();
    caller.turnAway = (reason) => turnedAway.reject(new Hanging(reason));
    try {
      await Promise.race([handshake, turnedAway.promise]);
    } catch (error) {
      if (!(error instanceof Hanging)) throw error;
      this.#parked.park(connection, handshake, caller.host);
      if (this.#parked.counts.all >= MAX_HANGING) this.#guard();
      throw error;
    }
    caller.turnAway = turnAway;
  }

  /** Looks again at what would have ended the session, had it been one when that changed: the secret, and who is let in. */
  async #isStillWelcome(session: Session, { membership }: Credentials): Promise<boolean> {
    try {
      const now = this.#options.credentials().membership;
      if (membership && now && !timingSafeEqual(membership.secret, now.secret)) {
        throw new P2PError(
          "wrong-secret",
          "Cannot join: the network has a new secret; get the invite of today with `tracker invite`",
        );
      }
      await this.#options.admit?.(session.remote, session.connection.remote);
      return true;
    } catch (error) {
      await session.refuse(asP2PError(error));
      return false;
    }
  }

  /** Gives descriptors back that callers hold. */
  #relieve(): void {
    this.#guard();
    this.#shrinkWaiting();
  }

  /** Has the listener see to it that whoever is turned away is gone, so that no more hang than do now. */
  #guard(): void {
    if (this.#listener instanceof TlsDoor) void this.#listener.guard();
  }

  /** Counts a descriptor that may stay taken although its session is over. */
  #noteCutShort(host: string): void {
    if (this.#stop.signal.aborted) return;
    this.#cutShort.add(host);
    const cancel = this.#clock.after(CUT_SHORT_TIME, () => {
      this.#cancels.delete(cancel);
      this.#cutShort.remove(host);
    });
    this.#cancels.add(cancel);
  }

  #shrinkWaiting(): void {
    for (const caller of this.#waiting.shrink()) caller.turnAway(tooMany());
  }

  /** Has the newest sessions of peers give way, and notes how many there is room for. */
  #makeRoom(reason: string): void {
    const { onShort, makesRoom } = this.#options;
    onShort?.(reason);
    if (!makesRoom || this.#makingRoom) return;
    // Whoever has proven nothing gives way first.
    if (this.#waiting.callers.length >= SPARE) return this.#shrinkWaiting();
    const open = this.#sessions.size + this.#waiting.callers.length;
    const sessions = Math.max(1, Math.min(this.#room.sessions, open - SPARE));
    this.#room = { sessions, since: this.#clock.now() };
    const newest = [...this.#sessions].filter(isOfPeer).slice(sessions);
    this.#makingRoom = Promise.all(newest.map((session) => session.refuse(NO_ROOM)))
      .finally(() => this.#makingRoom = undefined);
  }

  /** Lets some more in now and then: what else had descriptors open then may have closed them. */
  #expectRoom(): void {
    const { sessions, since } = this.#room;
    if (this.#sessions.size < sessions) return;
    const now = this.#clock.now();
    if (now - since < ROOM_TIME) throw NO_ROOM;
    this.#room = { sessions: sessions + Math.ceil(sessions / 4), since: now };
  }

  #checkLimits(host: string, remote: Remote): void {
    if (isOfPeer({ remote })) this.#expectRoom();
    if (!this.#cutShort.hasRoom(host, MAX_CUT_SHORT)) {
      throw new P2PError("busy", "Cannot connect: too many connections of this address are stuck");
    }
    const { maxSessions: all = 20_000, maxSessionsPerAddress: address = 4096 } = this.#options;
    const caps = { address, network: MAX_SESSIONS_PER_NETWORK, all };
    if (!this.#sessionCounts.hasRoom(host, caps)) {
      throw new P2PError("busy", "Cannot connect: too many sessions are open; try again later");
    }
  }
}

/** Why a caller was turned away whose handshake goes on, out of the way. */
class Hanging extends Error {
  override readonly name = "Hanging";
  readonly reason: P2PError;

  constructor(reason: P2PError) {
    super(reason.message);
    this.reason = reason;
  }
}

/** Whether a session is of a peer that stays, and not of a command that asks and ends. */
function isOfPeer({ remote }: Pick<Session, "remote">): boolean {
  return remote.role === "peer";
}

/** What those hear for whom there are no descriptors. Not reported as refused: {@linkcode ServerOptions.onShort} is. */
const NO_ROOM = new P2PError(
  "busy",
  "Cannot connect: no more connections can be open there (see ulimit -n); try again later",
);

function tooMany(): P2PError {
  return new P2PError(
    "connection-lost",
    "Connection closed: it is one of too many that are greeted",
  );
}

/** Codes of an accept that failed because of its one connection, which accept(2) has a server take for none. */
const CODES_OF_CALLERS: ReadonlySet<unknown> = new Set([
  "ENOTCONN",
  "ECONNABORTED",
  "ECONNRESET",
  "EPROTO",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ETIMEDOUT",
]);

/** Whether an accept failed because of its caller, who reset the connection or vanished, and of nothing here. */
function isOfCaller(error: unknown): boolean {
  return error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted ||
    (error instanceof Error && "code" in error && CODES_OF_CALLERS.has(error.code));
}

function connectionError(connection: Connection, error: unknown): P2PError {
  const { closed } = connection;
  if (closed && closed.code === "timeout") return closed;
  if (error instanceof Error && /InvalidContentType|corrupt message/.test(error.message)) {
    return new P2PError(
      "insecure-mismatch",
      "Cannot talk to a caller that does not speak TLS; use --insecure on both sides or on neither",
      { cause: error },
    );
  }
  return asP2PError(error, "connection-lost");
}
