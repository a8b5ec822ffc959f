import { type Clock, delay } from "./clock.ts";

/** First pause between two tries, milliseconds; it doubles. */
const FIRST_PAUSE = 250;
/** Longest pause: whatever was away must be found soon once it is there, and its return must not bring all at once. */
const LONGEST_PAUSE = 2_000;

/** How {@linkcode untilItWorks} tries. */
export interface PersistentOptions {
  /** Whether another try may do better after this failure. */
  mayPass: (error: unknown) => boolean;
  /** Hears of the first failure that may pass, and of no other. */
  onWaiting?: ((error: unknown) => void) | undefined;
  clock: Clock;
  /** First pause, milliseconds, where it is another; each next one is twice as long. */
  pause?: number | undefined;
  /** Waits for so many milliseconds, or for what makes another try worth it sooner. */
  wait?: ((ms: number) => Promise<void>) | undefined;
  /** From 0 to 1, for jitter. */
  random?: (() => number) | undefined;
  /** Ends the tries; each pause rejects with its reason. */
  signal: AbortSignal;
}

/**
 * Tries `action` until it succeeds, with growing, jittered pauses.
 *
 * @throws the first failure that will not pass, or the signal's reason.
 */
export async function untilItWorks<T>(
  action: () => Promise<T>,
  { mayPass, onWaiting, clock, random = Math.random, signal, ...options }: PersistentOptions,
): Promise<T> {
  const { wait = (ms) => delay(clock, ms, signal) } = options;
  let isFirst = true;
  for (let pause = options.pause ?? FIRST_PAUSE;; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    try {
      return await action();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!mayPass(error)) throw error;
      if (isFirst) onWaiting?.(error);
      isFirst = false;
    }
    await wait(pause * (0.5 + random()));
  }
}
