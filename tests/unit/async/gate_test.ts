import { assertEquals, assertRejects } from "@std/assert";
import { Gate, KeyedGate } from "../../../lib/async/gate.ts";

Deno.test("only so many are inside at a time, and all get through in their order", async () => {
  const gate = new Gate(2);
  const order: number[] = [];
  let [inside, most] = [0, 0];
  await Promise.all(Array.from({ length: 10 }, (_, i) =>
    gate.run(async () => {
      order.push(i);
      most = Math.max(most, ++inside);
      await Promise.resolve();
      inside--;
    })));
  assertEquals([order, most, inside], [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 2, 0]);
});

Deno.test("one that fails leaves its place to the next", async () => {
  const gate = new Gate(1);
  const failing = gate.run(() => Promise.reject(new Error("no")));
  const next = gate.run(() => Promise.resolve("yes"));
  await assertRejects(() => failing, Error, "no");
  assertEquals(await next, "yes");
});

Deno.test("what waits for one key delays no other, and nothing is kept of a key", async () => {
  const gates = new KeyedGate(1);
  const stuck = Promise.withResolvers<string>();
  const first = gates.run("a", () => stuck.promise);
  const second = gates.run("a", () => Promise.resolve("second"));
  assertEquals(await gates.run("b", () => Promise.resolve("other")), "other");
  assertEquals(gates.size, 1);
  stuck.resolve("first");
  assertEquals(await Promise.all([first, second]), ["first", "second"]);
  assertEquals(gates.size, 0);
});
