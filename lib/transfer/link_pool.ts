import type { Clock } from "../async/clock.ts";
import type { Session } from "../net/session.ts";
import { PeerLink } from "./peer_link.ts";
import type { PeerEntry } from "../wire/message.ts";

/** Files of one command follow one another at once. */
const IDLE_TIME = 250;

/** What {@linkcode LinkPool} need. */
export interface LinkPoolOptions {
  open: (entry: PeerEntry) => Promise<Session>;
  /** How long in milliseconds a session waits for the next transfer; 0: not at all. */
  idleTime?: number | undefined;
  clock: Clock;
}

/** Sessions for what is sent: a transfer takes one that the last one has left, or a new one. */
export class LinkPool implements AsyncDisposable {
  readonly #options: LinkPoolOptions;
  /** Those without a transfer, by the peer's id, and what ends their waiting. */
  readonly #idle = new Map<string, Map<PeerLink, () => void>>();
  #isClosed = false;

  constructor(options: LinkPoolOptions) {
    this.#options = options;
  }

  /**
   * A session to a peer.
   *
   * @throws {P2PError} why none can be opened.
   */
  async take(entry: PeerEntry): Promise<PeerLink> {
    const { id } = entry;
    for (const link of this.#idle.get(id)?.keys() ?? []) {
      this.#forget(id, link);
      if (link.isOpen) return link;
    }
    return new PeerLink(await this.#options.open(entry), (link) => this.#keep(id, link));
  }

  /** Closes those that wait; the others are closed when their transfer ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const waiting = [...this.#idle].flatMap(([id, links]) =>
      [...links.keys()].map((link) => ({ id, link }))
    );
    await Promise.all(waiting.map(({ id, link }) => this.#close(id, link)));
  }

  async #keep(id: string, link: PeerLink): Promise<void> {
    const { idleTime = IDLE_TIME, clock } = this.#options;
    if (this.#isClosed || idleTime === 0) return await link.close();
    const idle = this.#idle.get(id) ?? new Map<PeerLink, () => void>();
    this.#idle.set(id, idle);
    idle.set(link, clock.after(idleTime, () => void this.#close(id, link)));
  }

  async #close(id: string, link: PeerLink): Promise<void> {
    this.#forget(id, link);
    await link.close();
  }

  #forget(id: string, link: PeerLink): void {
    const idle = this.#idle.get(id);
    idle?.get(link)?.();
    idle?.delete(link);
    if (idle?.size === 0) this.#idle.delete(id);
  }
}
