import { assertEquals } from "@std/assert";
import { MemoryBudget } from "../../../lib/async/memory_budget.ts";

Deno.test("A budget is split evenly among those who are there", () => {
  const budget = new MemoryBudget(120);
  const first = budget.join();
  assertEquals(first.bytes, 120);
  const others = [budget.join(), budget.join()];
  assertEquals([first.bytes, ...others.map(({ bytes }) => bytes)], [40, 40, 40]);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  assertEquals(others[0]?.bytes, 60);
});
