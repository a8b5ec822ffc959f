import type { Clock } from "../clock.ts";
import { P2PError } from "../errors.ts";
import { randomToken } from "../identity/keys.ts";
import type { Credentials } from "../net/handshake.ts";
import { openSession } from "../net/open_session.ts";
import type { Session } from "../net/session.ts";
import { formatAddress } from "../net/transport.ts";
import type { TrackerClient } from "../tracker/client.ts";
import type { MessageOf, PeerEntry } from "../wire/message.ts";
import { describePeer } from "./target.ts";

/** What a {@linkcode Dialler} needs. */
export interface DiallerOptions {
  credentials: Credentials;
  tracker: TrackerClient;
  /** The port that others can dial; starts to listen when there is none yet. */
  listeningPort: () => number;
  clock: Clock;
}

interface Expected {
  id: string;
  resolve: (session: Session) => void;
}

/** How long in milliseconds a peer may take to dial back. */
const DIAL_TIMEOUT = 10_000;

/** Opens sessions to peers: dials them, or has the tracker ask those to dial that cannot be dialled. */
export class Dialler {
  readonly #options: DiallerOptions;
  readonly #expected = new Map<string, Expected>();
  readonly #claimed = new Set<Session>();

  constructor(options: DiallerOptions) {
    this.#options = options;
  }

  /**
   * Opens a session to a listed peer. The caller runs it.
   *
   * @throws {P2PError} `peer-unreachable` or `timeout`, `wrong-key`, and what the peer refused it with.
   */
  async open(entry: PeerEntry): Promise<Session> {
    return entry.reachable ? await this.#dial(entry) : await this.#askToDial(entry);
  }

  /** Dials a peer that asked for it through the tracker. */
  async answer(
    { id, host, port, token }: Pick<MessageOf<"DIAL">, "host" | "port" | "token"> & { id: string },
  ): Promise<Session> {
    const { credentials, clock } = this.#options;
    return await openSession({ address: { host, port }, id, token, credentials, clock });
  }

  /** Whether the session is one that {@linkcode open} waits for; whoever waits runs it then. */
  claim(session: Session): boolean {
    const { token, id } = session.remote;
    const expected = token === undefined ? undefined : this.#expected.get(token);
    if (token === undefined || expected?.id !== id) return false;
    this.#expected.delete(token);
    this.#claimed.add(session);
    session.ended.then(() => this.#claimed.delete(session));
    expected.resolve(session);
    return true;
  }

  /** Ends the sessions that were claimed. */
  async close(): Promise<void> {
    for (const session of this.#claimed) await session.close();
  }

  async #dial(entry: PeerEntry): Promise<Session> {
    const { credentials, clock } = this.#options;
    try {
      return await openSession({
        address: entry,
        id: entry.id,
        timeout: DIAL_TIMEOUT,
        credentials,
        clock,
      });
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
    try {
      await tracker.requestDial(entry.id, listeningPort(), token);
      return await promise;
    } finally {
      cancel();
      this.#expected.delete(token);
    }
  }
}
