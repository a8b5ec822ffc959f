/** The farthest time before and after 1970, in milliseconds, that JavaScript has a date for (ECMA-262, 21.4.1.1). */
const FARTHEST = 8.64e15;

/** Milliseconds since 1970, negative before; null where a file system tells none, or one that no date can be. */
export function timeOf(time: Date | null): number | null {
  const ms = time?.getTime() ?? NaN;
  return Number.isNaN(ms) ? null : ms;
}

/** The date of a time in milliseconds since 1970, whoever has said it: the nearest one that there is. */
export function dateOf(ms: number): Date {
  return new Date(Math.max(-FARTHEST, Math.min(FARTHEST, ms)));
}
