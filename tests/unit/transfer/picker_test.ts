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
