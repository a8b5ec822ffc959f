import type { Clock } from "../async/clock.ts";
import type { MemoryShare } from "../async/memory_budget.ts";
import { P2PError } from "../errors.ts";
import type { Offer } from "./offer.ts";
import type { BandwidthLane } from "../async/bandwidth_limiter.ts";
import type { LargeTurns } from "./large_turns.ts";
import type { PeerLink } from "./peer_link.ts";
import type { PiecePicker } from "./picker.ts";
import { FAR, SourceRequests, windowPieces } from "./source_requests.ts";
import type { Supply } from "./supply.ts";

/** Bytes that any download may have on their way, whatever its part of the memory is. */
const LEAST = 1024 * 1024;

/** What {@linkcode DownloadSources} need. */
export interface DownloadSourcesOptions {
  offer: Offer;
  picker: PiecePicker;
  /** Bytes of a piece that is asked for. */
  lengthOf(index: number): number;
  /** Memory for what is on its way. */
  share: MemoryShare;
  /** Turns of those that the share is too small for. */
  turns: LargeTurns;
  /** Holds requests back under a rate limit. */
  lane?: BandwidthLane | undefined;
  clock: Clock;
}

/** The links that a download asks for pieces: each has an even part of what fits in memory. */
export class DownloadSources implements Supply {
  readonly #options: DownloadSourcesOptions;
  readonly #requests = new Map<PeerLink, SourceRequests>();
  /** Milliseconds, the shortest that was seen; 0 before. */
  #roundTrip = 0;

  constructor(options: DownloadSourcesOptions) {
    this.#options = options;
  }

  add(source: PeerLink): void {
    const { offer: { transfer }, picker, lengthOf, lane, clock } = this.#options;
    this.#requests.get(source)?.forget();
    this.#requests.set(
      source,
      new SourceRequests({
        picker,
        source,
        lengthOf,
        window: () => this.#window,
        lane,
        clock,
        get: (index) => source.session.post({ verb: "GET", transfer, index }),
      }),
    );
  }

  drop(source: PeerLink): void {
    this.#requests.get(source)?.forget();
    this.#requests.delete(source);
    this.#settle();
  }

  stop(): PeerLink[] {
    const sources = [...this.#requests.keys()];
    for (const requests of this.#requests.values()) requests.stop();
    this.#requests.clear();
    this.#settle();
    return sources;
  }

  grow(count: number): void {
    this.#options.picker.grow(count);
  }

  isOwed(source: PeerLink, index: number): boolean {
    return this.#options.picker.isAsked(index, source);
  }

  stored(): void {
    this.#settle();
  }

  failed(_source: PeerLink, index: number): void {
    this.#options.picker.failed(index);
  }

  lost(index: number): void {
    this.#options.picker.lost(index);
  }

  answeredIn(ms: number): void {
    this.#roundTrip = this.#roundTrip === 0 ? ms : Math.min(this.#roundTrip, ms);
  }

  fill(): void {
    if (this.#hasTurn()) this.#fillNow();
  }

  /** Ends the turn unless something is on its way, or waits to be written. */
  #settle(): void {
    if (this.#isIdle) this.#options.turns.end(this);
  }

  #fillNow(): void {
    for (const requests of this.#requests.values()) requests.fill();
    this.#settle();
  }

  get #isIdle(): boolean {
    const { picker } = this.#options;
    return picker.unwrittenCount === 0 && (this.#requests.size === 0 || picker.askedCount === 0);
  }

  /** Whether pieces may be asked for. When others wait for their turn, this one ends with what is on its way. */
  #hasTurn(): boolean {
    const { turns, share, offer: { pieceSize } } = this.#options;
    if (2 * pieceSize <= Math.max(share.bytes, LEAST) || this.#requests.size === 0) return true;
    if (turns.isWanted) {
      if (!this.#isIdle) return false;
      turns.end(this);
    }
    return turns.take(this, () => this.#fillNow());
  }

  verified(source: PeerLink): void {
    this.#requests.get(source)?.progressed();
  }

  /** In the line for a turn it is for this side to go on. */
  get areOwing(): boolean {
    if (this.#options.turns.isWaiting(this)) return false;
    const requests = [...this.#requests.values()];
    return requests.length === 0 || requests.some(({ isOwed }) => isOwed);
  }

  abortOverdue(): void {
    for (const [{ session }, requests] of this.#requests) {
      // What is not asked for while others have their turn is not owed.
      if (this.#options.turns.isWaiting(this)) requests.progressed();
      if (!requests.isOverdue(session.lastHeard)) continue;
      session.abort(new P2PError("timeout", "Cannot go on: the sender sends no more pieces"));
    }
  }

  /** Pieces that one source may be asked for now. */
  get #window(): number {
    const { share, offer, picker } = this.#options;
    const { unwrittenCount: unwritten } = picker;
    const isFar = this.#roundTrip >= FAR;
    const pieces = windowPieces(share.bytes, offer.pieceSize, { unwritten, isFar });
    return Math.ceil(pieces / Math.max(1, this.#requests.size));
  }
}
