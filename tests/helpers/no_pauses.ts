import { FakeClock } from "./fake_clock.ts";
import type { TestPeer } from "./peer.ts";

/** The longest that the first pause of a sender before it tries again may be, milliseconds; the next is twice as long. */
const FIRST_PAUSE = 750;
/** The longest of all. */
const LONGEST_PAUSE = 22_500;

/**
 * A clock for a sender whose pauses take no time: each time it says that it will try again, its clock
 * goes on by one pause. Nothing else of it times out: what hangs fails the test.
 */
export class NoPauses extends FakeClock {
  /** Follows the sender until it is disposed of. */
  follow({ events }: TestPeer): Disposable {
    return events.listen((event) => {
      if (event.event !== "transfer-retry") return;
      const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (event.attempt - 1));
      // The pause begins in the turn in which it is announced.
      queueMicrotask(() => this.advance(pause));
    });
  }
}
