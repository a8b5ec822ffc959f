import { decodeBase64Url } from "@std/encoding/base64url";
import { onAbort } from "../async/abort.ts";
import { type Clock, systemClock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import { Connection } from "./connection.ts";
import { type Credentials, greetAsDialler } from "./handshake.ts";
import { Session, type SessionHandler } from "./session.ts";
import { type Address, formatAddress } from "../address.ts";
import { dial } from "./transport.ts";
import { patientTime, restOf } from "./slow_line.ts";

/** Whom to open a session to. */
export interface OpenOptions {
  address: Address;
  credentials: Credentials;
  /** The id that must answer; undefined accepts whoever the network's key certified (a tracker). */
  id: string | undefined;
  /**
   * Limit for connect, TLS and HELLO/AUTH together, milliseconds: absolute on a line that is fast, see
   * {@linkcode restOf}.
   */
  timeout?: number;
  /** Token of the CONNECT that this dial answers. */
  token?: string;
  signal?: AbortSignal | undefined;
  /**
   * Ends the dial as long as the listener has not proven its key (or been connected to, with `--insecure`); by default
   * `signal` does. A session that has got further comes about all the same: the other side may have taken it already.
   */
  lost?: AbortSignal | undefined;
  clock?: Clock;
}

/**
 * Dials, pins, greets: the one way to an authenticated session. The caller runs it.
 *
 * @throws {P2PError} as `dial` and `greetAsDialler` do.
 */
export async function openSession(options: OpenOptions): Promise<Session> {
  const { address, credentials: { membership }, id, signal, lost = signal } = options;
  const { clock = systemClock } = options;
  // The greeting may have to wait behind what this process sends.
  const timeout = patientTime(options.timeout ?? 10_000);
  const pin = membership ? decodeBase64Url(id ?? membership.id) : null;
  const started = clock.now();
  const conn = await dial({ ...address, pin, timeout, signal: lost, clock });
  const connection = new Connection(conn, { clock });
  return await greetOn(connection, {
    ...options,
    timeout: restOf(timeout, clock.now() - started),
  });
}

/**
 * Greets as the dialler on a connection whose other end has been held to its key, within `timeout` exactly; closes it
 * when that fails.
 *
 * @throws {P2PError} as `greetAsDialler` does.
 */
export async function greetOn(
  connection: Connection,
  options: OpenOptions & { timeout: number },
): Promise<Session> {
  const { address, credentials, id, token, timeout, signal, clock = systemClock } = options;
  const late = () =>
    new P2PError("timeout", `Cannot connect to ${formatAddress(address)}: no handshake in time`);
  const cancel = clock.after(timeout, () => connection.close(late()));
  using _ = onAbort(
    signal,
    () => connection.close(new P2PError("interrupted", "Connecting was interrupted")),
  );
  try {
    return new Session(
      connection,
      await greetAsDialler(connection, credentials, { expectedId: id, token }),
      clock,
    );
  } catch (error) {
    connection.close();
    throw isForeign(error) ? anotherProgram(address, error) : error;
  } finally {
    cancel();
  }
}

/**
 * Ends a session whose HELLO has a token that nobody here waits for: whoever had somebody dial has given up, or never
 * did, and it would stand open for nothing.
 */
export async function refuseUnexpected(session: Session): Promise<void> {
  const text = "Cannot take this connection: nobody here has asked for it, or not any more";
  await session.refuse(new P2PError("unauthorised", text));
  await session.run(ASKING_ONLY);
}

/** Whether what came in the place of the answer to HELLO was no frame at all; a TLS port does not get that far. */
function isForeign(error: unknown): boolean {
  if (!(error instanceof P2PError) || error.remote) return false;
  return error.code === "malformed" || error.code === "too-long";
}

function anotherProgram(address: Address, cause: unknown): P2PError {
  const text = `Cannot connect to ${formatAddress(address)}: another program answers there`;
  return new P2PError("peer-unreachable", text, { cause });
}

/** A session that only asks: any request of the other side is refused. */
export const ASKING_ONLY: SessionHandler = {
  allocate: () => null,
  onMessage(): void {
    throw new P2PError("unexpected-verb", "Cannot answer: this side only asks");
  },
  onClosed(): void {},
};

/** Ends a session that nobody needs: one that nobody runs would never end. */
export function dismiss(session: Session): void {
  void session.close().then(() => session.run(ASKING_ONLY));
}

/**
 * Opens a session, PINGs and closes.
 *
 * @returns the time from PING to PONG in milliseconds.
 */
export async function probe(options: OpenOptions): Promise<number> {
  const { clock = systemClock, timeout = 10_000 } = options;
  const session = await openSession(options);
  const running = session.run(ASKING_ONLY);
  try {
    const asked = clock.now();
    await session.request({ verb: "PING" }, { timeout });
    return clock.now() - asked;
  } finally {
    await session.close();
    await running;
  }
}
