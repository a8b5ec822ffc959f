import { onAbort } from "../async/abort.ts";
import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";

/** Milliseconds after which the next address is dialled too: RFC 8305, 8. */
export const STAGGER = 250;

/** What {@linkcode race} needs beside the attempts. */
export interface RaceOptions<T> {
  clock: Clock;
  /** Ends the attempts that are under way, and begins no more. */
  signal: AbortSignal;
  /** Takes what comes of an attempt after another one has won, or the signal has aborted. */
  drop: (late: T) => void;
}

/**
 * Makes attempts to reach one and the same, each `STAGGER` after the one before it, or at once when that has failed (RFC
 * 8305, 5); resolves with what the first to succeed gives. The signals of the others abort then.
 *
 * @throws {P2PError} the last failure when all fail; the signal's reason.
 */
export function race<T>(
  attempts: readonly ((signal: AbortSignal) => Promise<T>)[],
  { clock, signal, drop }: RaceOptions<T>,
): Promise<T> {
  const stop = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let left = attempts.length;
  let next = 0;
  let cancel = () => {};
  let undo = () => {};
  const begin = () => {
    cancel();
    const attempt = attempts[next++];
    if (attempt === undefined || stop.signal.aborted) return;
    if (next < attempts.length) cancel = clock.after(STAGGER, begin);
    attempt(stop.signal).then(win, fail);
  };
  const win = (value: T) => {
    if (stop.signal.aborted) return drop(value);
    resolve(value);
    end(new P2PError("interrupted", "Another way was faster"));
  };
  const fail = (error: unknown) => {
    if (--left === 0) end(error);
    else begin();
  };
  const end = (reason: unknown) => {
    undo();
    cancel();
    reject(reason);
    stop.abort(reason);
  };
  undo = onAbort(signal, () => end(signal.reason));
  if (left === 0) end(new P2PError("peer-unreachable", "Cannot dial: there is no address"));
  else begin();
  return promise;
}
