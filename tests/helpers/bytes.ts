import { assert, assertEquals } from "@std/assert";
import { hexHash } from "./invariants.ts";

/** Whether two contents are the same; a difference is told by length and hash, not byte by byte. */
export function assertSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  assertEquals([actual.length, hexHash(actual)], [expected.length, hexHash(expected)]);
}

/** Whether two views share their memory, or do not. */
export function assertShared(a: Uint8Array, b: Uint8Array | undefined, shared: boolean): void {
  assert((a.buffer === b?.buffer) === shared, shared ? "two copies" : "one memory");
}
