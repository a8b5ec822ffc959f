import { assert, assertEquals } from "@std/assert";
import { ChangeLog } from "../../../lib/tracker/registry/change_log.ts";

function idsSince(log: ChangeLog, revision: number): string[] {
  return [...log.since(revision)].map(({ id }) => id);
}

Deno.test("the log tells the last change of each id since a revision, in order", () => {
  const log = new ChangeLog();
  for (const id of ["a", "b", "c", "a"]) log.note(id);
  assertEquals([...log.since(0)], [
    { id: "b", revision: 2 },
    { id: "c", revision: 3 },
    { id: "a", revision: 4 },
  ]);
  assertEquals([idsSince(log, 2), idsSince(log, 3), idsSince(log, 4)], [["c", "a"], ["a"], []]);
  assertEquals(idsSince(log, 99), []);
});

Deno.test("a change of no id counts, and what is forgotten is told no more", () => {
  const log = new ChangeLog();
  log.note("a");
  log.count();
  assertEquals([log.revision, idsSince(log, 1)], [2, []]);
  log.note("b");
  log.forget("a");
  assertEquals([log.revision, [...log.since(0)]], [3, [{ id: "b", revision: 3 }]]);
});

Deno.test("what is told is whole however often the ids change", () => {
  const log = new ChangeLog();
  const last = new Map<string, number>();
  for (let n = 1; n <= 5000; n++) {
    const id = `${n * n % 97}`;
    log.note(id);
    last.set(id, n);
  }
  const expected = [...last].map(([id, revision]) => ({ id, revision }))
    .sort((a, b) => a.revision - b.revision);
  assertEquals([...log.since(0)], expected);
  assertEquals([...log.since(4990)], expected.filter(({ revision }) => revision > 4990));
});

Deno.test("a few changes cost the same, whether there are a hundred ids or a hundred thousand", () => {
  const timeOf = (ids: number) => {
    const log = new ChangeLog();
    for (let n = 0; n < ids; n++) log.note(`${n}`);
    const times = Array.from({ length: 5 }, () => {
      const started = performance.now();
      for (let n = 0; n < 2000; n++) assertEquals(idsSince(log, ids - 3).length, 3);
      return performance.now() - started;
    });
    return Math.min(...times);
  };
  timeOf(100);
  const [few, many] = [timeOf(100), timeOf(100_000)];
  // A walk through all of them would take a thousand times as long.
  assert(many < 20 * few, `${many} ms instead of ${few} ms`);
});
