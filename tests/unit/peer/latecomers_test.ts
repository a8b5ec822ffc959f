/** Those who come while something is being sent that is for them as well. */

import { assertEquals } from "@std/assert";
import type { Recipients } from "../../../lib/directory/target.ts";
import { P2PError } from "../../../lib/errors.ts";
import { Latecomers } from "../../../lib/peer/latecomers.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { entryOf } from "../../helpers/entries.ts";
import { turn } from "../../helpers/deadline.ts";

const LOOK = 2_000;

function missing(...targets: string[]): Recipients["missing"] {
  return targets.map((target) => ({ target, error: new P2PError("peer-unknown", target) }));
}

/** Latecomers whose looks find what was put into `found`, one after another; then the last of it. */
function scene(begun: Recipients, found: (Recipients | Error)[]) {
  const clock = new FakeClock();
  const joined: string[] = [];
  const arrived: string[] = [];
  const late = new Latecomers({
    begun,
    look: () => {
      const [first] = found.length > 1 ? [found.shift()] : found;
      return first instanceof Error ? Promise.reject(first) : Promise.resolve(first as Recipients);
    },
    onArrived: (target) => void arrived.push(target),
    join: ({ name }) => void joined.push(name),
    clock,
  });
  const look = async () => {
    clock.advance(LOOK);
    await turn();
  };
  return { clock, joined, arrived, late, look };
}

Deno.test("Who comes joins once, and those who were there from the beginning not again", async () => {
  const peers = [entryOf(1), entryOf(2), entryOf(3)];
  const { clock, joined, late, look } = scene({ peers: [entryOf(1)], missing: [] }, [
    { peers: peers.slice(0, 2), missing: [] },
    new P2PError("tracker-unreachable", "away"),
    { peers, missing: [] },
  ]);
  await look();
  assertEquals(joined, ["p2"]);
  await look();
  await look();
  await look();
  assertEquals(joined, ["p2", "p3"]);
  late[Symbol.dispose]();
  assertEquals(clock.pending, []);
});

Deno.test("Who was missing and has come is missing no longer, also when he leaves again", async () => {
  // One of them is who was there from the beginning.
  const begun = { peers: [entryOf(1)], missing: missing("p2", "x", "192.0.2.1:7000") };
  const { joined, arrived, late, look } = scene(begun, [
    { peers: [entryOf(1), entryOf(2)], missing: missing("x") },
    { peers: [], missing: missing("p2", "x", "p1") },
  ]);
  await look();
  await look();
  assertEquals([joined, late.missing.map(({ target }) => target)], [["p2"], ["x"]]);
  assertEquals(arrived, ["p2", "192.0.2.1:7000"]);
  late[Symbol.dispose]();
});

Deno.test("Nobody joins what is over, though it was looked for before", async () => {
  const { clock, joined, late, look } = scene({ peers: [], missing: [] }, [
    { peers: [entryOf(1)], missing: [] },
  ]);
  clock.advance(LOOK);
  late[Symbol.dispose]();
  await turn();
  await look();
  assertEquals([joined, clock.pending], [[], []]);
});

Deno.test("Not more join than a network may have of machines", async () => {
  const { joined, late, look } = scene({ peers: [], missing: [] }, [
    { peers: Array.from({ length: 2_000 }, (_, i) => entryOf(i)), missing: [] },
  ]);
  await look();
  await look();
  assertEquals(joined.length, 1024);
  late[Symbol.dispose]();
});
