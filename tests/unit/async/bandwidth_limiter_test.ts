import { assert, assertEquals } from "@std/assert";
import { type BandwidthLane, BandwidthLimiter } from "../../../lib/async/bandwidth_limiter.ts";
import { turn } from "../../helpers/deadline.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

const KIB = 1024;

/** Takes again and again as long as the test runs; resolves never. */
function takeAll(lane: BandwidthLane, bytes: number, onTaken: (bytes: number) => void): void {
  lane.take(bytes).then(() => {
    onTaken(bytes);
    takeAll(lane, bytes, onTaken);
  });
}

/** Lets so much time pass, in steps in which everybody who was served can ask again. */
async function pass(clock: FakeClock, ms: number, step = 10): Promise<void> {
  for (let done = 0; done < ms; done += step) {
    clock.advance(step);
    // Nothing here waits for anything but promises, and for a few of them.
    for (let i = 0; i < 10; i++) await null;
  }
}

function assertNear(actual: number, expected: number, tolerance: number): void {
  assert(Math.abs(actual - expected) <= tolerance, `${actual} and not ${expected}`);
}

function scene(rate: number): { clock: FakeClock; limiter: BandwidthLimiter } {
  const clock = new FakeClock();
  return { clock, limiter: new BandwidthLimiter({ rate, clock }) };
}

Deno.test("A rate holds over ten seconds, whatever the size of the pieces", async () => {
  for (const [rate, piece] of [[10_000, 100], [1_000_000, 262_144], [100_000, 16_384]] as const) {
    const { clock, limiter } = scene(rate);
    let taken = 0;
    takeAll(limiter.lane(), piece, (bytes) => taken += bytes);
    await pass(clock, 10_000);
    assert(taken <= 10 * rate && taken >= 10 * rate - piece - rate * 0.05, `${taken} of ${rate}`);
  }
});

Deno.test("A piece larger than the bucket passes when its time has come", async () => {
  const { clock, limiter } = scene(1000);
  let passed = false;
  limiter.lane().take(4000).then(() => passed = true);
  await pass(clock, 3990);
  assertEquals(passed, false);
  await pass(clock, 20);
  assertEquals(passed, true);
  assertEquals(clock.pending, []);
});

Deno.test("Lanes get the same, those with small pieces and those that came later too", async () => {
  const { clock, limiter } = scene(1024 * KIB);
  const taken = [0, 0, 0];
  [64 * KIB, 256 * KIB, 1024 * KIB].forEach((piece, i) =>
    takeAll(limiter.lane(), piece, () => taken[i] = (taken[i] ?? 0) + piece)
  );
  await pass(clock, 60_000);
  // Whoever was served asks again at the next step only: that is what those of small pieces lack.
  for (const bytes of taken) assertNear(bytes, 20 * 1024 * KIB, 2 * 1024 * KIB);
  let late = 0;
  const before = taken[0] ?? 0;
  takeAll(limiter.lane(), 64 * KIB, (bytes) => late += bytes);
  await pass(clock, 20_000);
  assertNear(late, (taken[0] ?? 0) - before, 2 * 64 * KIB);
});

Deno.test("Requests of one lane are granted in their order", async () => {
  const { clock, limiter } = scene(1000);
  const lane = limiter.lane();
  const order: number[] = [];
  [300, 10, 200].forEach((bytes, i) => lane.take(bytes).then(() => order.push(i)));
  await pass(clock, 310);
  assertEquals(order, [0, 1]);
  await pass(clock, 210);
  assertEquals(order, [0, 1, 2]);
});

Deno.test("After a pause no more than a tenth of a second's worth passes at once", async () => {
  const { clock, limiter } = scene(1000);
  clock.advance(3600_000);
  const lane = limiter.lane();
  let passed = 0;
  for (let i = 0; i < 200; i++) lane.take(1).then(() => passed++);
  await turn();
  assertEquals(passed, 100);
  await pass(clock, 100);
  assertEquals(passed, 200);
  assertEquals(clock.pending, []);
});

Deno.test("Who gives up leaves its share to the others, and no timer", async () => {
  const { clock, limiter } = scene(1000);
  const stop = new AbortController();
  const lane = limiter.lane();
  const given = lane.take(1000, stop.signal).then(() => "passed", (reason) => reason);
  let passed = false;
  limiter.lane().take(100).then(() => passed = true);
  await pass(clock, 190);
  stop.abort("enough");
  assertEquals(await given, "enough");
  await turn();
  assertEquals(passed, true);
  assertEquals(clock.pending, []);
  assertEquals(await lane.take(1, stop.signal).catch((reason) => reason), "enough");
  await lane.take(0);
});

Deno.test("An abort of one request leaves the others of its lane in the round", async () => {
  const { clock, limiter } = scene(1000);
  const stop = new AbortController();
  const lane = limiter.lane();
  const first = lane.take(500, stop.signal).catch((reason) => reason);
  let passed = false;
  lane.take(500).then(() => passed = true);
  stop.abort("enough");
  assertEquals(await first, "enough");
  await pass(clock, 510);
  assertEquals(passed, true);
});
