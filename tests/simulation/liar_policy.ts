import type { SwarmAction, SwarmEvent } from "../../lib/transfer/swarm/swarm_picker.ts";
import type { Policy } from "./simulator.ts";

/** Says at once that it has everything, and serves whoever asks; the simulator makes wrong bytes of that. */
export class LiarPolicy implements Policy {
  readonly wakeAt = Infinity;
  readonly #pieces: number[];

  constructor(pieceCount: number) {
    this.#pieces = Array.from({ length: pieceCount }, (_, index) => index);
  }

  handle(event: SwarmEvent<number>): readonly SwarmAction<number>[] {
    if (event.type === "joined") return [{ type: "have", peer: event.peer, pieces: this.#pieces }];
    if (event.type !== "requested") return [];
    return [{ type: "send", peer: event.peer, index: event.index }];
  }
}
