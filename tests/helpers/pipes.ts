/**
 * Two ends of a connection in memory, for tests of what happens above the socket.
 *
 * @module
 */

import type { Clock } from "../../lib/async/clock.ts";
import { Connection } from "../../lib/net/connection.ts";
import type { Remote } from "../../lib/net/handshake.ts";
import { Session } from "../../lib/net/session.ts";

/** One direction: a bounded buffer of chunks. */
class Pipe {
  readonly #capacity: number;
  readonly #chunks: Uint8Array[] = [];
  #size = 0;
  #ended = false;
  #broken: Error | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.#broken) throw this.#broken;
      if (this.#ended) return null;
      await this.#wake.promise;
    }
    const chunk = this.#chunks[0] as Uint8Array;
    const taken = chunk.subarray(0, into.length);
    into.set(taken);
    if (taken.length === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(taken.length);
    this.#size -= taken.length;
    this.#changed();
    return taken.length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    while (this.#size >= this.#capacity && !this.#broken && !this.#ended) await this.#wake.promise;
    if (this.#broken) throw this.#broken;
    if (this.#ended) throw new Deno.errors.BrokenPipe("the other side is closed");
    const taken = bytes.slice(0, this.#capacity - this.#size);
    this.#chunks.push(taken);
    this.#size += taken.length;
    this.#changed();
    return taken.length;
  }

  end(): void {
    this.#ended = true;
    this.#changed();
  }

  break(error: Error): void {
    this.#broken ??= error;
    this.#changed();
  }

  #changed(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

/** What {@linkcode Connection} uses of a socket. */
class MemoryConn {
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  readonly #in: Pipe;
  readonly #out: Pipe;
  #closed = false;

  constructor(ins: Pipe, out: Pipe, ends: { local: string; remote: string; port: number }) {
    const { local, remote, port } = ends;
    this.#in = ins;
    this.#out = out;
    this.localAddr = { transport: "tcp", hostname: local, port };
    this.remoteAddr = { transport: "tcp", hostname: remote, port: 3 - port };
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#in.read(into);
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#out.write(bytes);
  }

  closeWrite(): Promise<void> {
    this.#out.end();
    return Promise.resolve();
  }

  close(): void {
    if (this.#closed) throw new Deno.errors.BadResource("closed twice");
    this.#closed = true;
    this.#out.end();
    this.#in.break(new Deno.errors.Interrupted("closed locally"));
  }
}

/** Two connected sockets; each direction holds `capacity` bytes. `hosts` are their addresses. */
export function socketPair(
  capacity = 64 * 1024,
  [a, b]: [string, string] = ["127.0.0.1", "127.0.0.1"],
): [Deno.Conn, Deno.Conn] {
  const [there, back] = [new Pipe(capacity), new Pipe(capacity)];
  const ends = [
    new MemoryConn(back, there, { local: a, remote: b, port: 1 }),
    new MemoryConn(there, back, { local: b, remote: a, port: 2 }),
  ];
  return ends as unknown as [Deno.Conn, Deno.Conn];
}

/** Two connections that talk to each other. */
export function connectionPair(
  { clock, capacity, hosts }: {
    clock?: Clock;
    capacity?: number;
    hosts?: [string, string];
  } = {},
): [Connection, Connection] {
  const options = clock ? { clock } : {};
  const [a, b] = socketPair(capacity, hosts);
  return [new Connection(a, options), new Connection(b, options)];
}

const ID_A = "A".repeat(43);
const ID_B = "B".repeat(42) + "A";

/** Two sessions that talk to each other; nobody runs them yet. The first one's remote is B. */
export function sessionPair(
  { clock, capacity, hosts, ids = [ID_A, ID_B] }: {
    clock?: Clock;
    capacity?: number;
    /** Addresses of the two ends. */
    hosts?: [string, string];
    ids?: [string, string];
  } = {},
): [Session, Session] {
  const [a, b] = connectionPair({
    ...(clock ? { clock } : {}),
    ...(capacity ? { capacity } : {}),
    ...(hosts ? { hosts } : {}),
  });
  const remote = (id: string): Remote => ({ id, role: "peer" });
  return [new Session(a, remote(ids[1]), clock), new Session(b, remote(ids[0]), clock)];
}
