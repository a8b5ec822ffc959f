import type { Clock } from "../../async/clock.ts";
import type { Range } from "../../wire/fields.ts";
import { MAX_RANGES } from "../../wire/limits.ts";
import type { PeerLink } from "../peer_link.ts";
import { indicesOf, rangesOf } from "../ranges.ts";
import type { SwarmEvent, SwarmPicker } from "./swarm_picker.ts";

/** Times that one side may announce everything. */
const MAX_TIMES = 8;

/** What a {@linkcode SwarmMember} needs. */
export interface SwarmMemberOptions {
  transfer: string;
  pieceCount: number;
  picker: SwarmPicker<PeerLink>;
  clock: Clock;
  /** Sends a piece that was asked for. */
  send(link: PeerLink, index: number): void;
  /** Has nothing to do with the other side any more: it served something wrong. */
  drop(link: PeerLink): void;
}

/** One side of a swarm as its links see it: what they hear becomes the picker's events, what it decides their frames. */
export class SwarmMember implements Disposable {
  readonly picker: SwarmPicker<PeerLink>;
  readonly #options: SwarmMemberOptions;
  /** Pieces that each has announced, those counted that it did before. */
  readonly #announced = new WeakMap<PeerLink, number>();
  #cancelTimer: () => void = () => {};
  /** When the timer ends that runs; Infinity without one. */
  #timerAt = Infinity;
  #isOver = false;

  constructor(options: SwarmMemberOptions) {
    this.#options = options;
    this.picker = options.picker;
  }

  /** Tells the picker what has happened, and does what it decides. */
  handle(event: SwarmEvent<PeerLink>): void {
    if (this.#isOver) return;
    const { clock, send, drop, transfer } = this.#options;
    for (const action of this.picker.handle(event, clock.now())) {
      // What an action before has led to may have ended it.
      if (this.#isOver) return;
      switch (action.type) {
        case "request":
          action.peer.session.post({ verb: "GET", transfer, index: action.index });
          break;
        case "withdraw":
          action.peer.session.post({ verb: "WITHDRAW", transfer, index: action.index });
          break;
        case "give":
          action.peer.session.post({ verb: "GIVE", transfer, index: action.index });
          send(action.peer, action.index);
          break;
        case "have":
          this.#tell(action.peer, action.pieces);
          break;
        case "send":
          send(action.peer, action.index);
          break;
        case "drop":
          drop(action.peer);
          break;
      }
    }
    this.#schedule();
  }

  /** The other side says which pieces it has. */
  onHave(peer: PeerLink, ranges: readonly Range[]): void {
    const { pieceCount, drop } = this.#options;
    const count = ranges.reduce((sum, [start, end]) => sum + end - start, 0);
    const announced = (this.#announced.get(peer) ?? 0) + count;
    this.#announced.set(peer, announced);
    // Each piece is announced once, to the sharer perhaps twice: looking at more of them is work for nothing.
    if (announced > MAX_TIMES * pieceCount) return drop(peer);
    this.handle({ type: "have", peer, pieces: indicesOf(ranges, pieceCount) });
  }

  /** Decides nothing any more. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#cancelTimer();
  }

  #tell(link: PeerLink, pieces: readonly number[]): void {
    const { transfer } = this.#options;
    const ranges = rangesOf(pieces);
    for (let at = 0; at < ranges.length; at += MAX_RANGES) {
      link.session.post({ verb: "HAVE", transfer, pieces: ranges.slice(at, at + MAX_RANGES) });
    }
  }

  /** Sees to it that a timer ends by when the picker wants one: an earlier one that runs will do. */
  #schedule(): void {
    const { clock } = this.#options;
    const { wakeAt } = this.picker;
    if (wakeAt >= this.#timerAt || this.#isOver) return;
    this.#cancelTimer();
    this.#timerAt = wakeAt;
    this.#cancelTimer = clock.after(Math.max(0, wakeAt - clock.now()), () => {
      this.#timerAt = Infinity;
      this.handle({ type: "timer" });
    });
  }
}
