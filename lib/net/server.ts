import { timingSafeEqual } from "@std/crypto/timing-safe-equal";
import { asP2PError, P2PError } from "../errors.ts";
import { type Clock, delay, systemClock } from "../async/clock.ts";
import { Connection } from "./connection.ts";
import { type Credentials, greetAsListener, type Remote } from "./handshake.ts";
import { keepAlive } from "./keep_alive.ts";
import { Session } from "./session.ts";
import { type Address } from "../address.ts";
import { accept, closeQuietly, type Listener } from "./transport.ts";

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
  /** Absolute limit for TLS and HELLO/AUTH together, milliseconds. */
  handshakeTimeout?: number;
  /** Handshakes under way at once; over it the oldest of the busiest address gives way. */
  maxPending?: number;
  /** Silence in milliseconds after which a session is asked whether it is there. */
  idleLimit?: number;
  /** Sessions at once; over it new ones are refused with `busy`. */
  maxSessions?: number;
  /** Sessions at once from one address. */
  maxSessionsPerAddress?: number;
  clock?: Clock;
}

interface Pending {
  conn: Deno.Conn;
  host: string;
}

/** Pause after an accept that failed because descriptors ran out, milliseconds. */
const ACCEPT_PAUSE = 50;

/** Connections that an address may leave stuck in a quarter of an hour before it is refused. */
const MAX_CUT_SHORT = 64;
const CUT_SHORT_TIME = 15 * 60_000;

/** Accepts connections until it is closed, greets each and runs its session. */
export class Server {
  readonly address: Address;
  readonly #listener: Listener;
  readonly #options: ServerOptions;
  readonly #clock: Clock;
  readonly #pending = new Set<Pending>();
  readonly #sessions = new Set<Session>();
  /** How many of the sessions come from an address, for those that some come from. */
  readonly #sessionsByHost = new Map<string, number>();
  readonly #tasks = new Set<Promise<void>>();
  /** Connections of an address that were closed while it left them unread. */
  readonly #cutShort = new Map<string, number>();
  readonly #cancels = new Set<() => void>();
  readonly #stop = new AbortController();
  readonly #accepting: Promise<void>;

  constructor(listener: Listener, options: ServerOptions) {
    this.#listener = listener;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { hostname: host, port } = listener.addr as Deno.NetAddr;
    this.address = { host, port };
    this.#accepting = this.#accept();
  }

  /** Sessions that are open now. */
  get sessions(): ReadonlySet<Session> {
    return this.#sessions;
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
    for (const { conn } of this.#pending) closeQuietly(conn);
  }

  /** Stops accepting, says goodbye on every session and waits for all handlers. */
  async close(): Promise<void> {
    this.stopAccepting();
    for (const session of this.#sessions) {
      session.close().catch(() => {});
    }
    await this.#accepting;
    await Promise.all(this.#tasks);
  }

  async #accept(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        const conn = await accept(this.#listener);
        const task: Promise<void> = this.#serve(conn).finally(() => this.#tasks.delete(task));
        this.#tasks.add(task);
      } catch (error) {
        if (this.#stop.signal.aborted || error instanceof Deno.errors.BadResource) return;
        // EMFILE and the like: the listener is sound, descriptors come back as sessions end.
        await delay(this.#clock, ACCEPT_PAUSE, this.#stop.signal).catch(() => {});
      }
    }
  }

  async #serve(conn: Deno.Conn): Promise<void> {
    const { hostname: host, port } = conn.remoteAddr as Deno.NetAddr;
    const pending: Pending = { conn, host };
    this.#pending.add(pending);
    this.#makeRoom();
    const connection = new Connection(conn, { clock: this.#clock });
    const cancel = this.#clock.after(this.#options.handshakeTimeout ?? 10_000, () => {
      connection.close(new P2PError("timeout", `No handshake from ${host} in time`));
    });
    let session: Session;
    let credentials: Credentials;
    try {
      if ("handshake" in conn) await (conn as Deno.TlsConn).handshake();
      credentials = this.#options.credentials();
      const remote = await greetAsListener(
        connection,
        credentials,
        async (remote) => {
          this.#checkLimits(host);
          await this.#options.admit?.(remote, { host, port });
        },
      );
      session = new Session(connection, remote, this.#clock);
    } catch (error) {
      await connection.end();
      if (!this.#stop.signal.aborted) {
        this.#options.onRefused?.(connectionError(connection, error), { host, port });
      }
      return;
    } finally {
      cancel();
      this.#pending.delete(pending);
    }
    this.#sessions.add(session);
    addTo(this.#sessionsByHost, host, 1);
    try {
      if (!await this.#isStillWelcome(session, credentials)) return;
      keepAlive(session, { idleLimit: this.#options.idleLimit ?? 120_000, clock: this.#clock });
      await this.#options.onSession(session);
    } catch (error) {
      // A handler with a bug costs its own session, not the process.
      connection.close(asP2PError(error));
    } finally {
      this.#sessions.delete(session);
      addTo(this.#sessionsByHost, host, -1);
      if (connection.isCutShort) this.#noteCutShort(host);
    }
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

  /** Closes the oldest handshake of the address that has most of them, when there are too many. */
  #makeRoom(): void {
    if (this.#pending.size <= (this.#options.maxPending ?? 64)) return;
    const counts = new Map<string, number>();
    for (const { host } of this.#pending) counts.set(host, (counts.get(host) ?? 0) + 1);
    const most = Math.max(...counts.values());
    for (const pending of this.#pending) {
      if (counts.get(pending.host) !== most) continue;
      this.#pending.delete(pending);
      closeQuietly(pending.conn);
      return;
    }
  }

  /** Counts a descriptor that may stay taken although its session is over. */
  #noteCutShort(host: string): void {
    if (this.#stop.signal.aborted) return;
    addTo(this.#cutShort, host, 1);
    const cancel = this.#clock.after(CUT_SHORT_TIME, () => {
      this.#cancels.delete(cancel);
      addTo(this.#cutShort, host, -1);
    });
    this.#cancels.add(cancel);
  }

  #checkLimits(host: string): void {
    if ((this.#cutShort.get(host) ?? 0) >= MAX_CUT_SHORT) {
      throw new P2PError("busy", "Cannot connect: too many connections of this address are stuck");
    }
    const { maxSessions = 20_000, maxSessionsPerAddress = 4096 } = this.#options;
    const fromHere = this.#sessionsByHost.get(host) ?? 0;
    if (this.#sessions.size >= maxSessions || fromHere >= maxSessionsPerAddress) {
      throw new P2PError("busy", "Cannot connect: too many sessions are open; try again later");
    }
  }
}

/** Changes the count of a key; one that comes to 0 is not kept. */
function addTo(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
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
