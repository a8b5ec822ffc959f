/**
 * Sessions with peers whose bytes the tracker passes on: asked for, and answered. Loaded by whoever is relayed.
 *
 * @module
 */

import { decodeBase64Url } from "@std/encoding/base64url";
import type { Address } from "../address.ts";
import { onAbort } from "../async/abort.ts";
import type { Clock } from "../async/clock.ts";
import { randomToken } from "../async/random.ts";
import type { TrackerClient } from "../directory/tracker_client.ts";
import { P2PError } from "../errors.ts";
import { type BareConnection, Connection } from "../net/connection.ts";
import type { Credentials } from "../net/handshake.ts";
import { type Caps, HostCounts } from "../net/host_counts.ts";
import { greetOn, openSession } from "../net/open_session.ts";
import { relayedConn } from "../net/relayed_conn.ts";
import { type Rates, RequestLimits } from "../net/request_buckets.ts";
import type { Session } from "../net/session.ts";
import { type Message, type MessageOf, remoteError } from "../wire/message.ts";

/** How a connection to the tracker is made. */
export interface TrackerDial {
  credentials: Credentials;
  /** Where the tracker is. */
  address: Address;
  /** Milliseconds for all of it. */
  timeout: number;
  signal: AbortSignal;
  clock: Clock;
}

/**
 * Opens a session to a peer through the tracker, held to its key as any other.
 *
 * @throws {P2PError} what the tracker refused it with (`remote`); as `openSession` does.
 */
export async function openRelayed(id: string, options: TrackerDial): Promise<Session> {
  const { credentials, address, timeout, signal, clock } = options;
  const until = clock.now() + timeout;
  const token = randomToken(16);
  const bare = await bareOf({ verb: "RELAY", seq: 1, peer: id, token }, options);
  const late = () => bare.close(new P2PError("timeout", "the peer did not greet in time"));
  const cancel = clock.after(until - clock.now(), late);
  using _ = onAbort(signal, () => bare.close());
  try {
    const pin = decodeBase64Url(id);
    const conn = await relayedConn(bare, credentials.membership && { pin });
    const connection = new Connection(conn, { clock, relay: address });
    const rest = { timeout: until - clock.now(), signal, clock };
    return await greetOn(connection, { address, id, credentials, ...rest });
  } finally {
    cancel();
  }
}

/** What {@linkcode RelayAnswers} needs. */
export interface RelayAnswersOptions {
  credentials: Credentials;
  tracker: TrackerClient;
  /** Serves whoever is at the other end of the bytes. */
  take: (bare: BareConnection, relay: Address) => Promise<void>;
  clock: Clock;
  signal: AbortSignal;
}

/** Links that others asked for, by who did and in all: a tracker could have this peer open as many as it likes. */
const MAX_LINKS: Caps = { address: 16, network: 64, all: 64 };
/** The same over time. */
const RATES: Rates = {
  key: { rate: 2, burst: 50 },
  address: { rate: 10, burst: 100 },
  all: { rate: 50, burst: 500 },
};
/** Milliseconds that the tracker has to join the two. */
const JOIN_TIMEOUT = 10_000;

/** This peer's ends of links that others have asked the tracker for. */
export class RelayAnswers {
  readonly #options: RelayAnswersOptions;
  readonly #limits: RequestLimits;
  /** By the id of who asked, which is proven to the tracker alone. */
  readonly #counts = new HostCounts();

  constructor(options: RelayAnswersOptions) {
    this.#options = options;
    this.#limits = new RequestLimits({ ...RATES, clock: options.clock });
  }

  /**
   * Opens the other end of a link and has it served. What comes beyond the limits is left out.
   *
   * @throws {P2PError} what the tracker refused it with, or why it cannot be reached.
   */
  async answer({ peer, token }: MessageOf<"JOIN">): Promise<void> {
    const { credentials, tracker: { address }, take, clock, signal } = this.#options;
    if (!this.#counts.hasRoom(peer, MAX_LINKS) || !this.#limits.take(peer)) return;
    this.#counts.add(peer);
    let isOpen = true;
    const leave = () => {
      if (isOpen) this.#counts.remove(peer);
      isOpen = false;
    };
    try {
      const dial = { credentials, address, timeout: JOIN_TIMEOUT, signal, clock };
      const bare = await bareOf({ verb: "JOIN", seq: 1, peer, token }, dial);
      const close = (reason?: P2PError) => {
        bare.close(reason);
        leave();
      };
      await take({ ...bare, close }, address);
    } catch (error) {
      leave();
      throw error;
    }
  }
}

/**
 * Opens a session to the tracker, asks, and resolves with its bytes once that has said OK.
 *
 * @throws {P2PError} what the tracker said in ERROR; as `openSession` does.
 */
async function bareOf(
  request: MessageOf<"RELAY" | "JOIN">,
  { credentials, address, timeout, signal, clock }: TrackerDial,
): Promise<BareConnection> {
  const until = clock.now() + timeout;
  const dial = { address, id: undefined, credentials, timeout, signal, clock };
  const session = await openSession(dial);
  const { connection } = session;
  const late = () => connection.close(new P2PError("timeout", "no answer of the tracker in time"));
  const cancel = clock.after(until - clock.now(), late);
  using _ = onAbort(signal, () => connection.close());
  try {
    await connection.write(request);
    while (!isAnswer(await nextOf(connection))) {
      // A PING, or a notification, which such a session is no place for.
    }
    return connection.detach();
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    cancel();
  }
}

async function nextOf(connection: Connection): Promise<Message | undefined> {
  const frame = await connection.read();
  if (frame === null) {
    throw new P2PError("connection-lost", "the tracker ended the connection");
  }
  return "message" in frame ? frame.message : undefined;
}

/** Whether a frame says that bytes follow; throws what it says instead. */
function isAnswer(message: Message | undefined): boolean {
  if (message?.verb === "ERROR") throw remoteError(message);
  return message?.verb === "OK" && message.re === 1;
}
