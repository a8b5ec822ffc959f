/**
 * Connections whose bytes a tracker passes on. Nobody on their way is trusted: it is TLS again, from end to end, and
 * node:tls, since `Deno.startTls` and `Deno.listenTls` take sockets alone. Loaded by whoever is relayed.
 *
 * @module
 */

import { Duplex } from "node:stream";
import { createSecureContext, TLSSocket } from "node:tls";
import { RELAYED } from "../address.ts";
import { P2PError } from "../errors.ts";
import { startCheckedTls } from "./checked_tls.ts";
import type { BareConnection } from "./connection.ts";
import { NodeTlsConn } from "./node_tls_conn.ts";
import type { ListenerKey } from "./tls_door.ts";

/** Bytes that are read at once, and that wait at most for either side of TLS. */
const CHUNK = 64 * 1024;
const ADDRESS: Deno.NetAddr = { transport: "tcp", hostname: RELAYED.host, port: RELAYED.port };

/** How a {@linkcode relayedConn} is secured: as the dialler that pins a key, as the listener, or not at all. */
export type RelayedTls = { pin: Uint8Array } | { key: ListenerKey } | null;

/**
 * The connection that goes over bare bytes, and closes them when it is closed.
 *
 * @throws {P2PError} `wrong-key`, `connection-lost`; what TLS failed with. A listener's handshake is for its caller.
 */
export async function relayedConn(bare: BareConnection, tls: RelayedTls): Promise<Deno.Conn> {
  if (tls === null) return plainConn(bare);
  const socket = duplexOf(bare);
  const ends = { localAddr: ADDRESS, remoteAddr: ADDRESS, closeBelow: () => bare.close() };
  if ("pin" in tls) {
    try {
      return await startCheckedTls(socket, { ...ends, pin: tls.pin, explain });
    } catch (error) {
      bare.close();
      throw error instanceof Error ? explain(error) : error;
    }
  }
  const secureContext = createSecureContext({ ...tls.key, minVersion: "TLSv1.3" });
  const server = new TLSSocket(socket, { isServer: true, secureContext });
  const secured = Promise.withResolvers<void>();
  server.on("secure", () => secured.resolve());
  const conn = new NodeTlsConn(server, { ...ends, secured: secured.promise, explain });
  // What TLS does not take of the other side is no `error` of a server's socket.
  server.on("_tlsError", (error: Error) => conn.fail(error));
  return conn as unknown as Deno.Conn;
}

/**
 * Says of what TLS failed with what it means: one end does not understand the other, both of which are programs like
 * this one, so that what came is not what was sent. The texts are those of rustls, and an alert is what one end tells
 * the other of the same.
 */
function explain(error: Error): Error {
  const isOfTls =
    /decrypt|corrupt message|alert|peer misbehaved|unexpected|incompatible|inappropriate/i;
  const isEnd = error instanceof Deno.errors.UnexpectedEof ||
    (error as { code?: string }).code === "ECONNRESET";
  if (error instanceof P2PError || !isEnd && !isOfTls.test(error.message)) return error;
  const text = isEnd
    ? "Connection lost: the other end of the relay has gone"
    : "Connection lost: what came through the relay is not what was sent";
  return new P2PError("connection-lost", text, { cause: error });
}

function duplexOf(bare: BareConnection): Duplex {
  const buffer = new Uint8Array(CHUNK);
  const duplex = new Duplex({
    highWaterMark: CHUNK,
    read() {
      bare.read(buffer).then(
        (n) => void this.push(n === null ? null : buffer.slice(0, n)),
        (error) => void this.destroy(error),
      );
    },
    write(bytes: Uint8Array, _encoding, done) {
      bare.write(bytes).then(() => done(), done);
    },
    final(done) {
      bare.closeWrite().then(() => done(), done);
    },
    destroy(error, done) {
      bare.close();
      done(error);
    },
  });
  // TLS hears of it too; an older Deno lets nobody else listen, and would end the program.
  duplex.on("error", () => {});
  return duplex;
}

/** The part of `Deno.Conn` that connections of ours use. */
function plainConn(bare: BareConnection): Deno.Conn {
  const conn: Partial<Deno.Conn> = {
    localAddr: ADDRESS,
    remoteAddr: ADDRESS,
    read: (into) => bare.read(into),
    write: async (bytes) => {
      const part = bytes.subarray(0, CHUNK);
      await bare.write(part);
      return part.length;
    },
    closeWrite: () => bare.closeWrite(),
    close: () => bare.close(),
  };
  return conn as Deno.Conn;
}
