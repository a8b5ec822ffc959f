import { assertEquals } from "@std/assert";
import { RateMeter } from "../../../lib/transfer/rate_meter.ts";

Deno.test("What was there before is no rate", () => {
  const meter = new RateMeter();
  assertEquals(meter.update(2_000_000_000, 1_000), 0);
  assertEquals(meter.update(2_000_000_000, 1_010), 0);
  assertEquals(meter.update(2_010_000_000, 2_000), 10_000_000);
});

Deno.test("A rate follows changes, and never is negative", () => {
  const meter = new RateMeter();
  meter.update(0, 0);
  assertEquals(meter.update(1_000, 1_000), 1_000);
  assertEquals(meter.update(1_000, 3_000), 0);
  assertEquals(meter.update(500, 5_000), 0);
  assertEquals(meter.update(2_500, 7_000), 1_000);
});
