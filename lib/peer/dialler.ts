import { onAbort } from "../async/abort.ts";
import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import { randomToken } from "../identity/keys.ts";
import type { Credentials } from "../net/handshake.ts";
import { KeyedGate } from "../async/gate.ts";
import { ASKING_ONLY, openSession } from "../net/open_session.ts";
import type { Session } from "../net/session.ts";
import { formatAddress, mayBeDialledFor } from "../address.ts";
import { type Caps, HostCounts } from "../net/host_counts.ts";
import { type Rates, RequestLimits } from "../net/request_buckets.ts";
import type { TrackerClient } from "../directory/tracker_client.ts";
import type { MessageOf, PeerEntry } from "../wire/message.ts";
import { describePeer } from "../directory/target.ts";

/** What a {@linkcode Dialler} needs. */
export interface DiallerOptions {
  credentials: Credentials;
  tracker: TrackerClient;
  /** The port that others can dial; starts to listen when there is none yet. */
  listeningPort: () => Promise<number>;
  clock: Clock;
}

interface Expected {
  id: string;
  resolve: (session: Session) => void;
}

/** How long in milliseconds a peer may take to dial back. */
const DIAL_TIMEOUT = 10_000;

/** Dials and sessions under way because others asked for them, by where they go. */
const MAX_ANSWERS: Caps = { address: 16, network: 32, all: 64 };

/** Dials because others asked for them: for one of those, to one address, and in all. */
const ANSWER_RATES: Rates = {
  key: { rate: 2, burst: 50 },
  address: { rate: 10, burst: 100 },
  all: { rate: 50, burst: 500 },
};

/** Dials to one peer under way at a time: its listener closes some when too many greet it at once. */
const DIALS_PER_PEER = 16;

/** Opens sessions to peers: dials them, or has the tracker ask those to dial that cannot be dialled. */
export class Dialler {
  readonly #options: DiallerOptions;
  readonly #expected = new Map<string, Expected>();
  /** Sessions that this side opened or waited for. */
  readonly #sessions = new Set<Session>();
  /** By the peer's id. */
  readonly #gates = new KeyedGate(DIALS_PER_PEER);
  /** Dials and sessions under way because others asked for them. */
  readonly #answers = new HostCounts();
  readonly #answerLimits: RequestLimits;
  readonly #stop = new AbortController();

  constructor(options: DiallerOptions) {
    this.#options = options;
    this.#answerLimits = new RequestLimits({ ...ANSWER_RATES, clock: options.clock });
  }

  /**
   * Opens a session to a listed peer. The caller runs it.
   *
   * @throws {P2PError} `peer-unreachable` or `timeout`, `wrong-key`, and what the peer refused it with.
   */
  async open(entry: PeerEntry): Promise<Session> {
    if (!entry.reachable) return await this.#askToDial(entry);
    return await this.#gates.run(entry.id, () => this.#dial(entry));
  }

  /**
   * Dials a peer that asked for it through the tracker, and has `serve` run the session. Members and the tracker can
   * make this peer dial, so that only a few of these are under way at a time; others are left out.
   *
   * @throws {P2PError} `peer-unreachable`, with one text for every failure: what dialling there is like is nothing for
   * those who ask.
   */
  async answer(
    { id, host, port, token }: Pick<MessageOf<"DIAL">, "host" | "port" | "token"> & { id: string },
    serve: (session: Session) => Promise<void>,
  ): Promise<void> {
    if (!this.#answers.hasRoom(host, MAX_ANSWERS) || !this.#answerLimits.take(id, host)) return;
    this.#answers.add(host);
    const { tracker, credentials, clock } = this.#options;
    const { signal } = this.#stop;
    try {
      let session: Session;
      try {
        // The tracker's own address was given to this peer, and by none of those who ask.
        if (id !== tracker.trackerId) expectMayDial(host, tracker.remoteHost);
        session = await openSession({
          address: { host, port },
          id,
          token,
          credentials,
          clock,
          signal,
        });
      } catch (cause) {
        throw new P2PError(
          "peer-unreachable",
          `Cannot dial ${id.slice(0, 8)}, which asked to be dialled: it is not to be reached`,
          { cause },
        );
      }
      await serve(this.#track(session));
    } finally {
      this.#answers.remove(host);
    }
  }

  /** Whether the session is one that {@linkcode open} waits for; whoever waits runs it then. */
  acceptDialBack(session: Session): boolean {
    const { token, id } = session.remote;
    const expected = token === undefined ? undefined : this.#expected.get(token);
    if (token === undefined || expected?.id !== id) return false;
    this.#expected.delete(token);
    expected.resolve(this.#track(session));
    return true;
  }

  /** Ends the sessions with a peer. */
  async refuse(id: string, error: P2PError): Promise<void> {
    const theirs = [...this.#sessions].filter(({ remote }) => remote.id === id);
    await Promise.all(theirs.map((session) => session.refuse(error)));
  }

  /** Opens no more sessions, and ends those that it opened or waited for. */
  async close(): Promise<void> {
    this.#stop.abort(new P2PError("interrupted", "This peer is stopping"));
    await Promise.all([...this.#sessions].map((session) => session.close()));
  }

  #track(session: Session): Session {
    this.#sessions.add(session);
    session.ended.then(() => this.#sessions.delete(session));
    return session;
  }

  async #dial(entry: PeerEntry): Promise<Session> {
    const { credentials, clock } = this.#options;
    try {
      const session = await openSession({
        address: entry,
        id: entry.id,
        timeout: DIAL_TIMEOUT,
        credentials,
        clock,
        signal: this.#stop.signal,
      });
      return this.#track(session);
    } catch (error) {
      if (!(error instanceof P2PError) || error.code !== "wrong-key") throw error;
      throw new P2PError(
        "wrong-key",
        `Cannot trust ${describePeer(entry)}: another key answers at ${formatAddress(entry)}`,
        { cause: error },
      );
    }
  }

  async #askToDial(entry: PeerEntry): Promise<Session> {
    const { tracker, listeningPort, clock } = this.#options;
    const token = randomToken(16);
    const { promise, resolve, reject } = Promise.withResolvers<Session>();
    this.#expected.set(token, { id: entry.id, resolve });
    const cancel = clock.after(DIAL_TIMEOUT, () => {
      reject(
        new P2PError(
          "peer-unreachable",
          `Cannot reach ${describePeer(entry)}: it cannot be dialled and did not dial back; ` +
            `open port ${entry.port} there, or a port of this machine with --port`,
        ),
      );
    });
    promise.catch(() => {});
    const { signal } = this.#stop;
    using _ = onAbort(signal, () => reject(signal.reason));
    try {
      await tracker.requestDial(entry.id, await listeningPort(), token);
      return await promise;
    } catch (error) {
      // The peer may have dialled all the same: a session that nobody runs would never end.
      promise.then((session) => session.close().then(() => session.run(ASKING_ONLY)), () => {});
      throw error;
    } finally {
      cancel();
      this.#expected.delete(token);
    }
  }
}

function expectMayDial(host: string, trackerHost = ""): void {
  if (mayBeDialledFor(host, trackerHost)) return;
  throw new P2PError("invalid", `Cannot dial ${host}: it is no address to dial for others`);
}
