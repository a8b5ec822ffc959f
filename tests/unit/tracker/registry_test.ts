import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { type Changes, MemoryRegistry } from "../../../lib/tracker/registry.ts";
import { MAX_PEERS_PER_FRAME } from "../../../lib/wire/limits.ts";
import { entryOf, epochs, idOf } from "../../helpers/entries.ts";
import { throwsWith } from "../../helpers/errors.ts";

function fresh(): MemoryRegistry {
  return new MemoryRegistry(epochs());
}

/** Everything after a revision, page by page. */
function allChanges(registry: MemoryRegistry, since: number, epoch?: string): Changes[] {
  const pages = [registry.changes(since, epoch)];
  for (let last = pages[0]; last?.more; last = pages.at(-1)) {
    pages.push(registry.changes(last.revision, last.epoch));
  }
  return pages;
}

Deno.test("what is registered is listed, found and gone again", () => {
  const registry = fresh();
  const entry = entryOf(1);
  assertEquals(registry.register(entry), entry);
  assertEquals([registry.list(), registry.get(entry.id)], [[entry], entry]);
  assertEquals([registry.unregister(entry.id), registry.unregister(entry.id)], [true, false]);
  assertEquals([registry.list(), registry.get(entry.id)], [[], undefined]);
});

Deno.test("the first key keeps a name, also while it is away", () => {
  const registry = fresh();
  const ask = (n: number, name: string) => registry.register(entryOf(n, { name })).name;
  assertEquals(ask(1, "anna"), "anna");
  assertEquals(ask(2, "anna"), "anna-2");
  assertEquals(ask(3, "anna"), "anna-3");
  registry.unregister(idOf(1));
  registry.unregister(idOf(2));
  assertEquals(ask(4, "anna"), "anna-4");
  assertEquals(ask(2, "anna"), "anna-2");
  assertEquals(ask(1, "anna"), "anna");
  assertEquals(ask(5, "anna-2"), "anna-2-2");
});

Deno.test("names that may not be are refused", () => {
  const names = [
    "",
    "all",
    "ALL",
    "a b",
    "a,b",
    "a@b",
    "a:1",
    "a/b",
    "-a",
    "x".repeat(65),
    "a\u200b",
  ];
  const registry = fresh();
  for (const name of names) throwsWith("invalid", () => registry.register(entryOf(1, { name })));
  assertEquals(registry.list(), []);
});

Deno.test("names that every object has are names like any other", () => {
  const registry = fresh();
  for (const [n, name] of ["__proto__", "constructor", "toString"].entries()) {
    assertEquals(registry.register(entryOf(n, { name })).name, name);
  }
});

Deno.test("registering the same again changes nothing", () => {
  const registry = fresh();
  registry.register(entryOf(1));
  const before = registry.changes(0);
  registry.register(entryOf(1));
  assertEquals(registry.changes(0), before);
  registry.register(entryOf(1, { port: 6000 }));
  assertEquals(registry.changes(before.revision, before.epoch).peers, [entryOf(1, { port: 6000 })]);
});

Deno.test("changes are what happened since, and full for a stranger", () => {
  const registry = fresh();
  registry.register(entryOf(1));
  const { revision, epoch } = registry.changes(0);
  registry.register(entryOf(2));
  registry.unregister(idOf(1));
  const delta = registry.changes(revision, epoch);
  assertEquals([delta.full, delta.peers, delta.gone], [false, [entryOf(2)], [idOf(1)]]);
  const other = epochs()();
  for (const full of [registry.changes(0), registry.changes(99, epoch)]) {
    assertEquals([full.full, full.peers, full.gone], [true, [entryOf(2)], []]);
  }
  assertEquals(fresh().changes(3, other).full, true);
});

Deno.test("many changes come in pages that fit a frame", () => {
  const registry = fresh();
  const count = 2 * MAX_PEERS_PER_FRAME + 1;
  for (let n = 0; n < count; n++) registry.register(entryOf(n));
  const pages = allChanges(registry, 0);
  assertEquals(pages.map(({ peers }) => peers.length), [
    MAX_PEERS_PER_FRAME,
    MAX_PEERS_PER_FRAME,
    1,
  ]);
  assertEquals(pages.map(({ full }) => full), [true, false, false]);
  assertEquals(pages.flatMap(({ peers }) => peers), registry.list());
});

Deno.test("who has left is forgotten in the end, and everybody asks anew", () => {
  const registry = fresh();
  const { epoch } = registry.changes(0);
  registry.register(entryOf(0, { name: "stays" }));
  for (let n = 1; n <= 10_001; n++) {
    registry.register(entryOf(n, { name: "x" + n }));
    registry.unregister(idOf(n));
  }
  const after = registry.changes(5, epoch);
  assertNotEquals(after.epoch, epoch);
  assert(after.full);
  assertEquals(after.peers.map(({ name }) => name), ["stays"]);
  assertEquals(registry.register(entryOf(9, { name: "stays" })).name, "stays-2");
  assertEquals(registry.register(entryOf(20_000, { name: "x7" })).name, "x7");
});

Deno.test("a key cannot take ever more names", () => {
  const registry = fresh();
  for (let n = 0; n < 1000; n++) registry.register(entryOf(1, { name: `grab-${n}` }));
  const free = Array.from({ length: 1000 }, (_, n) => `grab-${n}`).filter((name, n) =>
    registry.register(entryOf(2 + n, { name })).name === name
  );
  assert(free.length >= 900, `${free.length} are free`);
});
