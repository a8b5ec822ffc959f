/**
 * Dialling and listening: the one place that opens sockets, speaks TLS 1.3 and holds a listener to the key that is
 * expected of it (its certificate must be, or be signed by, that key). The certificates are made in
 * identity/certificate.ts, members prove themselves in handshake.ts, and names are pinned in directory/name_book.ts.
 *
 * @module
 */

import { onAbort } from "../async/abort.ts";
import { type Clock, systemClock } from "../async/clock.ts";
import { type Address, formatAddress } from "../address.ts";
import { P2PError, reasonOf } from "../errors.ts";
import { SERVER_NAME, trustAnchorPem } from "../identity/certificate.ts";
import { mayTrustOthers } from "./authorities.ts";

/** What to dial. */
export interface DialOptions extends Address {
  /** The public key (32 bytes) that the listener must hold, or that certified it; null: no TLS. */
  pin: Uint8Array | null;
  /** Absolute limit for connect and TLS handshake together, milliseconds. */
  timeout: number;
  signal?: AbortSignal | undefined;
  clock?: Clock;
}

/** Certificate and key of a listener, PEM. */
export interface ListenerKey {
  cert: string;
  key: string;
}

/** A listener of either kind. */
export type Listener = Deno.Listener<Deno.TcpConn> | Deno.TlsListener;

/**
 * Listens on TCP, with TLS when `tls` is given.
 *
 * @throws {P2PError} `address-in-use`, or `address-unavailable` when the host is none of this machine's.
 */
export function listen({ host, port }: Address, tls: ListenerKey | null): Listener {
  try {
    return tls === null
      ? Deno.listen({ hostname: host, port })
      : Deno.listenTls({ hostname: host, port, cert: tls.cert, key: tls.key });
  } catch (cause) {
    const where = formatAddress({ host, port });
    if (cause instanceof Deno.errors.AddrInUse) {
      throw new P2PError(
        "address-in-use",
        `Cannot listen on ${where}: the port is in use; choose another with --port`,
        { cause },
      );
    }
    const remedy = cause instanceof Deno.errors.PermissionDenied
      ? "ports below 1024 are for the administrator; choose another with --port"
      : "choose an address of this machine with --host";
    throw new P2PError(
      "address-unavailable",
      `Cannot listen on ${where}: ${reasonOf(cause)}; ${remedy}`,
      { cause },
    );
  }
}

/** The next connection of a listener: as `listener.accept()`, but that small frames do not wait for an ACK of TCP. */
export async function accept(listener: Listener): Promise<Deno.Conn> {
  const conn = await listener.accept();
  sendAtOnce(conn);
  return conn;
}

/**
 * Connects, and when a key is pinned completes TLS with a listener that proves it.
 *
 * @throws {P2PError} `peer-unreachable`, `timeout`, `wrong-key` (the listener has another key) or
 * `insecure-mismatch` (it does not speak TLS).
 */
export async function dial(options: DialOptions): Promise<Deno.Conn> {
  const { clock = systemClock, timeout, signal } = options;
  const stop = new AbortController();
  const cancel = clock.after(
    timeout,
    () => stop.abort(new DOMException("no answer in time", "TimeoutError")),
  );
  using _ = onAbort(signal, () => stop.abort(signal?.reason));
  try {
    const tcp = await abortable(
      Deno.connect({ hostname: options.host, port: options.port }),
      stop.signal,
      (late) => late.close(),
    );
    sendAtOnce(tcp);
    return options.pin === null ? tcp : await secure(tcp, options.pin, stop.signal);
  } catch (error) {
    throw dialError(stop.signal.aborted ? stop.signal.reason : error, options);
  } finally {
    cancel();
  }
}

/** Upgrades to TLS with a listener that proves the pinned key. Closes the connection when it does not. */
async function secure(
  tcp: Deno.TcpConn,
  pin: Uint8Array,
  signal: AbortSignal,
): Promise<Deno.Conn> {
  let conn: Deno.Conn = tcp;
  // Only closing ends a stalled handshake.
  using _ = onAbort(signal, () => closeQuietly(conn));
  try {
    if (mayTrustOthers()) {
      const { startCheckedTls } = await import("./checked_tls.ts");
      return conn = await startCheckedTls(tcp, pin);
    }
    const tls = await Deno.startTls(tcp, {
      hostname: SERVER_NAME,
      caCerts: [trustAnchorPem(pin)],
    });
    conn = tls;
    signal.throwIfAborted();
    await tls.handshake();
    return tls;
  } catch (error) {
    closeQuietly(conn);
    throw error;
  }
}

/**
 * Switches Nagle's algorithm (RFC 896) off: writes are whole frames, so it joins nothing and only makes a request wait
 * up to 40 ms for a delayed ACK. A `TlsConn` of a listener has no such switch in Deno.
 */
function sendAtOnce(conn: Deno.Conn): void {
  try {
    if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay(true);
  } catch {
    // The other side has gone already; the first read says so.
  }
}

/** Closes what may be closed already. */
export function closeQuietly(conn: { close(): void }): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** Settles with the promise or the signal; a value that comes after the abort goes to `drop`. */
function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  drop: (late: T) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const undo = onAbort(signal, () => reject(signal.reason));
    promise.then((value) => signal.aborted ? drop(value) : resolve(value), reject).finally(undo);
  });
}

function dialError(cause: unknown, where: Address): P2PError {
  const at = formatAddress(where);
  if (cause instanceof P2PError && cause.code === "wrong-key") {
    return new P2PError("wrong-key", `Cannot trust ${at}: ${cause.message}`, { cause });
  }
  if (cause instanceof P2PError) return cause;
  const told = cause instanceof Error ? cause.message : "";
  if (cause instanceof DOMException && cause.name === "TimeoutError") {
    return new P2PError("timeout", `Cannot connect to ${at}: no answer in time`, { cause });
  }
  if (/BadSignature|UnknownIssuer|invalid peer certificate/.test(told)) {
    return new P2PError(
      "wrong-key",
      `Cannot trust ${at}: it does not hold the expected key`,
      { cause },
    );
  }
  if (/InvalidContentType|corrupt message/.test(told)) {
    return new P2PError(
      "insecure-mismatch",
      `Cannot talk to ${at}: it runs with --insecure or is another program; ` +
        "use --insecure on both sides or on neither",
      { cause },
    );
  }
  return new P2PError("peer-unreachable", `Cannot connect to ${at}: ${reasonOf(cause)}`, {
    cause,
  });
}
