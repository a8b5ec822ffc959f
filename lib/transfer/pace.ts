import type { Clock } from "../async/clock.ts";
import type { Session } from "../net/session.ts";
import type { BandwidthLane } from "../async/bandwidth_limiter.ts";
import { SIGN_INTERVAL } from "./settings.ts";

/** Who waits, and for how long at most: as long as the session lives and nobody aborts. */
export interface PaceOptions {
  lane: BandwidthLane;
  session: Session;
  clock: Clock;
  signal?: AbortSignal | undefined;
}

/**
 * Waits until a piece of `bytes` may go out under the rate limit. The receiver, which asked for it, hears a
 * PING meanwhile: its time-outs are for senders that are gone, and not for those that are held back.
 *
 * @throws why the session was closed, or the signal's reason.
 */
export async function awaitTurn(
  bytes: number,
  { lane, session, clock, signal }: PaceOptions,
): Promise<void> {
  const over = new AbortController();
  let cancel = () => {};
  const signLater = () => {
    cancel = clock.after(SIGN_INTERVAL, () => {
      const { closed } = session.connection;
      if (closed) return over.abort(closed);
      session.post({ verb: "PING" });
      signLater();
    });
  };
  signLater();
  const signals = signal ? [over.signal, signal] : [over.signal];
  try {
    await lane.take(bytes, AbortSignal.any(signals));
  } finally {
    cancel();
  }
}
