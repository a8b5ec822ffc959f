import { createServer, type Server as TcpServer, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { ListenerKey } from "./tls_door.ts";
import type { Address } from "../address.ts";

/** Most bytes that one write takes: the caller sees from each write that the other side goes on reading. */
const WRITE_AT_ONCE = 64 * 1024;

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
      this.#give(new StrictTlsConn(tls, socket) as unknown as Deno.TlsConn);
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
    if (this.#isClosed) return Promise.reject(closed());
    const waiting = Promise.withResolvers<Deno.Conn>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /** Stops listening. Connections that were accepted go on. */
  close(): void {
    this.#isClosed = true;
    this.#server.close();
    for (const conn of this.#ready.splice(0)) conn.close();
    for (const waiting of this.#waiting.splice(0)) waiting.reject(closed());
  }

  #give(conn: Deno.Conn): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting.resolve(conn);
    else if (this.#isClosed) conn.close();
    else this.#ready.push(conn);
  }
}

/** The part of `Deno.TlsConn` that a connection of ours uses, on a socket of node:tls. */
class StrictTlsConn {
  /** See `isFreedByClose` in tls_door.ts. */
  readonly isFreedByClose = true;
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  readonly #socket: TLSSocket;
  readonly #secured = Promise.withResolvers<void>();
  /** Bytes that came and that a smaller buffer did not take. */
  #left: Uint8Array = new Uint8Array(0);
  #hasEnded = false;
  #error: Error | undefined;
  /** Has whoever waits for bytes, the end or an error look again. */
  #wake: () => void = () => {};

  constructor(socket: TLSSocket, tcp: Socket) {
    this.#socket = socket;
    this.localAddr = netAddr(tcp.localAddress, tcp.localPort);
    this.remoteAddr = netAddr(tcp.remoteAddress, tcp.remotePort);
    this.#secured.promise.catch(() => {});
    socket.on("secure", () => this.#secured.resolve());
    socket.on("readable", () => this.#wake());
    socket.on("end", () => {
      this.#hasEnded = true;
      this.#wake();
    });
    socket.on("error", (error: Error) => this.#fail(error));
    tcp.on("error", (error: Error) => this.#fail(error));
    socket.on("close", () => this.#fail(closed()));
  }

  /** Resolves when the handshake has ended; rejects when it failed or the connection was closed. */
  handshake(): Promise<void> {
    return this.#secured.promise;
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (true) {
      if (this.#left.length === 0) this.#left = this.#socket.read() ?? this.#left;
      if (this.#left.length > 0) {
        const taken = this.#left.subarray(0, into.length);
        into.set(taken);
        this.#left = this.#left.subarray(taken.length);
        return taken.length;
      }
      if (this.#hasEnded) return null;
      if (this.#error) throw this.#error;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  write(bytes: Uint8Array): Promise<number> {
    const part = bytes.subarray(0, WRITE_AT_ONCE);
    return new Promise((resolve, reject) => {
      if (this.#error) return reject(this.#error);
      this.#socket.write(part, (error) => error ? reject(error) : resolve(part.length));
    });
  }

  closeWrite(): Promise<void> {
    return new Promise((resolve) => this.#socket.end(resolve));
  }

  close(): void {
    this.#socket.destroy();
    this.#fail(closed());
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#secured.reject(error);
    this.#wake();
  }
}

function closed(): Error {
  return new Deno.errors.BadResource("The connection or listener is closed");
}

function netAddr(hostname = "", port = 0): Deno.NetAddr {
  return { transport: "tcp", hostname, port };
}
