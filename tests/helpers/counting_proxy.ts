/** Where the peer behind a {@linkcode CountingProxy} listens; the tracker lists the proxy. */
const BEHIND = "127.0.0.2";

/**
 * Stands before a peer and counts what callers send it, whatever becomes of either end: what a killed
 * sender has sent is nowhere else to be had. When the peer dies the caller is told by an end of the stream
 * and still read until it closes, so that bytes that were in between are counted too.
 */
export class CountingProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #marks = new Set<() => void>();
  #passed = 0;
  #muted = new WeakSet<Deno.Conn>();

  constructor() {
    this.#track(this.#accept());
  }

  /** Bytes that callers have sent so far. */
  get passed(): number {
    return this.#passed;
  }

  /** Flags of the peer behind it. */
  get flags(): string[] {
    return ["--host", BEHIND, "--port", `${this.#listener.addr.port}`];
  }

  /** Resolves when callers have sent so many bytes in all. */
  until(bytes: number): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (this.#passed < bytes) return;
        this.#marks.delete(look);
        resolve();
      };
      this.#marks.add(look);
      look();
    });
  }

  /** From now on nothing comes back on the connections that there are. */
  mute(): void {
    for (const connection of this.#connections) this.#muted.add(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) close(connection);
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  #track(task: Promise<void>): void {
    const kept = task.finally(() => this.#tasks.delete(kept));
    this.#tasks.add(kept);
  }

  async #accept(): Promise<void> {
    try {
      while (true) this.#track(this.#serve(await this.#listener.accept()));
    } catch {
      // Closed while it waited.
    }
  }

  async #serve(caller: Deno.Conn): Promise<void> {
    this.#connections.add(caller);
    try {
      const peer = await Deno.connect({ hostname: BEHIND, port: this.#listener.addr.port });
      this.#connections.add(peer);
      await Promise.all([this.#up(caller, peer), this.#down(peer, caller)]);
      this.#connections.delete(peer);
      close(peer);
    } catch {
      // Nobody listens: the caller sees a connection that ends at once.
    }
    this.#connections.delete(caller);
    close(caller);
  }

  async #up(caller: Deno.Conn, peer: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(512 * 1024);
    let isPeerThere = true;
    try {
      for (let n = await caller.read(buffer); n !== null; n = await caller.read(buffer)) {
        this.#passed += n;
        for (const look of this.#marks) look();
        isPeerThere &&= await writeAll(peer, buffer.subarray(0, n));
      }
    } catch {
      // The caller died.
    }
    await peer.closeWrite().catch(() => {});
  }

  async #down(peer: Deno.Conn, caller: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (let n = await peer.read(buffer); n !== null; n = await peer.read(buffer)) {
        if (this.#muted.has(peer)) continue;
        if (!await writeAll(caller, buffer.subarray(0, n))) break;
      }
    } catch {
      // The peer died.
    }
    await caller.closeWrite().catch(() => {});
  }
}

/** Whether the other end took all of it. */
async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<boolean> {
  try {
    for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
    return true;
  } catch {
    return false;
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It was closed.
  }
}
