import { assert, assertEquals } from "@std/assert";
import { limitsFor } from "../../../lib/transfer/swarm/limits.ts";
import { PieceSet } from "../../../lib/transfer/swarm/piece_set.ts";
import {
  type SwarmAction,
  type SwarmEvent,
  SwarmPicker,
} from "../../../lib/transfer/swarm/swarm_picker.ts";
import fc from "../../helpers/fast_check.ts";

const LIMITS = {
  ...limitsFor({ roundTrip: 1, rate: 1e6, pieceSize: 65_536, receivers: 4 }),
  perReceiver: 1,
};
const SHARER = "sharer";

function memberOf(pieceCount: number): SwarmPicker<string> {
  const picker = new SwarmPicker<string>({
    pieceCount,
    isSharer: false,
    limits: () => LIMITS,
    random: () => 0.5,
  });
  picker.handle({ type: "joined", peer: SHARER }, 0);
  picker.handle({ type: "known", count: pieceCount }, 0);
  return picker;
}

function sharerOf(
  pieceCount: number,
  { headPieces = 0, known = pieceCount, receivers = ["ann", "ben"] } = {},
): SwarmPicker<string> {
  const picker = new SwarmPicker<string>({
    pieceCount,
    isSharer: true,
    headPieces,
    limits: () => LIMITS,
    random: () => 0.5,
  });
  picker.handle({ type: "known", count: known }, 0);
  for (const peer of receivers) picker.handle({ type: "joined", peer }, 0);
  return picker;
}

function act(
  picker: SwarmPicker<string>,
  events: SwarmEvent<string>[],
  now = 1,
): SwarmAction<string>[] {
  return events.flatMap((event) => [...picker.handle(event, now)]);
}

const of = (type: SwarmAction<string>["type"], actions: readonly SwarmAction<string>[]) =>
  actions.filter((action) => action.type === type);

Deno.test("a member asks each neighbour for what it has announced, and tells all of them what came", () => {
  const picker = memberOf(4);
  const asked = act(picker, [
    { type: "joined", peer: "ann" },
    { type: "have", peer: "ann", pieces: [2] },
  ]);
  assertEquals(asked, [{ type: "request", peer: "ann", index: 2 }]);
  assert(picker.isOwed("ann", 2) && !picker.isOwed(SHARER, 2));
  assertEquals(act(picker, [{ type: "received", peer: "ann", index: 2 }]), [
    { type: "have", peer: "ann", pieces: [2] },
  ]);
  assert(picker.wakeAt > 1 && picker.wakeAt < 100, `the others hear soon: ${picker.wakeAt}`);
  assertEquals(act(picker, [{ type: "timer" }], picker.wakeAt), [
    { type: "have", peer: SHARER, pieces: [2] },
  ]);
});

Deno.test("a piece that is given is owed without a request, and comes from nobody else", () => {
  const picker = memberOf(2);
  assertEquals(act(picker, [{ type: "given", peer: SHARER, index: 1 }]), []);
  assert(picker.isOwed(SHARER, 1));
  const asked = act(picker, [
    { type: "joined", peer: "ann" },
    { type: "have", peer: "ann", pieces: [0, 1] },
  ]);
  assertEquals(asked, [{ type: "request", peer: "ann", index: 0 }]);
});

Deno.test("what a neighbour owed that has left is asked of another", () => {
  const picker = memberOf(1);
  act(picker, [
    { type: "joined", peer: "ann" },
    { type: "joined", peer: "ben" },
    { type: "have", peer: "ann", pieces: [0] },
    { type: "have", peer: "ben", pieces: [0] },
  ]);
  assertEquals(act(picker, [{ type: "left", peer: "ann" }]), [
    { type: "request", peer: "ben", index: 0 },
  ]);
});

Deno.test("a piece that is owed for too long is asked of a second neighbour, and taken back when it is there", () => {
  const picker = memberOf(1);
  act(picker, [
    { type: "joined", peer: "ann" },
    { type: "have", peer: "ann", pieces: [0] },
    { type: "joined", peer: "ben" },
    { type: "joined", peer: "cleo" },
    { type: "have", peer: "ben", pieces: [0] },
    { type: "have", peer: "cleo", pieces: [0] },
  ], 0);
  const again = act(picker, [{ type: "timer" }, { type: "timer" }], 3_001);
  assertEquals(of("request", again).length, 1, "and of no third one");
  const done = act(picker, [{ type: "received", peer: "ben", index: 0 }], 3_002);
  assertEquals(of("withdraw", done), [{ type: "withdraw", peer: "ann", index: 0 }]);
});

Deno.test("who serves something wrong is dropped, and not taken again", () => {
  const picker = memberOf(2);
  act(picker, [
    { type: "joined", peer: "ann" },
    { type: "have", peer: "ann", pieces: [0, 1] },
  ]);
  const dropped = act(picker, [{ type: "corrupt", peer: "ann" }]);
  assertEquals(dropped, [{ type: "drop", peer: "ann" }]);
  assertEquals(act(picker, [{ type: "joined", peer: "ann" }]), [{ type: "drop", peer: "ann" }]);
});

Deno.test("a member sends nothing that it has not, and what it has once for each request", () => {
  const picker = memberOf(2);
  act(picker, [
    { type: "joined", peer: "ann" },
    { type: "given", peer: SHARER, index: 0 },
  ]);
  assertEquals(act(picker, [{ type: "requested", peer: "ann", index: 0 }]), []);
  act(picker, [{ type: "received", peer: SHARER, index: 0 }]);
  assertEquals(of("send", act(picker, [{ type: "requested", peer: "ann", index: 0 }])), [
    { type: "send", peer: "ann", index: 0 },
  ]);
  assertEquals(act(picker, [{ type: "requested", peer: "nobody", index: 0 }]), []);
});

Deno.test("a sharer gives each piece once, in order, and then lets everybody ask", () => {
  const picker = sharerOf(3);
  const given = act(picker, [
    { type: "reached", peer: "ann", count: 3 },
    { type: "reached", peer: "ben", count: 3 },
  ]);
  assertEquals(given, [
    { type: "give", peer: "ann", index: 0 },
    { type: "give", peer: "ben", index: 1 },
  ]);
  assertEquals(of("have", given), [], "nobody may ask yet");
  const rest = act(picker, [{ type: "have", peer: "ben", pieces: [1] }], 5);
  assertEquals(of("give", rest).length, 1);
  assertEquals(of("have", rest).length, 2);
});

Deno.test("a sharer gives a piece again when all who had it are gone, and gives it to who lacks it", () => {
  const picker = sharerOf(2, { receivers: ["ann", "ben", "cleo"] });
  const reached = ["ann", "ben", "cleo"].map((peer) => ({
    type: "reached" as const,
    peer,
    count: 2,
  }));
  const given = of("give", act(picker, reached));
  assertEquals(given.length, 2);
  act(picker, [{ type: "have", peer: "ann", pieces: [0] }], 5);
  const again = act(picker, [{ type: "left", peer: "ann" }], 6);
  const [action] = of("give", again);
  assert(action?.type === "give" && action.index === 0 && action.peer !== "ann");
});

Deno.test("of a folder the table goes to everybody first, and nothing else to who lacks it", () => {
  const picker = sharerOf(4, { headPieces: 1, known: 0 });
  const first = act(picker, [
    { type: "known", count: 4 },
    { type: "reached", peer: "ann", count: 4 },
    { type: "reached", peer: "ben", count: 4 },
  ]);
  assertEquals(first, [
    { type: "have", peer: "ann", pieces: [0] },
    { type: "have", peer: "ben", pieces: [0] },
  ]);
  const served = act(picker, [
    { type: "requested", peer: "ann", index: 0 },
    { type: "requested", peer: "ben", index: 0 },
  ]);
  assertEquals(of("send", served).length, 2);
  const given = act(picker, [{ type: "have", peer: "ann", pieces: [0] }], 5);
  assert(of("give", given).every(({ type, ...rest }) => type === "give" && "peer" in rest));
  assertEquals(
    new Set(of("give", given).map((action) => "peer" in action && action.peer)),
    new Set(["ann"]),
  );
});

Deno.test("nothing is given to a receiver before it has been sent the hash", () => {
  const picker = sharerOf(2);
  assertEquals(act(picker, [{ type: "timer" }]), []);
  assertEquals(act(picker, [{ type: "reached", peer: "ben", count: 1 }]), [
    { type: "give", peer: "ben", index: 0 },
  ]);
});

Deno.test("requests of one receiver wait once each, and not more than so many", () => {
  const picker = memberOf(4096);
  act(picker, [
    { type: "kept", pieces: Array.from({ length: 4096 }, (_, index) => index) },
    { type: "joined", peer: "ann" },
  ]);
  const requests = Array.from({ length: 4096 }, (_, index) => ({
    type: "requested" as const,
    peer: "ann",
    index,
  }));
  const first = of("send", act(picker, requests)).map((action) =>
    "index" in action && action.index
  );
  assertEquals(first, Array.from({ length: LIMITS.slots }, (_, index) => index));
  assertEquals(act(picker, requests.slice(LIMITS.slots)), [], "they wait already");
  const confirmed = act(picker, [{ type: "have", peer: "ann", pieces: first as number[] }], 50);
  assertEquals(of("send", confirmed).length, LIMITS.slots);
  const all = [...first as number[], ...requests.map(({ index }) => index)];
  let served = 2 * LIMITS.slots;
  for (let now = 100;; now += 50) {
    const more = of("send", act(picker, [{ type: "have", peer: "ann", pieces: all }], now));
    // What it says to have it is not sent any more.
    if (more.length === 0) break;
    served += more.length;
  }
  assert(served <= 1024 + LIMITS.slots, `${served}`);
});

Deno.test("a piece set is a set", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 200 }),
      fc.array(fc.tuple(fc.boolean(), fc.nat(199))),
      fc.array(fc.nat(199)),
      fc.nat(199),
      (count, changes, others, start) => {
        const [set, model] = [new PieceSet(count), new Set<number>()];
        for (const [isAdded, index] of changes) {
          if (index >= count) continue;
          const isNews = isAdded ? !model.has(index) : model.has(index);
          assertEquals(isAdded ? set.add(index) : set.delete(index), isNews);
          if (isAdded) model.add(index);
          else model.delete(index);
        }
        assertEquals(set.size, model.size);
        assertEquals([...set], [...model].sort((a, b) => a - b));
        const other = new PieceSet(count);
        for (const index of others) if (index < count) other.add(index);
        const common = set.common(other, { start: start % count });
        assertEquals(new Set(common), new Set([...model].filter((index) => other.has(index))));
        assertEquals(common.length, new Set(common).size);
      },
    ),
  );
});
