import { assertEquals, assertRejects } from "@std/assert";
import { aborted, onAbort } from "../../../lib/async/abort.ts";

Deno.test("an abort is told once, and at once when it has been", () => {
  const controller = new AbortController();
  const told: string[] = [];
  onAbort(controller.signal, () => told.push("before"));
  assertEquals(told, []);
  controller.abort();
  assertEquals(told, ["before"]);
  onAbort(controller.signal, () => told.push("after"));
  assertEquals(told, ["before", "after"]);
});

Deno.test("what was taken back, called or disposed of, is not told", () => {
  const controller = new AbortController();
  const told: string[] = [];
  const undo = onAbort(controller.signal, () => told.push("called"));
  undo();
  undo();
  {
    using _ = onAbort(controller.signal, () => told.push("disposed of"));
  }
  controller.abort();
  assertEquals(told, []);
  onAbort(controller.signal, () => told.push("late"))();
  assertEquals(told, ["late"]);
});

Deno.test("without a signal nothing is told, and taking it back does no harm", () => {
  onAbort(undefined, () => {
    throw new Error("told");
  })();
});

Deno.test("a race with an abort is lost with its reason", async () => {
  const controller = new AbortController();
  const before = aborted(controller.signal);
  const never = new Promise<void>(() => {});
  controller.abort(new Error("enough"));
  await assertRejects(() => Promise.race([never, before]), Error, "enough");
  await assertRejects(() => aborted(controller.signal), Error, "enough");
});
