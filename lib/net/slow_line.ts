import { BODIES } from "./body_budget.ts";
import { WRITES } from "./write_budget.ts";

/** Times a time-out where an answer may wait behind what this process sends or receives over a slow line. */
const SLOW_TIMES = 4;

/**
 * Milliseconds for the rest of a greeting whose beginning took `took`: more than is left of `limit` where that shows that
 * the line is slow, or full of what others send.
 */
export function restOf(limit: number, took: number): number {
  return took > limit / 4 ? Math.min(SLOW_TIMES * took, 3 * limit) : limit - took;
}

/** A time-out in milliseconds, longer while this process sends or receives something large over a slow line. */
export function patientTime(ms: number): number {
  return WRITES.areSlow || BODIES.areSlow ? SLOW_TIMES * ms : ms;
}
