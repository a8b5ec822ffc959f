import { assertEquals, assertRejects } from "@std/assert";
import { race } from "../../../lib/net/race.ts";
import { turn } from "../../helpers/deadline.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

/** A race of attempts that the test ends by hand. */
function start(count: number, signal = new AbortController().signal) {
  const clock = new FakeClock();
  const begun: { win: (value: string) => void; fail: () => void; lost: AbortSignal }[] = [];
  const late: string[] = [];
  const attempts = Array.from({ length: count }, (_, i) => (lost: AbortSignal) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    begun.push({ win: resolve, fail: () => reject(new Error(`no ${i}`)), lost });
    return promise;
  });
  const drop = (value: string) => void late.push(value);
  const won = race(attempts, { clock, signal, drop });
  return { clock, begun, late, won };
}

Deno.test("An attempt that does not answer is left to go on, and the next begins beside it", async () => {
  const { clock, begun, late, won } = start(3);
  assertEquals(begun.length, 1);
  clock.advance(249);
  assertEquals(begun.length, 1);
  clock.advance(1);
  assertEquals(begun.length, 2);
  begun[0]?.win("slow");
  assertEquals(await won, "slow");
  assertEquals(begun[1]?.lost.aborted, true);
  begun[1]?.win("late");
  await turn();
  assertEquals(late, ["late"]);
  clock.advance(10_000);
  assertEquals([begun.length, clock.pending], [2, []]);
});

Deno.test("An attempt that fails has the next begin at once", async () => {
  const { clock, begun, won } = start(3);
  begun[0]?.fail();
  await turn();
  begun[1]?.fail();
  await turn();
  assertEquals(begun.length, 3);
  begun[2]?.win("third");
  assertEquals([await won, clock.pending], ["third", []]);
});

Deno.test("A race that all lose fails with the last failure, and one that nobody runs at once", async () => {
  const { clock, begun, won } = start(2);
  clock.advance(250);
  begun[1]?.fail();
  begun[0]?.fail();
  await assertRejects(() => won, Error, "no 0");
  await assertRejects(() => start(0).won, Error, "there is no address");
});

Deno.test("A race that is called off begins no more, and drops what still comes", async () => {
  const stop = new AbortController();
  const { clock, begun, late, won } = start(2, stop.signal);
  stop.abort(new Error("over"));
  await assertRejects(() => won, Error, "over");
  assertEquals(begun[0]?.lost.aborted, true);
  begun[0]?.win("late");
  await turn();
  assertEquals([late, begun.length, clock.pending], [["late"], 1, []]);
  await assertRejects(() => start(1, stop.signal).won, Error, "over");
});
