import { aborted, onAbort } from "../async/abort.ts";
import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import { type Caps, HostCounts } from "../net/host_counts.ts";
import type { Session } from "../net/session.ts";
import { ASK_TIME, SIGN_INTERVAL } from "./settings.ts";

/** Offers that may wait at once, by where they come from, and those of one sender, who may have many keys. */
const MAX_WAITING: Caps = { address: 32, network: 48, all: 64 };
const MAX_PER_SENDER = 16;

/** An offer that waits, told apart by its key. */
export interface WaitingOffer {
  key: string;
  transfer: string;
  /** The sender's id. */
  from: string;
  session: Session;
  /** Aborts when the sender takes the offer back, or is gone. */
  signal: AbortSignal;
}

interface Waiting extends WaitingOffer {
  over: AbortController;
}

/**
 * Offers that a person has to decide on. Meanwhile the sender hears that this side lives and waits; a
 * sender that goes, an answer that does not come, and the end of this side all end the waiting.
 */
export class WaitingOffers {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Waiting>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Resolves with what `decide` has resolved with; its signal aborts when no answer is wanted any more.
   *
   * @throws {P2PError} what `decide` throws; `refused` when it takes too long, `busy` when too many wait,
   * `connection-lost` when the sender is gone or has made the offer anew.
   */
  async wait<T>(offer: WaitingOffer, decide: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { key } = offer;
    this.#waiting.get(key)?.over.abort(lost());
    this.#waiting.delete(key);
    this.#checkRoom(offer);
    const waiting: Waiting = { ...offer, over: new AbortController() };
    this.#waiting.set(key, waiting);
    const { signal } = waiting.over;
    using _ = onAbort(offer.signal, () => waiting.over.abort(offer.signal.reason));
    const cancelLimit = this.#clock.after(ASK_TIME, () => waiting.over.abort(late()));
    const cancelSigns = this.#signs(waiting);
    try {
      return await Promise.race([decide(signal), aborted(signal)]);
    } finally {
      cancelLimit();
      cancelSigns();
      // The question is withdrawn, if it is still there.
      waiting.over.abort(lost());
      if (this.#waiting.get(key) === waiting) this.#waiting.delete(key);
    }
  }

  /** Ends all waiting with `reason`. */
  abort(reason: P2PError): void {
    for (const { over } of this.#waiting.values()) over.abort(reason);
  }

  #checkRoom({ from, session }: WaitingOffer): void {
    const counts = new HostCounts();
    let theirs = 0;
    for (const waiting of this.#waiting.values()) {
      counts.add(waiting.session.connection.remote.host);
      if (waiting.from === from) theirs++;
    }
    const { host } = session.connection.remote;
    if (theirs < MAX_PER_SENDER && counts.hasRoom(host, MAX_WAITING)) return;
    throw new P2PError(
      "busy",
      "Cannot receive: too many offers wait for an answer there; try again later",
    );
  }

  /** Tells the sender now and again that a person is asked; returns what stops that. */
  #signs({ transfer, session }: WaitingOffer): () => void {
    let cancel = () => {};
    const sign = () => {
      session.post({ verb: "ACK", transfer, state: "waiting" });
      cancel = this.#clock.after(SIGN_INTERVAL, sign);
    };
    sign();
    return () => cancel();
  }
}

function late(): P2PError {
  return new P2PError(
    "refused",
    `Cannot deliver: nobody answered there in ${ASK_TIME / 60_000} minutes; ` +
      "send it again when somebody is there",
  );
}

function lost(): P2PError {
  return new P2PError("connection-lost", "Cannot go on: the sender took the offer back");
}
