import { FakeClock } from "./fake_clock.ts";
import type { TestPeer } from "./peer.ts";

/** Longer than any pause of a sender before it tries again. */
const PAUSE = 23_000;

/**
 * A clock for a sender whose pauses take no time: each time it says that it will try again, its clock
 * goes on by one pause. Nothing else of it times out: what hangs fails the test.
 */
export class NoPauses extends FakeClock {
  /** Follows the sender until it is disposed of. */
  follow({ events }: TestPeer): Disposable {
    return events.listen(({ event }) => {
      // The pause begins in the turn in which it is announced.
      if (event === "transfer-retry") queueMicrotask(() => this.advance(PAUSE));
    });
  }
}
