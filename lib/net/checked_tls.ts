/**
 * TLS with a listener whose certificate is looked at. `Deno.startTls` trusts the authorities that the environment adds
 * as it trusts the pinned key, and shows no certificate; node:tls shows it, at two thirds of the speed. A module of its
 * own, since it is needed only where `authorities.ts` came too late.
 *
 * @module
 */

import { Duplex } from "node:stream";
import type { Buffer } from "node:buffer";
import { connect, type TLSSocket } from "node:tls";
import { P2PError } from "../errors.ts";
import { isCertifiedBy, SERVER_NAME, trustAnchorPem } from "../identity/certificate.ts";

/**
 * Upgrades to TLS with a listener whose certificate is signed by the pinned key, whatever authorities are trusted.
 *
 * @throws {P2PError} `wrong-key`; what TLS failed with.
 */
export async function startCheckedTls(tcp: Deno.TcpConn, pin: Uint8Array): Promise<Deno.Conn> {
  const { readable, writable } = tcp;
  const socket = connect({
    socket: Duplex.fromWeb({ readable, writable } as Parameters<typeof Duplex.fromWeb>[0]),
    servername: SERVER_NAME,
    ca: [trustAnchorPem(pin)],
    minVersion: "TLSv1.3",
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("secureConnect", resolve);
    socket.once("error", (error) => reject(isDistrust(error) ? otherKey(error) : error));
    socket.once("close", () => reject(new Deno.errors.UnexpectedEof("the connection ended")));
  });
  const { raw } = socket.getPeerCertificate();
  if (raw instanceof Uint8Array && isCertifiedBy(new Uint8Array(raw), pin)) {
    return new CheckedConn(tcp, socket);
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

/** A TLS socket of Node as a connection of Deno. */
class CheckedConn implements Deno.Conn {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  readonly #tcp: Deno.TcpConn;
  readonly #socket: TLSSocket;
  readonly #chunks: AsyncIterator<Buffer>;
  /** What has been read of the socket and not been asked for. */
  #rest: Uint8Array = new Uint8Array();

  constructor(tcp: Deno.TcpConn, socket: TLSSocket) {
    this.#tcp = tcp;
    this.localAddr = tcp.localAddr;
    this.remoteAddr = tcp.remoteAddr;
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
    // Whoever reads or writes hears of it; without a listener it would end the process.
    socket.on("error", () => {});
  }

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    throw new TypeError("a checked connection has no streams");
  }

  get writable(): WritableStream<Uint8Array<ArrayBufferLike>> {
    throw new TypeError("a checked connection has no streams");
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) return null;
      this.#rest = value;
    }
    const part = this.#rest.subarray(0, into.length);
    into.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve(bytes.length));
    });
  }

  closeWrite(): Promise<void> {
    return new Promise((resolve) => this.#socket.end(resolve));
  }

  close(): void {
    this.#socket.destroy();
    try {
      this.#tcp.close();
    } catch (error) {
      // The socket closes it too, when it comes to it.
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  ref(): void {}

  unref(): void {}

  [Symbol.dispose](): void {
    this.close();
  }
}
