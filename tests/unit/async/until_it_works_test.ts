import { assertEquals, assertRejects } from "@std/assert";
import { untilItWorks } from "../../../lib/async/until_it_works.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

const mayPass = (error: unknown) => error instanceof RangeError;

Deno.test("An action is tried until it works, with growing pauses, and it is said once that it is waited for", async () => {
  const clock = new FakeClock();
  const { signal } = new AbortController();
  let tries = 0;
  let said = 0;
  const result = untilItWorks(() => {
    if (++tries < 8) throw new RangeError("not yet");
    return Promise.resolve("done");
  }, { mayPass, onWaiting: () => said++, clock, random: () => 0.5, signal });
  for (const pause of [250, 500, 1000, 2000, 2000, 2000, 2000]) {
    clock.advance(await clock.timer((ms) => ms === pause));
  }
  assertEquals([await result, tries, said], ["done", 8, 1]);
});

Deno.test("What does not pass is thrown at once, and so is the reason of a signal", async () => {
  const clock = new FakeClock();
  const over = new AbortController();
  const options = { mayPass, clock, signal: over.signal };
  await assertRejects(
    () => untilItWorks(() => Promise.reject(new TypeError()), options),
    TypeError,
  );
  const waiting = untilItWorks(() => Promise.reject(new RangeError()), options);
  await clock.timer(() => true);
  over.abort(new SyntaxError("stop"));
  await assertRejects(() => waiting, SyntaxError, "stop");
  assertEquals(clock.pending, []);
});
