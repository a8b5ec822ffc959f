import { P2PError } from "../errors.ts";
import type { Session, SessionHandler } from "../net/session.ts";
import type { Frame } from "../wire/frame.ts";
import type { Delivery, Upload } from "./upload.ts";

/**
 * A session that carries transfers to one peer, one after another: opening one costs more than a small file
 * does. It is run as soon as it is made.
 */
export class PeerLink implements SessionHandler {
  readonly session: Session;
  readonly #onFree: ((link: PeerLink) => Promise<void>) | undefined;
  readonly #running: Promise<void>;
  #transfer: Upload | undefined;
  /** Ids of the transfers that it has carried to their end. */
  readonly #carried = new Set<string>();
  #isClosed = false;

  /** @param onFree takes it when a transfer has gone well, for the next one; without it the session is closed. */
  constructor(session: Session, onFree?: (link: PeerLink) => Promise<void>) {
    this.session = session;
    this.#onFree = onFree;
    this.#running = session.run(this);
  }

  /** Whether it has carried nothing yet. */
  get isFresh(): boolean {
    return this.#carried.size === 0;
  }

  /** Whether it can carry another transfer. */
  get isOpen(): boolean {
    return !this.#isClosed && !this.session.connection.closed;
  }

  /**
   * Carries one transfer to its end, and is free or closed then.
   *
   * @throws {P2PError} as {@linkcode Upload.deliver}.
   */
  async carry(transfer: Upload): Promise<Delivery> {
    this.#transfer = transfer;
    try {
      const delivery = await transfer.deliver();
      this.#transfer = undefined;
      this.#carried.add(transfer.transfer);
      if (this.#onFree && this.isOpen) await this.#onFree(this);
      else await this.close();
      return delivery;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Says goodbye. */
  async close(): Promise<void> {
    await this.session.close();
    await this.#running;
  }

  async onMessage(frame: Frame): Promise<void> {
    const { message } = frame;
    // A late word on one that has ended.
    if ("transfer" in message && this.#carried.has(message.transfer)) return;
    if (!this.#transfer) {
      throw new P2PError("unexpected-verb", `Cannot answer ${message.verb}: nothing is being sent`);
    }
    await this.#transfer.onMessage(frame);
  }

  onClosed(error: P2PError | null): void {
    this.#isClosed = true;
    this.#transfer?.onClosed(error);
  }
}
