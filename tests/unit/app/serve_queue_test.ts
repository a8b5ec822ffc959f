import { assert, assertEquals } from "@std/assert";
import { ServeQueue } from "../../../lib/app/serve_queue.ts";
import fc from "../../helpers/fast_check.ts";

Deno.test("ServeQueue: one place, and a failure gives it to the next", () => {
  const turns = new ServeQueue({ wanted: 1, parallel: 4 });
  for (const id of ["a", "b", "a", "c"]) turns.join(id);
  assertEquals([turns.next(), turns.next()], ["a", undefined]);
  // The one that is served may say again that it is there.
  turns.join("a");
  turns.leave("b");
  turns.end("a", { complete: false });
  assertEquals([turns.next(), turns.next()], ["c", undefined]);
  turns.end("c", { complete: true });
  turns.join("d");
  assertEquals([turns.isOver, turns.complete, turns.next()], [true, 1, undefined]);
});

Deno.test("ServeQueue: without an end only so many at a time, and none after closing", () => {
  const turns = new ServeQueue({ wanted: Infinity, parallel: 2 });
  for (const id of ["a", "b", "c", "d"]) turns.join(id);
  assertEquals([turns.next(), turns.next(), turns.next()], ["a", "b", undefined]);
  turns.end("b", { complete: true });
  assertEquals([turns.next(), turns.isOver], ["c", false]);
  turns.close();
  turns.end("a", { complete: true });
  assertEquals([turns.next(), turns.complete], [undefined, 2]);
});

Deno.test("ServeQueue: whatever comes, no more are served than are wanted, and all wanted are", () => {
  const step = fc.record({
    what: fc.constantFrom("join", "leave", "fail", "complete"),
    id: fc.integer({ min: 0, max: 7 }).map(String),
  });
  const limits = fc.record({
    wanted: fc.integer({ min: 1, max: 4 }),
    parallel: fc.integer({ min: 1, max: 4 }),
  });
  fc.assert(fc.property(limits, fc.array(step, { maxLength: 60 }), (options, steps) => {
    const turns = new ServeQueue(options);
    const serving = new Set<string>();
    for (const { what, id } of steps) {
      if (what === "join") turns.join(id);
      else if (what === "leave") turns.leave(id);
      else if (serving.delete(id)) turns.end(id, { complete: what === "complete" });
      for (let next = turns.next(); next !== undefined; next = turns.next()) {
        assert(!serving.has(next));
        serving.add(next);
      }
      assert(serving.size <= options.parallel);
      assert(serving.size + turns.complete <= options.wanted);
    }
    // Everybody who comes from here on completes: there are places for as many as are still wanted.
    for (let i = 0; i < options.wanted && !turns.isOver; i++) turns.join(`late ${i}`);
    for (
      let id = [...serving][0] ?? turns.next();
      id !== undefined;
      id = [...serving][0] ?? turns.next()
    ) {
      serving.delete(id);
      turns.end(id, { complete: true });
    }
    assert(turns.isOver && turns.complete === options.wanted);
  }));
});
