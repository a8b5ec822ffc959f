/**
 * TLS with a listener whose certificate is looked at. `Deno.startTls` trusts the authorities that the environment adds
 * as it trusts the pinned key, and shows no certificate; node:tls shows it, at two thirds of the speed. A module of its
 * own, since it is needed only where `authorities.ts` came too late.
 *
 * @module
 */

import { Duplex } from "node:stream";
import { connect } from "node:tls";
import { P2PError } from "../errors.ts";
import { closeQuietly } from "./closing.ts";
import { NodeTlsConn, type NodeTlsOptions } from "./node_tls_conn.ts";
import { isCertifiedBy, SERVER_NAME, trustAnchorPem } from "../identity/certificate.ts";

/** What {@linkcode startCheckedTls} needs beside what it goes over. */
export interface CheckedTlsOptions extends Omit<NodeTlsOptions, "secured"> {
  pin: Uint8Array;
}

/** As {@linkcode startCheckedTls}, over a socket. */
export async function startCheckedTlsOn(tcp: Deno.TcpConn, pin: Uint8Array): Promise<Deno.Conn> {
  const { readable, writable, localAddr, remoteAddr } = tcp;
  return await startCheckedTls(
    Duplex.fromWeb({ readable, writable } as Parameters<typeof Duplex.fromWeb>[0]),
    { localAddr, remoteAddr, pin, closeBelow: () => closeQuietly(tcp) },
  );
}

/**
 * Speaks TLS with a listener whose certificate is signed by the pinned key, whatever authorities are trusted.
 *
 * @throws {P2PError} `wrong-key`; what TLS failed with.
 */
export async function startCheckedTls(
  below: Duplex,
  { pin, ...options }: CheckedTlsOptions,
): Promise<Deno.Conn> {
  const { explain = (error) => error } = options;
  const socket = connect({
    socket: below,
    servername: SERVER_NAME,
    ca: [trustAnchorPem(pin)],
    minVersion: "TLSv1.3",
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("secureConnect", resolve);
    socket.once("error", (error) => reject(isDistrust(error) ? otherKey(error) : explain(error)));
    socket.once("close", () => reject(new Deno.errors.UnexpectedEof("the connection ended")));
  });
  const { raw } = socket.getPeerCertificate();
  if (raw instanceof Uint8Array && isCertifiedBy(new Uint8Array(raw), pin)) {
    const conn = new NodeTlsConn(socket, { ...options, secured: Promise.resolve() });
    return conn as unknown as Deno.Conn;
  }
  socket.destroy();
  throw otherKey();
}

/** Whether Node did not trust the certificate, which it says in the codes of OpenSSL. */
function isDistrust(error: Error): boolean {
  const { code = "" } = error as { code?: string };
  return /VERIFY|CERT|ISSUER/.test(code) || /invalid peer certificate/.test(error.message);
}

function otherKey(cause?: Error): P2PError {
  return new P2PError("wrong-key", "it does not hold the expected key", { cause });
}
