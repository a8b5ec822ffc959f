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

Deno.test("a gate that is free lets in within the call, also what has no promise", async () => {
  const gate = new Gate(1);
  const order: string[] = [];
  const first = gate.run(() => void order.push("first"));
  order.push("called");
  await first;
  const thrown = gate.run(() => {
    throw new Error("no");
  });
  const last = gate.run(() => "last");
  await assertRejects(() => thrown, Error, "no");
  assertEquals([await last, order], ["last", ["first", "called"]]);
});

Deno.test("nobody overtakes those who wait when a place becomes free", async () => {
  const gate = new Gate(1);
  const order: number[] = [];
  const hold = Promise.withResolvers<void>();
  const first = gate.run(() => hold.promise);
  const second = gate.run(() => void order.push(2));
  hold.resolve();
  // The first one has just left when this one comes.
  const third = first.then(() => gate.run(() => void order.push(3)));
  await Promise.all([second, third]);
  assertEquals(order, [2, 3]);
});
