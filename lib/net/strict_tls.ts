import { createServer, type Server as TcpServer, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { ListenerKey } from "./tls_door.ts";
import type { Address } from "../address.ts";
import { closedHere, NodeTlsConn } from "./node_tls_conn.ts";

/**
 * A TLS listener on node:tls, whose connections give their descriptor back whenever they are closed. Each costs 130 KiB
 * of memory and its bytes half as much computing again as those of `Deno.listenTls`.
 */
export class StrictTlsListener {
  readonly #server: TcpServer;
  readonly #ready: Deno.Conn[] = [];
  readonly #waiting: PromiseWithResolvers<Deno.Conn>[] = [];
  #isClosed = false;

  constructor(key: ListenerKey) {
    const secureContext = createSecureContext({ ...key, minVersion: "TLSv1.3" });
    this.#server = createServer((socket) => {
      socket.setNoDelay(true);
      const tls = new TLSSocket(socket, { isServer: true, secureContext });
      this.#give(strictConn(tls, socket) as unknown as Deno.TlsConn);
    });
  }

  /** Listens; rejects with the error of node:net, and may be called again then. */
  async listen({ host, port }: Address): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.removeAllListeners("error").once("error", reject);
      this.#server.listen({ host, port }, () => resolve());
    });
    // What comes later is a failed accept, of which node:net tries the next by itself.
    this.#server.removeAllListeners("error").on("error", () => {});
  }

  /** The next connection; rejects with `BadResource` once closed. */
  accept(): Promise<Deno.Conn> {
    const next = this.#ready.shift();
    if (next) return Promise.resolve(next);
    if (this.#isClosed) return Promise.reject(closedHere());
    const waiting = Promise.withResolvers<Deno.Conn>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /** Stops listening. Connections that were accepted go on. */
  close(): void {
    this.#isClosed = true;
    this.#server.close();
    for (const conn of this.#ready.splice(0)) conn.close();
    for (const waiting of this.#waiting.splice(0)) waiting.reject(closedHere());
  }

  #give(conn: Deno.Conn): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting.resolve(conn);
    else if (this.#isClosed) conn.close();
    else this.#ready.push(conn);
  }
}

/** A connection that was accepted, whose handshake goes on. */
function strictConn(tls: TLSSocket, tcp: Socket): NodeTlsConn {
  const secured = Promise.withResolvers<void>();
  tls.on("secure", () => secured.resolve());
  const conn = new NodeTlsConn(tls, {
    localAddr: netAddr(tcp.localAddress, tcp.localPort),
    remoteAddr: netAddr(tcp.remoteAddress, tcp.remotePort),
    secured: secured.promise,
  });
  tcp.on("error", (error: Error) => conn.fail(error));
  return conn;
}

function netAddr(hostname = "", port = 0): Deno.NetAddr {
  return { transport: "tcp", hostname, port };
}
