import { assertEquals } from "@std/assert";
import { PiecePicker } from "../../../lib/transfer/picker.ts";
import { SourceRequests, windowPieces } from "../../../lib/transfer/source_requests.ts";
import type { BandwidthLane } from "../../../lib/async/bandwidth_limiter.ts";
import { turn } from "../../helpers/deadline.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

const MIB = 1024 * 1024;
const SOURCE = {};

/** A rate limit that lets a request pass when it is told to. */
class LaneByHand implements BandwidthLane {
  readonly #waiting: (() => void)[] = [];

  take(bytes: number, signal: AbortSignal): Promise<void> {
    assertEquals(bytes, MIB);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    return promise;
  }

  async passOne(): Promise<void> {
    this.#waiting.shift()?.();
    await turn();
  }
}

/** Requests for 100 pieces of 1 MiB, with memory for 4 of them. */
function scene(lane?: BandwidthLane) {
  const clock = new FakeClock();
  const picker = new PiecePicker();
  const asked: number[] = [];
  const share = { bytes: 4 * MIB, isFar: false };
  const requests = new SourceRequests({
    picker,
    source: SOURCE,
    lengthOf: () => MIB,
    window: () =>
      windowPieces(share.bytes, MIB, { unwritten: picker.unwrittenCount, isFar: share.isFar }),
    lane,
    clock,
    get: (index) => void asked.push(index),
  });
  picker.grow(100);
  return { clock, picker, share, requests, asked };
}

Deno.test("as many pieces are asked for as there is memory for, 8 MiB at most, or 32 from far away", () => {
  const { picker, share, requests, asked } = scene();
  requests.fill();
  assertEquals(asked, [0, 1, 2, 3]);
  picker.verified(1);
  requests.fill();
  assertEquals(asked, [0, 1, 2, 3, 4]);
  share.bytes = 100 * MIB;
  requests.fill();
  assertEquals(picker.askedCount, 8);
  share.isFar = true;
  requests.fill();
  assertEquals(picker.askedCount, 32);
});

Deno.test("of the smallest pieces fewer are asked for than a source takes at a time", () => {
  for (const isFar of [false, true]) {
    assertEquals(windowPieces(100 * MIB, 16 * 1024, { unwritten: 0, isFar }), 512);
  }
});

Deno.test("while the disk is behind no more is asked for than 8 MiB, less what waits", () => {
  const windows = (isFar: boolean) =>
    [0, 2, 3, 5, 20].map((unwritten) => windowPieces(100 * MIB, MIB, { unwritten, isFar }));
  assertEquals(windows(true), [32, 32, 7, 5, -10]);
  assertEquals(windows(false), [8, 8, 7, 5, -10]);
});

Deno.test("two pieces are asked for however little memory there is", () => {
  const { share, requests, asked } = scene();
  share.bytes = 1;
  requests.fill();
  assertEquals(asked, [0, 1]);
});

Deno.test("after a lost session the same pieces are asked for again", () => {
  const { picker, requests, asked } = scene();
  requests.fill();
  picker.verified(2);
  picker.stored(2);
  requests.forget();
  assertEquals(picker.askedCount, 0);
  requests.fill();
  assertEquals(asked, [0, 1, 2, 3, 0, 1, 3, 4]);
});

Deno.test("a sender that owes a piece has two minutes to say something", () => {
  const { clock, requests } = scene();
  requests.fill();
  clock.advance(120_000);
  assertEquals(requests.isOverdue(0), false);
  clock.advance(1);
  assertEquals(requests.isOverdue(0), true);
  assertEquals(requests.isOverdue(clock.now() - 120_000), false);
  requests.progressed();
  assertEquals(requests.isOverdue(0), false);
});

Deno.test("words alone are no piece: they help for 20 minutes", () => {
  const { clock, requests } = scene();
  requests.fill();
  clock.advance(20 * 60_000);
  assertEquals(requests.isOverdue(clock.now()), false);
  clock.advance(1);
  assertEquals(requests.isOverdue(clock.now()), true);
});

Deno.test("pieces are asked for when the rate limit lets them pass", async () => {
  const lane = new LaneByHand();
  const { requests, asked } = scene(lane);
  requests.fill();
  assertEquals(asked, []);
  await lane.passOne();
  await lane.passOne();
  assertEquals(asked, [0, 1]);
  requests.stop();
});

Deno.test("a sender owes nothing while all pieces are held back", async () => {
  const lane = new LaneByHand();
  const { clock, picker, requests, asked } = scene(lane);
  requests.fill();
  for (let minute = 0; minute < 30; minute++) {
    clock.advance(60_000);
    assertEquals(requests.isOverdue(0), false);
  }
  await lane.passOne();
  clock.advance(120_000);
  assertEquals(requests.isOverdue(0), false);
  // Its time begins anew when it is asked for one more.
  await lane.passOne();
  clock.advance(120_000);
  assertEquals(requests.isOverdue(0), false);
  clock.advance(1);
  assertEquals([requests.isOverdue(0), asked], [true, [0, 1]]);
  for (const index of asked) picker.verified(index);
  assertEquals(requests.isOverdue(0), false);
  requests.stop();
});

Deno.test("a sender owes nothing while all that came waits for the disk, however long that takes", () => {
  const { clock, picker, requests } = scene();
  requests.fill();
  for (const index of [0, 1, 2, 3]) picker.verified(index);
  for (let minute = 0; minute < 30; minute++) {
    clock.advance(60_000);
    assertEquals([requests.isOwed, requests.isOverdue(0)], [false, false]);
  }
  picker.stored(0);
  requests.fill();
  // Its time begins anew with the next piece that it is asked for.
  assertEquals([picker.askedCount > 0, requests.isOwed], [true, true]);
  clock.advance(120_000);
  assertEquals(requests.isOverdue(0), false);
  clock.advance(1);
  assertEquals(requests.isOverdue(0), true);
});

Deno.test("what was held back when the session was lost is held back anew", async () => {
  const lane = new LaneByHand();
  const { picker, requests, asked } = scene(lane);
  requests.fill();
  requests.forget();
  for (let i = 0; i < 4; i++) await lane.passOne();
  assertEquals([picker.askedCount, asked], [0, []]);
  requests.fill();
  await lane.passOne();
  assertEquals(asked, [0]);
  requests.stop();
  await lane.passOne();
  assertEquals(asked, [0]);
});

Deno.test("while the disk is more than two pieces behind fewer are asked for, and none in the end", () => {
  const { picker, requests, asked } = scene();
  requests.fill();
  for (const index of [0, 1, 2, 3, 4, 5]) {
    picker.verified(index);
    requests.fill();
  }
  // Four of memory: two may wait to be written beside them, and those that wait for longer count.
  assertEquals([picker.unwrittenCount, picker.askedCount, asked.length], [6, 0, 6]);
  picker.stored(0);
  requests.fill();
  assertEquals(asked, [0, 1, 2, 3, 4, 5, 6]);
});
