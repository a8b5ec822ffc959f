/** The registry against a plain map, and a peer's list that follows it in pages. */

import { assert, assertEquals } from "@std/assert";
import { PeerList } from "../../lib/directory/peer_list.ts";
import { MemoryRegistry } from "../../lib/tracker/registry/memory_registry.ts";
import type { PeerEntry } from "../../lib/wire/message.ts";
import { entryOf, epochs, idOf } from "../helpers/entries.ts";
import fc from "../helpers/fast_check.ts";
import { newSeed } from "../helpers/random.ts";

/** Set it to the number of a failed run to see it again. */
const SEED: number | undefined = undefined;
const seed = newSeed("tests/property/registry_test.ts", SEED);

const NAMES = ["anna", "bob", "anna-2", "bob-2"];

class World {
  readonly registry: MemoryRegistry;
  readonly model = new Map<string, PeerEntry>();
  /** Who first got a name, for ever: the runs are too short for it to be forgotten. */
  readonly owners = new Map<string, string>();
  readonly list: PeerList;

  constructor({ list = new PeerList(), epoch = 0 } = {}) {
    this.list = list;
    this.registry = new MemoryRegistry(epochs(epoch));
  }

  register(n: number, name: string, port: number): void {
    const entry = entryOf(n, { name, port });
    const listed = this.registry.register(entry).entry;
    assertEquals({ ...listed, name }, entry);
    assert(listed.name === name || listed.name.startsWith(`${name}-`));
    const owner = this.owners.get(listed.name) ?? entry.id;
    assertEquals(owner, entry.id, "two keys have one name");
    if (listed.name !== name) assert(this.owners.get(name) !== entry.id, "its own name is refused");
    this.owners.set(listed.name, entry.id);
    this.model.set(entry.id, listed);
  }

  unregister(n: number): void {
    assertEquals(this.registry.unregister(idOf(n)), this.model.delete(idOf(n)));
  }

  /** One request of a peer for what changed. */
  fetch(limit?: number): boolean {
    const { since, epoch } = this.list.position;
    const changes = this.registry.changes(since, epoch, limit);
    this.list.apply({ verb: "PEER_LIST", ...changes, barred: [] });
    return changes.more;
  }

  check(): void {
    const byId = (a: PeerEntry, b: PeerEntry) => a.id < b.id ? -1 : 1;
    const expected = [...this.model.values()].sort(byId);
    assertEquals([...this.registry.list()].sort(byId), expected);
    for (const entry of expected) assertEquals(this.registry.get(entry.id), entry);
  }

  converges(): void {
    while (this.fetch());
    const byId = (a: PeerEntry, b: PeerEntry) => a.id < b.id ? -1 : 1;
    assertEquals([...this.list.entries].sort(byId), [...this.registry.list()].sort(byId));
  }
}

type Step = (world: World) => void;

/** The larger the world, the rarer a list is fetched: so there is more than one page to fetch. */
function steps(peers: number): fc.Arbitrary<Step> {
  const n = fc.nat({ max: peers - 1 });
  return fc.oneof(
    {
      weight: peers,
      arbitrary: fc.tuple(n, fc.constantFrom(...NAMES), fc.integer({ min: 1, max: 2 }))
        .map(([n, name, port]): Step => (world) => world.register(n, name, port)),
    },
    { weight: Math.ceil(peers / 3), arbitrary: n.map((n): Step => (world) => world.unregister(n)) },
    { weight: 1, arbitrary: fc.constant<Step>((world) => void world.fetch()) },
    {
      weight: 1,
      arbitrary: fc.integer({ min: 1, max: 60 })
        .map((limit): Step => (world) => void world.fetch(limit)),
    },
  );
}

for (const [peers, length] of [[5, 60], [150, 400]] as const) {
  Deno.test(`registry: ${peers} peers come and go as in the model, and a list follows`, () => {
    fc.assert(
      fc.property(fc.array(steps(peers), { maxLength: length, size: "max" }), (run) => {
        const world = new World();
        for (const step of run) {
          step(world);
          if (peers < 10) world.check();
        }
        world.check();
        world.converges();
      }),
      { seed, numRuns: 60 },
    );
  });
}

Deno.test("registry: a list follows from one tracker to the next", () => {
  fc.assert(
    fc.property(
      fc.array(steps(100), { maxLength: 200, size: "max" }),
      fc.array(steps(100), { maxLength: 200, size: "max" }),
      (before, after) => {
        const first = new World();
        for (const step of before) step(first);
        const second = new World({ list: first.list, epoch: 100 });
        for (const step of after) step(second);
        second.converges();
      },
    ),
    { seed, numRuns: 40 },
  );
});
