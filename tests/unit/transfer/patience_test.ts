import { assertEquals } from "@std/assert";
import { Patience } from "../../../lib/transfer/patience.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

function patienceOf(most: number) {
  const clock = new FakeClock();
  return { clock, patience: new Patience(most, clock) };
}

Deno.test("Patience runs down while it is the other side's turn, and then alone", () => {
  const { clock, patience } = patienceOf(10_000);
  clock.advance(60_000);
  assertEquals(patience.left, 10_000);
  patience.setTurn("theirs");
  clock.advance(4_000);
  assertEquals([patience.left, patience.spent], [6_000, 4_000]);
  patience.setTurn("theirs");
  patience.setTurn("ours");
  clock.advance(60_000);
  patience.setTurn("theirs");
  clock.advance(5_999);
  assertEquals([patience.isOver, patience.spent], [false, 9_999]);
  clock.advance(1);
  assertEquals(patience.isOver, true);
});

Deno.test("Patience comes back with what is new, a second for each KiB, and never more than there was", () => {
  const { clock, patience } = patienceOf(10_000);
  patience.setTurn("theirs");
  clock.advance(8_000);
  patience.reached(3 * 1024);
  assertEquals([patience.left, patience.spent], [5_000, 0]);
  // What it had reached before is no news, whichever session it says so on.
  patience.reached(1024);
  patience.reached(3 * 1024);
  clock.advance(1_000);
  assertEquals([patience.left, patience.spent], [4_000, 1_000]);
  patience.reached(1024 * 1024);
  assertEquals(patience.left, 10_000);
});

Deno.test("Patience for a person is given once, and is no delay", () => {
  const { clock, patience } = patienceOf(10_000);
  patience.setTurn("theirs");
  for (let n = 0; n < 3; n++) patience.allowForPerson(30_000);
  clock.advance(30_000);
  assertEquals([patience.left, patience.spent], [10_000, 0]);
  clock.advance(10_000);
  assertEquals(patience.isOver, true);
});
