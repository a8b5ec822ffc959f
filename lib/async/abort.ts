/** Takes something back, when it is called or disposed of; more than once does no harm. */
export type Undo = (() => void) & Disposable;

/**
 * Calls `action` once when the signal aborts, or at once when it has aborted before. What waits for something else as
 * well takes the listener back when that came: a signal that lives as long as the program must not collect listeners.
 *
 * @returns takes the listener back.
 */
export function onAbort(signal: AbortSignal | undefined, action: () => void): Undo {
  if (signal?.aborted) {
    action();
    return undo(() => {});
  }
  signal?.addEventListener("abort", action, { once: true });
  return undo(() => signal?.removeEventListener("abort", action));
}

/** Resolves when the signal aborts, for a wait. Its listener stays until then, as that of {@linkcode aborted}. */
export function untilAborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => void onAbort(signal, resolve));
}

/**
 * Rejects with the signal's reason when it aborts, for a race. Its listener stays until then, so the signal should be
 * one that ends with what is raced; {@linkcode onAbort} is for the others.
 */
export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => void onAbort(signal, () => reject(signal.reason)));
}

function undo(action: () => void): Undo {
  return Object.assign(action, { [Symbol.dispose]: action });
}
