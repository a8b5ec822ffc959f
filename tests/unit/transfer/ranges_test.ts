import { assertEquals } from "@std/assert";
import { rangesOf } from "../../../lib/transfer/ranges.ts";

Deno.test("pieces in any order make ascending ranges with gaps between them", () => {
  assertEquals(rangesOf([]), []);
  assertEquals(rangesOf([3]), [[3, 4]]);
  assertEquals(rangesOf([0, 1, 2]), [[0, 3]]);
  assertEquals(rangesOf(new Set([10, 4, 9, 2, 3])), [[2, 5], [9, 11]]);
});
