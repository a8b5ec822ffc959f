import type { Clock } from "../../async/clock.ts";
import type { PeerLink } from "../peer_link.ts";
import { RateMeter } from "../rate_meter.ts";
import { limitsFor, type SwarmLimits } from "./limits.ts";

/** Milliseconds that a round trip is taken for before one was measured, and at least. */
const FIRST_ROUND_TRIP = 2;
const LEAST_ROUND_TRIP = 1;
/** Bytes per second that a line is taken for before anything has crossed it: 100 Mbit/s. */
const FIRST_RATE = 12_500_000;
/** Milliseconds after which the answer to a PING says nothing of the line. */
const PING_TIMEOUT = 5_000;

/** What one member of a swarm knows of its line, and the limits that follow from that. */
export class LineEstimate {
  readonly #pieceSize: number;
  readonly #receivers: number;
  readonly #clock: Clock;
  readonly #meter = new RateMeter();
  /** Milliseconds to each of the others. */
  readonly #roundTrips = new Map<PeerLink, number>();
  #bytes = 0;
  #rate = 0;
  #limits: SwarmLimits;

  /** @param options.receivers how many there are, which is of use to a sharer alone. */
  constructor(
    { pieceSize, receivers = 1, clock }: { pieceSize: number; receivers?: number; clock: Clock },
  ) {
    this.#pieceSize = pieceSize;
    this.#receivers = receivers;
    this.#clock = clock;
    this.#limits = this.#limitsNow();
  }

  /** The limits for what is known so far. */
  get limits(): SwarmLimits {
    return this.#limits;
  }

  #limitsNow(): SwarmLimits {
    const trips = [...this.#roundTrips.values()];
    const average = trips.reduce((sum, trip) => sum + trip, 0) / (trips.length || 1);
    return limitsFor({
      roundTrip: Math.max(LEAST_ROUND_TRIP, average || FIRST_ROUND_TRIP),
      rate: this.#rate || FIRST_RATE,
      pieceSize: this.#pieceSize,
      receivers: this.#receivers,
    });
  }

  /** Measures the round trip to the other side of a link; resolves when that is done, or came to nothing. */
  async measure(link: PeerLink): Promise<void> {
    const asked = this.#clock.now();
    try {
      await link.session.request({ verb: "PING" }, { timeout: PING_TIMEOUT });
      this.answered(link, this.#clock.now() - asked);
    } catch {
      // Whoever does not answer is noticed elsewhere.
    }
  }

  /** Notes how long in milliseconds an answer of the other side of a link took. */
  answered(link: PeerLink, ms: number): void {
    this.#roundTrips.set(link, ms);
    this.#limits = this.#limitsNow();
  }

  /** Forgets the other side of a link. */
  forget(link: PeerLink): void {
    this.#roundTrips.delete(link);
    this.#limits = this.#limitsNow();
  }

  /** Notes that a piece of so many bytes has crossed the line. */
  moved(bytes: number): void {
    this.#bytes += bytes;
    this.#rate = this.#meter.update(this.#bytes, this.#clock.now());
    this.#limits = this.#limitsNow();
  }
}
