import { assertEquals, assertRejects } from "@std/assert";
import { Opening } from "../../../lib/peer/opening.ts";
import { turn } from "../../helpers/deadline.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

Deno.test("Links that are opened together are used together, so that no greeting waits behind a file", async () => {
  const opening = new Opening(new FakeClock());
  const [slow, broken] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  const used: string[] = [];
  const use = async (link: Promise<string>) => void used.push(await opening.join(link));
  const all = [
    use(slow.promise),
    assertRejects(() => use(broken.promise)),
    use(Promise.resolve("fast")),
  ];
  await turn();
  assertEquals(used, []);
  broken.reject(new Error("refused"));
  await turn();
  assertEquals(used, []);
  slow.resolve("slow");
  await Promise.all(all);
  assertEquals(used.sort(), ["fast", "slow"]);
});

Deno.test("A link waits for the others for a moment, and alone for nobody", async () => {
  const clock = new FakeClock();
  const opening = new Opening(clock);
  assertEquals(await opening.join(Promise.resolve("alone")), "alone");
  assertEquals(clock.pending, []);
  const dead = Promise.withResolvers<string>();
  const never = opening.join(dead.promise);
  const waiting = opening.join(Promise.resolve("a"));
  clock.advance(await clock.timer((ms) => ms === 500));
  assertEquals(await waiting, "a");
  dead.resolve("late");
  assertEquals(await never, "late");
  assertEquals(clock.pending, []);
});
