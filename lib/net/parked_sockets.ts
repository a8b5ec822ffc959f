import { closeQuietly } from "./closing.ts";
import { HostCounts } from "./host_counts.ts";

/**
 * TLS connections that were given up before their handshake had ended. Deno frees the descriptor of such a connection
 * only when the other side goes or the handshake ends, and a close before that hides it: so each stays open here until
 * its handshake settles, is closed then, and is counted meanwhile. The counts are exact.
 */
export class ParkedSockets {
  readonly counts: HostCounts = new HostCounts();
  readonly #conns = new Set<{ close(): void }>();
  #isClosed = false;

  /** Keeps a connection until `handshake`, which is under way, has settled. */
  park(conn: { close(): void }, handshake: Promise<unknown>, host: string): void {
    if (this.#isClosed) return closeQuietly(conn);
    this.#conns.add(conn);
    this.counts.add(host);
    const free = () => {
      this.#conns.delete(conn);
      this.counts.remove(host);
      closeQuietly(conn);
    };
    handshake.then(free, free);
  }

  /** Closes them all, which counts no more. For the end of whoever parked them. */
  close(): void {
    this.#isClosed = true;
    for (const conn of this.#conns) closeQuietly(conn);
  }
}
