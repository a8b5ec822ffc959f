import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Acquaintances, resolveKnown } from "../../../lib/directory/absent.ts";
import { entryOf, idOf } from "../../helpers/entries.ts";
import { throwsWith } from "../../helpers/errors.ts";

/** p1 and p2 are there; p3 and p4 were; p5 is pinned alone, and p2 is pinned as `old`; p9 is the one who asks. */
const KNOWN: Acquaintances = {
  entries: [entryOf(1, { groups: ["lab"] }), entryOf(2), entryOf(9)],
  others: [entryOf(1, { groups: ["lab"] }), entryOf(2)],
  seen: [
    { id: idOf(3), name: "p3", groups: ["lab", "gpu"] },
    { id: idOf(4), name: "p4" },
    { id: idOf(1), name: "p1" },
    { id: idOf(9), name: "me" },
  ],
  pins: new Map([["p5", idOf(5)], ["old", idOf(2)], ["p4", idOf(6)]]),
  own: idOf(9),
};

function meant(...to: string[]): { there: string[]; away: [string, number][]; missing: string[] } {
  const { peers, absent, missing } = resolveKnown(to, KNOWN);
  const numberOf = (id: string) => [...Array(12).keys()].find((n) => idOf(n) === id) ?? -1;
  return {
    there: peers.map(({ name }) => name),
    away: absent.map(({ id, name }) => [name, numberOf(id)]),
    missing: missing.map(({ target }) => target),
  };
}

Deno.test("all and a group mean those who are there and those who were", () => {
  assertEquals(meant("all"), {
    there: ["p1", "p2"],
    away: [["p3", 3], ["p4", 4]],
    missing: [],
  });
  assertEquals(meant("@lab"), { there: ["p1"], away: [["p3", 3]], missing: [] });
  assertEquals(meant("@gpu"), { there: [], away: [["p3", 3]], missing: [] });
  throwsWith("peer-unknown", () => meant("@nobody"));
});

Deno.test("a name means who is there, else whom it is pinned to, else who had it last", () => {
  assertEquals(meant("p1,p3"), { there: ["p1"], away: [["p3", 3]], missing: [] });
  assertEquals(meant("P5"), { there: [], away: [["P5", 5]], missing: [] });
  // Another key had that name last.
  assertEquals(meant("p4"), { there: [], away: [["p4", 6]], missing: [] });
  // Who was renamed is there.
  assertEquals(meant("old"), { there: ["p2"], away: [], missing: [] });
});

Deno.test("an id means a peer that is known by its start, and anybody in full", () => {
  const start = (n: number) => `id:${idOf(n).slice(0, 6)}`;
  assertEquals(meant(start(3)), { there: [], away: [["p3", 3]], missing: [] });
  assertEquals(meant(`id:${idOf(11)}`), { there: [], away: [[idOf(11), 11]], missing: [] });
  throwsWith("peer-unknown", () => meant(start(11)));
  throwsWith("peer-unknown", () => meant("id:"));
});

Deno.test("nothing waits for a name that nobody has ever had, an address, or who asks", () => {
  const { message } = throwsWith("peer-unknown", () => meant("p33"));
  assertStringIncludes(message, "Cannot queue for p33: nobody of that name is there, or has ever");
  assertStringIncludes(throwsWith("peer-unknown", () => meant("lapp3")).message, "peer peers");
  throwsWith("peer-unknown", () => meant("10.9.9.9:1"));
  throwsWith("usage", () => resolveKnown(["me"], { ...KNOWN, pins: new Map([["me", idOf(9)]]) }));
  throwsWith("usage", () => meant(","));
  assertEquals(meant("p3,nobody"), { there: [], away: [["p3", 3]], missing: ["nobody"] });
});
