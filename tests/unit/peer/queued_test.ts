import { assertEquals } from "@std/assert";
import { type ErrorCode, P2PError } from "../../../lib/errors.ts";
import { afterFailure, isDue, type Queued, type QueueState } from "../../../lib/peer/queued.ts";

const NOW = Date.UTC(2026, 0, 1);
const HERE = "10.0.0.1:5000";
const at = (ms: number) => new Date(NOW + ms).toISOString();

function due(state: QueueState, changes: Partial<Parameters<typeof isDue>[1]> = {}): boolean {
  const entry = { state } as Queued;
  return isDue(entry, { address: HERE, own: "me", now: NOW, isBack: false, ...changes });
}

Deno.test("what a peer has begun to send only that one goes on with", () => {
  assertEquals(due({ is: "waiting" }), true);
  assertEquals(due({ is: "trying", by: "me" }), true);
  assertEquals(due({ is: "trying", by: "another" }, { isBack: true }), false);
  const paused = { is: "paused", reason: "", address: HERE, until: at(0) } as const;
  assertEquals(due({ ...paused, by: "me" }), true);
  assertEquals(due({ ...paused, by: "another" }, { isBack: true }), false);
});

Deno.test("a failure that passes waits for its time, or for the recipient to come anew", () => {
  const paused: QueueState = { is: "paused", reason: "", address: HERE, until: at(1) };
  assertEquals(due(paused), false);
  assertEquals(due(paused, { now: NOW + 1 }), true);
  assertEquals(due(paused, { isBack: true }), true);
  assertEquals(due(paused, { address: "10.0.0.1:5001" }), true);
});

Deno.test("a failure for good waits for the recipient to come anew", () => {
  const failed: QueueState = { is: "failed", reason: "", address: HERE };
  assertEquals(due(failed, { now: NOW + 1e12 }), false);
  assertEquals(due(failed, { isBack: true }), true);
  assertEquals(due(failed, { address: "10.0.0.2:5000" }), true);
});

Deno.test("pauses double up to ten minutes, and what may have got there is bound to its sender", () => {
  const after = (code: ErrorCode, tries = 1, wasReached = false) =>
    afterFailure({ tries }, {
      ...{ error: new P2PError(code, "why"), address: HERE, own: "me", wasReached, now: NOW },
    });
  const paused = { is: "paused", reason: "why", address: HERE } as const;
  assertEquals(after("peer-unreachable"), { ...paused, until: at(5_000) });
  assertEquals(after("peer-unreachable", 1, true), { ...paused, until: at(5_000), by: "me" });
  assertEquals(after("busy", 3, true), { ...paused, until: at(20_000) });
  assertEquals(after("no-space", 5000), { ...paused, until: at(600_000) });
  assertEquals(after("connection-lost"), { ...paused, until: at(5_000), by: "me" });
  assertEquals(after("timeout"), { ...paused, until: at(5_000), by: "me" });
  for (const code of ["refused", "quota", "file-not-found", "name-changed-key"] as const) {
    assertEquals(after(code), { is: "failed", reason: "why", address: HERE });
  }
});
