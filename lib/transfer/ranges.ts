import type { Range } from "../wire/fields.ts";

/** The pieces, each named once and in any order, as the wire wants them: ascending and disjoint. */
export function rangesOf(pieces: Iterable<number>): Range[] {
  const ranges: Range[] = [];
  for (const index of [...pieces].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && last[1] === index) last[1]++;
    else ranges.push([index, index + 1]);
  }
  return ranges;
}

/** The pieces of ranges, one after another, as far as they are below `count`. */
export function* indicesOf(ranges: readonly Range[], count = Infinity): Generator<number> {
  for (const [start, end] of ranges) {
    for (let index = start; index < Math.min(end, count); index++) yield index;
  }
}
