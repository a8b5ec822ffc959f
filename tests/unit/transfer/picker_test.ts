import { assertEquals } from "@std/assert";
import { PiecePicker } from "../../../lib/transfer/picker.ts";

function takeAll(picker: PiecePicker): number[] {
  const taken: number[] = [];
  for (let index = picker.take(); index !== undefined; index = picker.take()) taken.push(index);
  return taken;
}

Deno.test("pieces are asked for in order, as they become known, once", () => {
  const picker = new PiecePicker();
  assertEquals(picker.take(), undefined);
  picker.grow(2);
  assertEquals(takeAll(picker), [0, 1]);
  picker.grow(1);
  picker.grow(4);
  assertEquals(takeAll(picker), [2, 3]);
  assertEquals(picker.askedCount, 4);
});

Deno.test("a wrong piece is asked for again, before new ones", () => {
  const picker = new PiecePicker();
  picker.grow(3);
  assertEquals([picker.take(), picker.take()], [0, 1]);
  picker.failed(1);
  picker.failed(2);
  assertEquals([picker.isAsked(1), picker.isVerified(1)], [false, false]);
  assertEquals(takeAll(picker), [1, 2]);
});

Deno.test("what was asked is asked again after a lost connection, what is verified is not", () => {
  const picker = new PiecePicker();
  picker.grow(5);
  takeAll(picker);
  picker.verified(1);
  picker.verified(3);
  picker.forgetAsked();
  assertEquals(picker.askedCount, 0);
  assertEquals(takeAll(picker), [0, 2, 4]);
});

Deno.test("verified pieces are told as ranges", () => {
  const picker = new PiecePicker();
  assertEquals(picker.ranges(), []);
  picker.grow(10);
  takeAll(picker);
  for (const index of [7, 0, 5, 1, 4]) picker.verified(index);
  assertEquals(picker.ranges(), [[0, 2], [4, 6], [7, 8]]);
  for (const index of [3, 2]) picker.verified(index);
  assertEquals(picker.ranges(), [[0, 6], [7, 8]]);
  assertEquals(picker.verifiedCount, 7);
});

Deno.test("a verified piece that is lost is asked for again, wherever it stands", () => {
  const picker = new PiecePicker();
  picker.grow(6);
  takeAll(picker);
  for (const index of [0, 1, 2, 4]) picker.verified(index);
  picker.stored(1);
  // Inside of what is there without a gap, beyond it, and of one that was never there.
  for (const index of [1, 4, 5]) picker.lost(index);
  assertEquals(picker.ranges(), [[0, 1], [2, 3]]);
  assertEquals([picker.isStored(1), picker.isVerified(4), picker.unwrittenCount], [
    false,
    false,
    2,
  ]);
  assertEquals([picker.hasAllBelow(1), picker.hasAllBelow(2)], [true, false]);
  assertEquals(takeAll(picker), [1, 4]);
  assertEquals([picker.isAsked(3), picker.isAsked(5)], [true, true]);
});

Deno.test("what an earlier run left is stored, and lost before it was passed it comes in its turn", () => {
  const picker = new PiecePicker();
  for (const index of [0, 1, 3]) picker.adopt(index);
  picker.grow(4);
  assertEquals([picker.isStored(3), picker.unwrittenCount], [true, 0]);
  picker.lost(3);
  assertEquals(takeAll(picker), [2, 3]);
});

Deno.test("pieces are asked of several sources, each once, and one that leaves gives back its own", () => {
  const picker = new PiecePicker();
  const [anna, bob] = [{}, {}];
  picker.grow(4);
  assertEquals([picker.take(anna), picker.take(bob), picker.take(anna)], [0, 1, 2]);
  assertEquals([picker.askedOf(anna), picker.askedOf(bob)], [2, 1]);
  assertEquals([picker.isAsked(1, anna), picker.isAsked(1, bob)], [false, true]);
  picker.forgetAsked(anna);
  assertEquals([picker.askedOf(anna), picker.askedCount], [0, 1]);
  assertEquals([picker.take(bob), picker.take(bob), picker.take(bob)], [0, 2, 3]);
});
