/**
 * A faulty link in front of a peer. The peer listens on 127.0.0.2 and the proxy on the same port of
 * 127.0.0.1, the address that the tracker lists, since it is the one that the peer comes from.
 *
 * @module
 */

import { inTime, type Program } from "./helpers.ts";

/** Where the peer behind a {@linkcode Proxy} has to listen; only Linux has all of 127.0.0.0/8. */
export const BEHIND = "127.0.0.2";

/** Why a test with a proxy cannot run here. */
export const NO_PROXY = Deno.build.os === "linux" ? undefined : "127.0.0.2 is not on this system";

/** Changes what callers send, connection by connection. */
export type Tamper = () => (bytes: Uint8Array<ArrayBuffer>) => void;

/** Passes bytes on between callers and the peer behind it. */
export class Proxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();
  readonly #tasks: Promise<unknown>[] = [];
  readonly #tamper: Tamper | undefined;
  #target: { hostname: string; port: number };
  #limit = Infinity;
  #returned = 0;
  #held = Promise.withResolvers<void>();
  #gate = Promise.withResolvers<void>();

  constructor({ tamper }: { tamper?: Tamper } = {}) {
    this.#tamper = tamper;
    this.#target = { hostname: BEHIND, port: this.port };
    this.#tasks.push(this.#accept());
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Flags of the peer behind it. */
  get flags(): string[] {
    return ["--host", BEHIND, "--port", `${this.port}`];
  }

  /** Bytes that callers were sent so far. */
  get returned(): number {
    return this.#returned;
  }

  /** Leads new connections to another listener. */
  lead(hostname: string, port: number): void {
    this.#target = { hostname, port };
  }

  /** Stops each caller's bytes after so many. */
  hold(bytes: number): void {
    this.#limit = bytes;
  }

  /** Waits until this caller has come as far as {@linkcode hold} said. */
  async held(caller: Program): Promise<void> {
    const ended = caller.status.then(() => {
      throw new Error(`ended before it was held: ${caller.report}`);
    });
    ended.catch(() => {});
    await inTime(Promise.race([this.#held.promise, ended]), () => `holding ${caller.report}`);
  }

  /** Goes on after {@linkcode hold}. */
  release(): void {
    this.#limit = Infinity;
    this.#gate.resolve();
  }

  /** Breaks every connection, and drops what was held. */
  cut(): void {
    for (const connection of this.#connections) close(connection);
    this.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.#gate.resolve();
    for (const connection of this.#connections) close(connection);
    await Promise.all(this.#tasks);
  }

  async #accept(): Promise<void> {
    try {
      for await (const caller of this.#listener) this.#tasks.push(this.#serve(caller));
    } catch {
      // Closed while it waited.
    }
  }

  async #serve(caller: Deno.Conn): Promise<void> {
    this.#connections.add(caller);
    let peer: Deno.Conn;
    try {
      peer = await Deno.connect(this.#target);
    } catch {
      close(caller);
      return;
    }
    this.#connections.add(peer);
    const change = this.#tamper?.();
    await Promise.all([
      pump(caller, peer, async (bytes, total) => {
        change?.(bytes);
        if (total <= this.#limit) return;
        this.#held.resolve();
        await this.#gate.promise;
      }),
      pump(peer, caller, (bytes) => {
        this.#returned += bytes.length;
        return Promise.resolve();
      }),
    ]);
    close(caller);
    close(peer);
  }
}

async function pump(
  from: Deno.Conn,
  to: Deno.Conn,
  before: (bytes: Uint8Array<ArrayBuffer>, total: number) => Promise<void>,
): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  let total = 0;
  try {
    for (let n = await from.read(buffer); n !== null; n = await from.read(buffer)) {
      total += n;
      await before(buffer.subarray(0, n), total);
      for (let done = 0; done < n;) done += await to.write(buffer.subarray(done, n));
    }
    await to.closeWrite();
  } catch {
    // One side broke: the other is told by the same.
    close(from);
    close(to);
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It was closed.
  }
}

/**
 * Flips one bit in the bodies of PIECE frames (only with `--insecure` are there frames to see), of each
 * piece as often as `times` says.
 */
export function flipPieces(times: number): Tamper {
  const flipped = new Map<string, number>();
  return () => {
    let header = "";
    let body = 0;
    let flip = false;
    return (bytes) => {
      for (let at = 0; at < bytes.length;) {
        if (body > 0) {
          if (flip) bytes[at] = (bytes[at] ?? 0) ^ 1;
          flip = false;
          const skipped = Math.min(body, bytes.length - at);
          body -= skipped;
          at += skipped;
          continue;
        }
        const byte = bytes[at++] ?? 0;
        if (byte !== 0x0a) {
          header += String.fromCharCode(byte);
          continue;
        }
        body = Number(/"body":(\d+)/.exec(header)?.[1] ?? 0);
        const index = /^PIECE .*"index":(\d+)/.exec(header)?.[1];
        const before = flipped.get(index ?? "") ?? 0;
        flip = index !== undefined && before < times;
        if (flip && index !== undefined) flipped.set(index, before + 1);
        header = "";
      }
    };
  };
}
