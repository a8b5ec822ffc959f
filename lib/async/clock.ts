/**
 * Time as a dependency: whatever waits takes a {@linkcode Clock}, so that a test can turn it by hand.
 *
 * @module
 */

import { onAbort } from "./abort.ts";

/** A monotonic clock and its timers. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  now(): number;
  /** Calls `callback` once after `ms` milliseconds; the returned function takes that back. */
  after(ms: number, callback: () => void): () => void;
}

/** The machine's monotonic clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms` milliseconds, or rejects with the signal's reason as soon as it aborts. */
export function delay(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const cancel = clock.after(ms, () => {
      listening();
      resolve();
    });
    const listening = onAbort(signal, () => {
      cancel();
      reject(signal?.reason);
    });
  });
}
