import { setImmediate } from "node:timers";

/**
 * Lets everything that is ready have its turn of the event loop: for work that is cheaper when it is
 * synchronous, and long. About 15 us, where a timer takes 2 ms.
 */
export function takeTurns(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
