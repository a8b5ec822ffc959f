import { assertEquals } from "@std/assert";
import { patientTime, restOf } from "../../../lib/net/slow_line.ts";
import { WRITES } from "../../../lib/net/write_budget.ts";

Deno.test("A greeting has a limit for all of it, and on a line that shows itself slow more for its rest", () => {
  const left = [0, 100, 2_500, 2_600, 6_000, 9_000].map((took) => restOf(10_000, took));
  assertEquals(left, [10_000, 9_900, 7_500, 10_400, 24_000, 30_000]);
});

Deno.test("Time-outs are longer while something waits for a slow line", () => {
  const queue = { queuedBytes: 1, isUnread: true, isSlow: true, dropUnread: () => {} };
  assertEquals(patientTime(1000), 1000);
  WRITES.grew(queue, 1);
  assertEquals(patientTime(1000), 4000);
  queue.isSlow = false;
  assertEquals(patientTime(1000), 1000);
  queue.queuedBytes = 0;
  WRITES.shrank(queue, 1);
  queue.isSlow = true;
  assertEquals(patientTime(1000), 1000);
});
