import { assertEquals } from "@std/assert";
import { RequestBuckets } from "../../../lib/net/request_buckets.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

function taken(limit: RequestBuckets, key: string, times: number): number {
  let allowed = 0;
  for (let i = 0; i < times; i++) if (limit.take(key)) allowed++;
  return allowed;
}

Deno.test("a burst is allowed, then so many a second", () => {
  const clock = new FakeClock();
  const limit = new RequestBuckets({ rate: 2, burst: 20, clock });
  assertEquals(taken(limit, "a", 100), 20);
  clock.advance(499);
  assertEquals(taken(limit, "a", 10), 0);
  clock.advance(1);
  assertEquals(taken(limit, "a", 10), 1);
  clock.advance(3_600_000);
  assertEquals(taken(limit, "a", 100), 20);
});

Deno.test("each key has its own allowance", () => {
  const limit = new RequestBuckets({ rate: 1, burst: 3, clock: new FakeClock() });
  assertEquals([taken(limit, "a", 9), taken(limit, "b", 9)], [3, 3]);
});

Deno.test("nobody who still has to wait is forgotten, however many others come", () => {
  const clock = new FakeClock();
  const limit = new RequestBuckets({ rate: 0.1, burst: 3, clock });
  taken(limit, "a", 3);
  for (let n = 0; n < 3000; n++) {
    limit.take(`other-${n}`);
    clock.advance(1);
  }
  assertEquals(taken(limit, "a", 9), 0);
  clock.advance(7_000);
  assertEquals(taken(limit, "a", 9), 1);
});
