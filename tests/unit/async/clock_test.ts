import { assertEquals, assertRejects } from "@std/assert";
import { delay } from "../../../lib/async/clock.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

Deno.test("a delay ends with its time, or with the signal, whichever comes first", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const ended = delay(clock, 100, controller.signal);
  clock.advance(100);
  await ended;
  const cut = delay(clock, 100, controller.signal);
  controller.abort(new Error("enough"));
  await assertRejects(() => cut, Error, "enough");
  await assertRejects(() => delay(clock, 100, controller.signal), Error, "enough");
  assertEquals(clock.pending, []);
});
