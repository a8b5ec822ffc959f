/** Members who ask a tracker for more than they read. */

import { assert, assertEquals } from "@std/assert";
import { closeQuietly } from "../../lib/net/closing.ts";
import { WRITES } from "../../lib/net/write_budget.ts";
import { MemoryRegistry } from "../../lib/tracker/registry/memory_registry.ts";
import { MAX_PEERS_PER_FRAME } from "../../lib/wire/limits.ts";
import { eventually } from "../helpers/deadline.ts";
import { entryOf, epochs } from "../helpers/entries.ts";
import { permitted } from "../helpers/permissions.ts";
import { openRaw } from "../helpers/raw.ts";
import { startTracker } from "../helpers/tracker.ts";

const ASKING = 32;
/** Bytes that one of them may leave unread: what it is listened to with, and one answer more. */
const EACH = 256 * 1024 + 64 * 1024 + 1024;

permitted(
  "lists that are asked for and left unread fill no memory, and others get theirs",
  ["net"],
  async () => {
    const registry = new MemoryRegistry(epochs());
    for (let n = 1; n <= 400; n++) registry.register(entryOf(n));
    await using tracker = startTracker({ insecure: true, registry });
    const request = (seq: number) =>
      `PEERS ${JSON.stringify({ seq, since: 0, limit: MAX_PEERS_PER_FRAME })}\n`;
    const requests = new TextEncoder().encode(
      Array.from({ length: 2000 }, (_, i) => request(i + 1)).join(""),
    );
    const greedy = await Promise.all(Array.from({ length: ASKING }, async () => {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port: tracker.address.port });
      for (let at = 0; at < requests.length;) at += await conn.write(requests.subarray(at));
      return conn;
    }));
    try {
      await eventually(() => WRITES.bytes > ASKING * 256 * 1024, "all of them unread");
      await using honest = await openRaw({ ...tracker, membership: null });
      for (let n = 0; n < 100; n++) {
        const { message } = await honest.session.request({ verb: "PEERS", since: 0 });
        assertEquals(message.peers.length, 48);
        assert(WRITES.bytes < ASKING * EACH, `${WRITES.bytes} bytes wait`);
      }
      // They are slow, and that is all: whoever goes on to read is answered.
      const first = greedy[0] as Deno.Conn;
      const buffer = new Uint8Array(256 * 1024);
      for (let read = 0; read < 32 * 1024 * 1024;) read += await first.read(buffer) ?? Infinity;
    } finally {
      for (const conn of greedy) closeQuietly(conn);
    }
  },
);
