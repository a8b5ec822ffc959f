import type { TLSSocket } from "node:tls";

/** Most bytes that one write takes: the caller sees from each write that the other side goes on reading. */
const WRITE_AT_ONCE = 64 * 1024;

/** What a {@linkcode NodeTlsConn} needs beside its socket. */
export interface NodeTlsOptions {
  localAddr: Deno.Addr;
  remoteAddr: Deno.Addr;
  /** Settles when the handshake has ended. */
  secured: Promise<void>;
  /** Closes what the socket runs over, where that does not go with it. */
  closeBelow?: () => void;
  /** Says what an error of TLS means; by default that is what it says itself. */
  explain?: ((error: Error) => Error) | undefined;
}

/** The part of `Deno.TlsConn` that connections of ours use, on a socket of node:tls, which is freed whenever it is closed. */
export class NodeTlsConn {
  /** See `isFreedByClose` in closing.ts. */
  readonly isFreedByClose = true;
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  readonly #socket: TLSSocket;
  readonly #options: NodeTlsOptions;
  readonly #failed = Promise.withResolvers<never>();
  /** Bytes that came and that a smaller buffer did not take. */
  #left: Uint8Array = new Uint8Array(0);
  #hasEnded = false;
  #error: Error | undefined;
  /** Has whoever waits for bytes, the end or an error look again. */
  #wake: () => void = () => {};

  constructor(socket: TLSSocket, options: NodeTlsOptions) {
    this.#socket = socket;
    this.#options = options;
    this.localAddr = options.localAddr;
    this.remoteAddr = options.remoteAddr;
    this.#failed.promise.catch(() => {});
    socket.on("end", () => {
      this.#hasEnded = true;
      this.#wake();
    });
    socket.on("error", (error: Error) => this.fail(error));
    socket.on("close", () => this.fail(closedHere()));
  }

  /** Resolves when the handshake has ended; rejects when it failed or the connection was closed. */
  handshake(): Promise<void> {
    return Promise.race([this.#options.secured, this.#failed.promise]);
  }

  /** As `Deno.Conn.read`. */
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
      // Whoever listens for it has the socket read ahead: not before somebody wants to know.
      this.#socket.once("readable", () => this.#wake());
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** As `Deno.Conn.write`. */
  write(bytes: Uint8Array): Promise<number> {
    const part = bytes.subarray(0, WRITE_AT_ONCE);
    return new Promise((resolve, reject) => {
      if (this.#error) return reject(this.#error);
      this.#socket.write(part, (error) => error ? reject(error) : resolve(part.length));
    });
  }

  /** As `Deno.Conn.closeWrite`. */
  closeWrite(): Promise<void> {
    return new Promise((resolve) => this.#socket.end(resolve));
  }

  /** As `Deno.Conn.close`, also for one that is closed already. */
  close(): void {
    this.#socket.destroy();
    this.#options.closeBelow?.();
    this.fail(closedHere());
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Has reads, writes and the handshake reject from now on, once what has come is read. */
  fail(error: Error): void {
    this.#error ??= this.#options.explain?.(error) ?? error;
    this.#failed.reject(this.#error);
    this.#wake();
  }
}

/** What is said of a connection or listener that this side has closed. */
export function closedHere(): Error {
  return new Deno.errors.BadResource("The connection or listener is closed");
}
