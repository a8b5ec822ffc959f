/** When a sender says that the others can do without it. */

import { assertEquals } from "@std/assert";
import { SpreadNotice } from "../../../lib/peer/spread_notice.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

Deno.test("It is said once it has lasted, and at once when it is no longer so", () => {
  const clock = new FakeClock();
  const said: boolean[] = [];
  {
    using notice = new SpreadNotice(clock, (spread) => void said.push(spread));
    notice.update(true);
    clock.advance(249);
    // Somebody has gone: nothing had been said.
    notice.update(false);
    clock.advance(1_000);
    assertEquals(said, []);
    notice.update(true);
    clock.advance(250);
    notice.update(true);
    clock.advance(1_000);
    assertEquals(said, [true]);
    notice.update(false);
    notice.update(false);
    assertEquals(said, [true, false]);
    notice.update(true);
  }
  clock.advance(1_000);
  assertEquals([said, clock.pending], [[true, false], []]);
});
