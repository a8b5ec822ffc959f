/** A peer that dials another one before the tracker has told of it. */

import { assertEquals } from "@std/assert";
import { MemoryRegistry } from "../../lib/tracker/registry/memory_registry.ts";
import { deadline } from "../helpers/deadline.ts";
import { epochs } from "../helpers/entries.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { LateRegistry } from "../helpers/late_registry.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { openRaw } from "../helpers/raw.ts";
import { bytesOf } from "../helpers/random.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];
const CONTENT = bytesOf(1000);

for (const insecure of [false, true]) {
  const how = insecure ? "without TLS" : "with TLS";
  permitted(`what a newcomer sends at once comes under its name, ${how}`, NEEDS, async () => {
    await using dir = await tempDir();
    // On a clock that stands still the tracker never pushes its list.
    await using tracker = startTracker({ insecure, clock: new FakeClock() });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await Deno.writeFile(dir.at("a.bin"), CONTENT);
    assertEquals((await anna.peer.sendFile(dir.at("a.bin"), ["bob"])).failures, []);
    assertEquals((await bob.until("file-received")).from, "anna");
    assertEquals(bob.all("peer-joined").map(({ name }) => name), ["anna"]);
  });
}

permitted("a tracker that does not answer holds a newcomer up for a second", NEEDS, async () => {
  await using dir = await tempDir();
  const registry = new LateRegistry(new MemoryRegistry(epochs()));
  await using tracker = startTracker({ registry });
  const clock = new FakeClock();
  await using bob = await startPeer(tracker, dir, { name: "bob", clock });
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  registry.before = (question) => {
    if (question !== "changes") return;
    asked.resolve();
    return answer.promise;
  };
  const { address, identity: { id } } = bob;
  await using anna = await openRaw({ address, id, membership: tracker.membership, role: "peer" });
  const pong = anna.session.request({ verb: "PING" });
  await deadline(asked.promise, "the question to the tracker");
  clock.advance(1_000);
  assertEquals((await deadline(pong, "the PONG")).message.verb, "PONG");
  answer.resolve();
});
