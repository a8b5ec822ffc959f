/**
 * Listening: the one place that opens listeners, of TCP alone or with TLS 1.3. Dialling is in transport.ts, which a
 * program that only asks or sends needs alone.
 *
 * @module
 */

import { type Address, formatAddress } from "../address.ts";
import { NAME_UNKNOWN, P2PError, reasonOf } from "../errors.ts";
import { machineAddresses } from "./interfaces.ts";
import { type ListenerKey, TlsDoor } from "./tls_door.ts";
import { sendAtOnce, socketReason } from "./transport.ts";

/** A listener of either kind. */
export type Listener = Deno.Listener<Deno.TcpConn> | TlsDoor;

/**
 * Listens on TCP, with TLS when `tls` is given.
 *
 * @throws {P2PError} `address-in-use`, or `address-unavailable` when the host is none of this machine's.
 */
export function listen({ host, port }: Address, tls: ListenerKey | null): Listener {
  try {
    return tls === null ? Deno.listen({ hostname: host, port }) : new TlsDoor({ host, port }, tls);
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
      `Cannot listen on ${where}: ${socketReason(cause, host)}; ${remedy}`,
      { cause },
    );
  }
}

/** Whether listening failed because the machine does not have the address, or know the name, which it may get yet. */
export function isNotThereYet(error: unknown): boolean {
  if (!(error instanceof P2PError) || error.code !== "address-unavailable") return false;
  const { cause } = error;
  return cause instanceof Deno.errors.AddrNotAvailable || reasonOf(cause) === NAME_UNKNOWN;
}

/**
 * The host that takes what comes to any address of this machine, of IPv6 and of IPv4: `::`, unless it is for IPv6 alone
 * here, as on Windows, or there is none.
 */
export function wildcardHost(): string {
  try {
    using both = Deno.listen({ hostname: "::", port: 0 });
    try {
      // Free for IPv4 means that the other one does not take it.
      Deno.listen({ hostname: "0.0.0.0", port: both.addr.port }).close();
    } catch {
      return "::";
    }
    return machineAddresses().every((address) => address.includes(":")) ? "::" : "0.0.0.0";
  } catch {
    return "0.0.0.0";
  }
}

/** The next connection of a listener: as `listener.accept()`, but that small frames do not wait for an ACK of TCP. */
export async function accept(listener: Listener): Promise<Deno.Conn> {
  const conn = await listener.accept();
  sendAtOnce(conn);
  return conn;
}
