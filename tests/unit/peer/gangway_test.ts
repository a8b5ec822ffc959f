import { assertEquals, assertRejects } from "@std/assert";
import { Gangway } from "../../../lib/peer/gangway.ts";

Deno.test("only so many are inside at a time, and all get through in their order", async () => {
  const gangway = new Gangway(2);
  const order: number[] = [];
  let [inside, most] = [0, 0];
  await Promise.all(Array.from({ length: 10 }, (_, i) =>
    gangway.through(async () => {
      order.push(i);
      most = Math.max(most, ++inside);
      await Promise.resolve();
      inside--;
    })));
  assertEquals([order, most, gangway.isIdle], [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 2, true]);
});

Deno.test("one that fails leaves its place to the next", async () => {
  const gangway = new Gangway(1);
  const failing = gangway.through(() => Promise.reject(new Error("no")));
  const next = gangway.through(() => Promise.resolve("yes"));
  await assertRejects(() => failing, Error, "no");
  assertEquals([await next, gangway.isIdle], ["yes", true]);
});
