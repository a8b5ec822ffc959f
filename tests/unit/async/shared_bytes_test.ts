import { assertEquals } from "@std/assert";
import { SharedBytes } from "../../../lib/async/shared_bytes.ts";

Deno.test("bytes that are too many make others wait until enough of them are gone", async () => {
  const shared = new SharedBytes(100);
  shared.add(100);
  assertEquals([shared.areTooMany, shared.room()], [false, undefined]);
  shared.add(60);
  let hasRoom = false;
  const waiting = Promise.all([shared.room(), shared.room()]).then(() => hasRoom = true);
  shared.remove(30);
  await Promise.resolve();
  assertEquals([shared.areTooMany, hasRoom], [true, false]);
  shared.remove(30);
  await waiting;
  assertEquals([shared.areTooMany, shared.room()], [false, undefined]);
});
