import { assertEquals } from "@std/assert";
import { LargeTurns } from "../../../lib/transfer/large_turns.ts";

Deno.test("eight have their turn at once, and the others in the order in which they came", () => {
  const turns = new LargeTurns();
  const all = Array.from({ length: 12 }, (_, number) => ({ number }));
  const woken: number[] = [];
  const take = (who: { number: number }) => turns.take(who, () => void woken.push(who.number));
  assertEquals(all.map(take), all.map(({ number }) => number < 8));
  assertEquals(all.map((who) => turns.isWaiting(who)), all.map(({ number }) => number >= 8));
  // Who has it keeps it, and nobody waits twice.
  assertEquals([0, 8].map((i) => take(all[i] ?? { number: i })), [true, false]);
  turns.end(all[9] ?? {});
  turns.end(all[0] ?? {});
  turns.end(all[1] ?? {});
  assertEquals([woken, turns.isWanted], [[8, 10], true]);
  assertEquals(take(all[0] ?? { number: 0 }), false);
  for (const who of all) turns.end(who);
  assertEquals([woken, turns.isWanted], [[8, 10, 11], false]);
});
