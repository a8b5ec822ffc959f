import { assertEquals } from "@std/assert";
import { RequestBuckets, RequestLimits } from "../../../lib/net/request_buckets.ts";
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

Deno.test("keys are free: an address has a limit of its own, and so have all together", () => {
  const clock = new FakeClock();
  const limits = new RequestLimits({
    key: { rate: 1, burst: 3 },
    address: { rate: 1, burst: 10 },
    all: { rate: 1, burst: 25 },
    clock,
  });
  const take = (host: string, keys: number) =>
    Array.from({ length: 9 * keys }, (_, i) => limits.take(`${host} ${i % keys}`, host))
      .filter((taken) => taken).length;
  assertEquals(take("10.0.0.1", 1), 3);
  assertEquals(take("10.0.0.1", 100), 7);
  // A /64 of IPv6 is one customer's.
  assertEquals(take("2001:db8::1", 100), 10);
  assertEquals(take("2001:db8::2", 100), 0);
  assertEquals(take("10.0.0.2", 100), 5);
  assertEquals(take("10.0.0.3", 100), 0);
});

Deno.test("a request that is refused uses up nothing", () => {
  const many = { rate: 1, burst: 100 };
  const limits = new RequestLimits({
    key: { rate: 1, burst: 1 },
    address: many,
    all: many,
    clock: new FakeClock(),
  });
  for (let i = 0; i < 1000; i++) limits.take("greedy", "10.0.0.1");
  for (let i = 0; i < 99; i++) assertEquals(limits.take(`other-${i}`, "10.0.0.1"), true);
});
