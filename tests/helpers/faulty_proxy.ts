import type { Address } from "../../lib/address.ts";

/** What happens to one direction of one connection; offsets count its bytes from 0. */
export interface Fault {
  /** One bit of this byte is turned over. */
  flipAt?: number;
  /** The connection is cut once so many bytes have passed. */
  cutAfter?: number;
  /** Nothing more passes after so many bytes, and nothing more is read. */
  stallAfter?: number;
  /** What comes after so many bytes is read and thrown away. */
  dropAfter?: number;
  /** From the first of these bytes on, everything is thrown away. ASCII, whole in one read. */
  dropFrom?: string;
}

/** `up` is what the caller sends, `down` what it is sent. */
export type Direction = "up" | "down";

/** The fault of a direction of the `n`th connection, counted from 0. */
export type Faults = (n: number, direction: Direction) => Fault | undefined;

/**
 * Where a peer behind a proxy listens: the proxy has the same port on 127.0.0.1, the address that the
 * tracker sees it come from and lists.
 */
export const BEHIND_PROXY = "127.0.0.2";

/** Why there can be no peer behind a proxy here. */
export const NO_PROXY = Deno.build.os === "linux" ? undefined : "only Linux has all of 127.0.0.0/8";

/** A TCP proxy that damages what passes. For insecure mode: TLS would notice. */
export class FaultyProxy implements AsyncDisposable {
  readonly address: Address;
  /** Bytes that passed, by connection. */
  readonly passed: Record<Direction, number>[] = [];
  /** With `record`, what the sides sent, by connection. */
  readonly recorded: Record<Direction, Uint8Array[]>[] = [];
  record = false;
  faults: Faults;
  #target: Address;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #conns = new Set<Deno.Conn>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #released = Promise.withResolvers<void>();

  constructor(faults: Faults = () => undefined, target?: Address) {
    const { hostname, port } = this.#listener.addr;
    this.address = { host: hostname, port };
    this.#target = target ?? { host: BEHIND_PROXY, port };
    this.faults = faults;
    this.#track(this.#accept());
  }

  /** Where a peer has to listen to be behind it. */
  get behind(): Address {
    return { host: BEHIND_PROXY, port: this.address.port };
  }

  /** Leads new connections elsewhere. */
  lead(target: Address): void {
    this.#target = target;
  }

  /** Cuts what is stalled, now and from now on. */
  release(): void {
    this.#released.resolve();
  }

  /** Cuts all connections that there are. */
  cut(): void {
    for (const conn of this.#conns) close(conn);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.release();
    this.cut();
    while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks);
  }

  #track(task: Promise<void>): void {
    const kept = task.catch(() => {}).finally(() => this.#tasks.delete(kept));
    this.#tasks.add(kept);
  }

  async #accept(): Promise<void> {
    for (let n = 0;; n++) {
      const caller = await this.#listener.accept();
      this.#conns.add(caller);
      this.passed.push({ up: 0, down: 0 });
      this.recorded.push({ up: [], down: [] });
      this.#track(this.#serve(n, caller));
    }
  }

  async #serve(n: number, caller: Deno.Conn): Promise<void> {
    let target: Deno.Conn;
    try {
      target = await Deno.connect({ hostname: this.#target.host, port: this.#target.port });
    } catch {
      return close(caller);
    }
    this.#conns.add(target);
    const cut = () => [caller, target].forEach(close);
    await Promise.all([
      this.#pass({ n, direction: "up", from: caller, to: target, cut }),
      this.#pass({ n, direction: "down", from: target, to: caller, cut }),
    ]);
    cut();
    this.#conns.delete(caller);
    this.#conns.delete(target);
  }

  async #pass({ n, direction, from, to, cut }: {
    n: number;
    direction: Direction;
    from: Deno.Conn;
    to: Deno.Conn;
    cut: () => void;
  }): Promise<void> {
    const fault = { ...this.faults(n, direction) };
    const count = this.passed[n] as Record<Direction, number>;
    const limit = Math.min(fault.cutAfter ?? Infinity, fault.stallAfter ?? Infinity);
    const buffer = new Uint8Array(64 * 1024);
    try {
      while (count[direction] < limit) {
        const read = await from.read(buffer);
        if (read === null) return await to.closeWrite();
        const bytes = buffer.subarray(0, Math.min(read, limit - count[direction]));
        if (this.record) this.recorded[n]?.[direction].push(bytes.slice());
        if (fault.dropFrom && includes(bytes, fault.dropFrom)) fault.dropAfter = count[direction];
        await writeAll(to, damaged(bytes, count[direction], fault));
        count[direction] += bytes.length;
      }
      if (fault.stallAfter === limit) await this.#released.promise;
      cut();
    } catch {
      cut();
    }
  }
}

function damaged(bytes: Uint8Array, offset: number, { flipAt, dropAfter }: Fault): Uint8Array {
  const at = (flipAt ?? -1) - offset;
  if (at >= 0 && at < bytes.length) bytes[at] = (bytes[at] as number) ^ 1;
  return dropAfter === undefined ? bytes : bytes.subarray(0, Math.max(0, dropAfter - offset));
}

function includes(bytes: Uint8Array, text: string): boolean {
  return new TextDecoder("latin1").decode(bytes).includes(text);
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It is closed already.
  }
}
