import { BODIES } from "./body_budget.ts";
import { WRITES } from "./write_budget.ts";

/** Times a time-out where an answer may wait behind what this process sends or receives over a slow line. */
const SLOW_TIMES = 4;

/** A time-out in milliseconds, longer while this process sends or receives something large over a slow line. */
export function patientTime(ms: number): number {
  return WRITES.areSlow || BODIES.areSlow ? SLOW_TIMES * ms : ms;
}
