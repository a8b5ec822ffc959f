import type { Clock } from "../async/clock.ts";
import type { Session } from "../net/session.ts";
import { Carrier } from "./peer_link.ts";
import type { PeerEntry } from "../wire/message.ts";

/** Files of one command follow one another at once. */
const IDLE_TIME = 250;

/** What {@linkcode Carriers} need. */
export interface CarriersOptions {
  open: (entry: PeerEntry) => Promise<Session>;
  /** How long in milliseconds a session waits for the next transfer; 0: not at all. */
  idleTime?: number | undefined;
  clock: Clock;
}

/** Sessions for what is sent: a transfer takes one that the last one has left, or a new one. */
export class Carriers implements AsyncDisposable {
  readonly #options: CarriersOptions;
  /** Those without a transfer, by the peer's id, and what ends their waiting. */
  readonly #idle = new Map<string, Map<Carrier, () => void>>();
  #isClosed = false;

  constructor(options: CarriersOptions) {
    this.#options = options;
  }

  /**
   * A session to a peer.
   *
   * @throws {P2PError} why none can be opened.
   */
  async take(entry: PeerEntry): Promise<Carrier> {
    const { id } = entry;
    for (const carrier of this.#idle.get(id)?.keys() ?? []) {
      this.#forget(id, carrier);
      if (carrier.isOpen) return carrier;
    }
    return new Carrier(await this.#options.open(entry), (carrier) => this.#keep(id, carrier));
  }

  /** Closes those that wait; the others are closed when their transfer ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const waiting = [...this.#idle].flatMap(([id, carriers]) =>
      [...carriers.keys()].map((carrier) => ({ id, carrier }))
    );
    await Promise.all(waiting.map(({ id, carrier }) => this.#close(id, carrier)));
  }

  async #keep(id: string, carrier: Carrier): Promise<void> {
    const { idleTime = IDLE_TIME, clock } = this.#options;
    if (this.#isClosed || idleTime === 0) return await carrier.close();
    const idle = this.#idle.get(id) ?? new Map<Carrier, () => void>();
    this.#idle.set(id, idle);
    idle.set(carrier, clock.after(idleTime, () => void this.#close(id, carrier)));
  }

  async #close(id: string, carrier: Carrier): Promise<void> {
    this.#forget(id, carrier);
    await carrier.close();
  }

  #forget(id: string, carrier: Carrier): void {
    const idle = this.#idle.get(id);
    idle?.get(carrier)?.();
    idle?.delete(carrier);
    if (idle?.size === 0) this.#idle.delete(id);
  }
}
