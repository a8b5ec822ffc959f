/**
 * Dialling: the one place that opens connections, speaks TLS 1.3 and holds a listener to the key that is
 * expected of it (its certificate must be, or be signed by, that key). The certificates are made in
 * identity/certificate.ts, members prove themselves in handshake.ts, and names are pinned in directory/name_book.ts.
 *
 * @module
 */

import { onAbort } from "../async/abort.ts";
import { type Clock, systemClock } from "../async/clock.ts";
import { type Address, formatAddress, needsScope } from "../address.ts";
import { P2PError, reasonOf } from "../errors.ts";
import { SERVER_NAME, trustAnchorPem } from "../identity/certificate.ts";
import { closeQuietly } from "./closing.ts";
import type { Caps } from "./host_counts.ts";
import { ParkedSockets } from "./parked_sockets.ts";
import { ProvenHosts } from "./proven_hosts.ts";
import { restOf } from "./slow_line.ts";
import { mayTrustOthers } from "./authorities.ts";

/** What to dial. */
export interface DialOptions extends Address {
  /** The public key (32 bytes) that the listener must hold, or that certified it; null: no TLS. */
  pin: Uint8Array | null;
  /** Limit for connect and TLS handshake together, milliseconds; more where connecting shows a slow line. */
  timeout: number;
  signal?: AbortSignal | undefined;
  clock?: Clock;
}

/**
 * Dials of ours that were given up in the middle of TLS and hang until the other side goes: a process has only so many
 * descriptors, whoever dials. Addresses that have proven themselves are held to the first cap alone.
 */
const HANGING_DIALS = new ParkedSockets();
const MAX_HANGING: Caps = { address: 8, network: 32, all: 64 };
const MAX_HANGING_PROVEN: Caps = { address: 8, network: Infinity, all: Infinity };
const PROVEN = new ProvenHosts();

/**
 * Connects, and when a key is pinned completes TLS with a listener that proves it.
 *
 * @throws {P2PError} `peer-unreachable`, `timeout`, `wrong-key` (the listener has another key) or
 * `insecure-mismatch` (it does not speak TLS).
 */
export async function dial(options: DialOptions): Promise<Deno.Conn> {
  const { clock = systemClock, timeout, signal } = options;
  if (options.pin !== null) expectNoneHanging(options);
  const stop = new AbortController();
  const began = clock.now();
  const late = () => stop.abort(new DOMException("no answer in time", "TimeoutError"));
  let cancel = clock.after(timeout, late);
  using _ = onAbort(signal, () => stop.abort(signal?.reason));
  try {
    const tcp = await abortable(
      // Without the signal the descriptor of a connection that nobody answers would be kept for two minutes.
      Deno.connect({ hostname: options.host, port: options.port, signal: stop.signal }),
      stop.signal,
      (late) => late.close(),
    );
    sendAtOnce(tcp);
    if (options.pin === null) return tcp;
    cancel();
    cancel = clock.after(restOf(timeout, clock.now() - began), late);
    return await secure(tcp, { host: options.host, pin: options.pin, signal: stop.signal });
  } catch (error) {
    throw dialError(stop.signal.aborted ? stop.signal.reason : error, options);
  } finally {
    cancel();
  }
}

/**
 * Holds the dials to a host that never end to their caps.
 *
 * @throws {P2PError} `peer-unreachable`.
 */
function expectNoneHanging({ host, port }: Address): void {
  const caps = PROVEN.has(host) ? MAX_HANGING_PROVEN : MAX_HANGING;
  if (HANGING_DIALS.counts.hasRoom(host, caps)) return;
  throw new P2PError(
    "peer-unreachable",
    `Cannot connect to ${
      formatAddress({ host, port })
    }: too many earlier tries hang in the middle of TLS; ` +
      "restart what listens there",
  );
}

/** Upgrades to TLS with a listener that proves the pinned key. Closes the connection, or parks it, when it does not. */
async function secure(
  tcp: Deno.TcpConn,
  { host, pin, signal }: { host: string; pin: Uint8Array; signal: AbortSignal },
): Promise<Deno.Conn> {
  if (mayTrustOthers()) return await secureChecked(tcp, pin, signal);
  const tls = await Deno.startTls(tcp, { hostname: SERVER_NAME, caCerts: [trustAnchorPem(pin)] });
  const handshake = tls.handshake();
  try {
    await abortable(handshake, signal, () => {});
    PROVEN.add(host);
    return tls;
  } catch (error) {
    if (signal.aborted) HANGING_DIALS.park(tls, handshake, host);
    else closeQuietly(tls);
    throw error;
  }
}

/** As {@linkcode secure}, where the environment names authorities that would count beside the pin. */
async function secureChecked(
  tcp: Deno.TcpConn,
  pin: Uint8Array,
  signal: AbortSignal,
): Promise<Deno.Conn> {
  try {
    const { startCheckedTlsOn } = await import("./checked_tls.ts");
    return await abortable(startCheckedTlsOn(tcp, pin), signal, (late) => late.close());
  } catch (error) {
    closeQuietly(tcp);
    throw error;
  }
}

/**
 * Switches Nagle's algorithm (RFC 896) off: writes are whole frames, so it joins nothing and only makes a request wait
 * up to 40 ms for a delayed ACK. A `TlsConn` of a listener has no such switch in Deno.
 */
export function sendAtOnce(conn: Deno.Conn): void {
  try {
    if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay(true);
  } catch {
    // The other side has gone already; the first read says so.
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

/**
 * Why there is no connection to a host, or no listener on it. EINVAL is that of an address which holds on each interface
 * (RFC 4007, 11), and else of a route that leads nowhere.
 */
export function socketReason(cause: unknown, host: string): string {
  if ((cause as { code?: string } | null)?.code !== "EINVAL") return reasonOf(cause);
  return needsScope(host)
    ? "an address like that needs its interface, for example fe80::1%eth0"
    : "there is no way to that address";
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
  return new P2PError(
    "peer-unreachable",
    `Cannot connect to ${at}: ${socketReason(cause, where.host)}`,
    {
      cause,
    },
  );
}

/** What a session to an address that could not be opened came to, in a few words. */
export function cameTo(address: Address, error: P2PError): string {
  return `${formatAddress(address)}: ${answerOf(error, address)}`;
}

function answerOf(error: P2PError, { host }: Address): string {
  if (error.remote) return `it said: ${error.message}`;
  switch (error.code) {
    case "wrong-key":
      return "another key answers";
    case "insecure-mismatch":
      return "it runs with --insecure or is another program";
    case "timeout":
      return "no answer in time";
    case "peer-unreachable":
      if (error.cause === undefined) return error.message;
      return error.cause instanceof P2PError
        ? "another program answers"
        : socketReason(error.cause, host);
    default:
      return error.message;
  }
}
