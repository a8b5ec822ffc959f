/** A tracker and its registry: one that takes time, one that outlives trackers. */

import { assertEquals } from "@std/assert";
import { P2PError } from "../../lib/errors.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { MemoryRegistry } from "../../lib/tracker/registry/memory_registry.ts";
import { closedPort } from "../helpers/closed_port.ts";
import { deadline, eventually, turn } from "../helpers/deadline.ts";
import { entryOf, epochs } from "../helpers/entries.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { LateRegistry, type Question } from "../helpers/late_registry.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { openRaw, type RawSession } from "../helpers/raw.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];

function raw({ address, membership }: TestTracker, identity = Identity.generate()) {
  return openRaw({ address, membership, identity, role: "peer" });
}

function register({ session }: RawSession, name = "bob") {
  return session.request({ verb: "REGISTER", name, port: closedPort() });
}

/** Who joined and left, in the order in which the application heard of it. */
function history({ events }: TestTracker): string[] {
  return events.all.flatMap((event) =>
    event.event === "joined"
      ? [`${event.entry.name} joined`]
      : event.event === "left"
      ? [`${event.entry.name} ${event.code}`]
      : []
  );
}

/** Holds back the next operation of its kind; `begun` resolves when it has come. */
function hold(registry: LateRegistry, held: Question): { begun: Promise<void>; go: () => void } {
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  registry.before = (question) => {
    if (question !== held) return;
    registry.before = () => undefined;
    begun.resolve();
    return go.promise;
  };
  return { begun: begun.promise, go: go.resolve };
}

permitted("a peer that comes back while it is being dropped stays", NEEDS, async () => {
  const registry = new LateRegistry(new MemoryRegistry(epochs()));
  await using tracker = startTracker({ registry });
  await using old = await raw(tracker);
  await register(old);
  const { begun, go } = hold(registry, "unregister");
  await old.session.close();
  await deadline(begun, "the drop of the old session");
  await using fresh = await raw(tracker, old.identity);
  const registered = register(fresh);
  // Another REGISTER takes the tracker as long, so that the one of bob has come as far as it can.
  await using other = await raw(tracker);
  await register(other, "other");
  go();
  await deadline(registered, "the OK of the new session");
  await tracker.events.until(({ event }) => event === "left");
  assertEquals(await tracker.names(), ["bob", "other"]);
  const ofBob = history(tracker).filter((line) => line.startsWith("bob"));
  assertEquals(ofBob, ["bob joined", "bob goodbye", "bob joined"]);
});

permitted("a peer that leaves while it is being registered is gone", NEEDS, async () => {
  const registry = new LateRegistry(new MemoryRegistry(epochs()));
  await using tracker = startTracker({ registry });
  await using bob = await raw(tracker);
  const { begun, go } = hold(registry, "register");
  const registered = register(bob);
  registered.catch(() => {});
  await deadline(begun, "the registration");
  bob.session.connection.close();
  go();
  await tracker.events.until(({ event }) => event === "left");
  assertEquals([await tracker.names(), history(tracker)], [[], ["bob joined", "bob lost"]]);
});

permitted("with a registry that takes time all is as with a quick one", NEEDS, async () => {
  await using dir = await tempDir();
  const registry = new LateRegistry(new MemoryRegistry(epochs()));
  await using tracker = startTracker({ registry });
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using mallory = await startPeer(tracker, dir, { name: "mallory" });
  await anna.until("peer-joined", ({ name }) => name === "mallory");
  {
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    await anna.until("peer-joined", ({ name }) => name === "bob");
    await anna.peer.ping("bob");
    assertEquals((await bob.peer.sendBroadcastMessage("hello")).delivered, 2);
    assertEquals((await anna.until("message")).text, "hello");
    assertEquals(await tracker.names(), ["anna", "bob", "mallory"]);
  }
  await anna.until("peer-left", ({ name }) => name === "bob");
  await using operator = await tracker.operator();
  await operator.remove(mallory.identity.id);
  await anna.until("peer-left", ({ name }) => name === "mallory");
  assertEquals(await tracker.names(), ["anna"]);
  const { identity } = mallory;
  await rejectsWith("barred", () => startPeer(tracker, dir, { identity }));
});

permitted("why a peer left has a code", NEEDS, async () => {
  await using tracker = startTracker();
  const codes: string[] = [];
  const leave = async (how: (peer: RawSession) => unknown) => {
    await using peer = await raw(tracker);
    await register(peer);
    const from = tracker.events.length;
    await how(peer);
    const event = await tracker.events.until(({ event }) => event === "left", { from });
    if (event.event === "left") codes.push(`${event.code}: ${event.reason}`);
  };
  await using operator = await tracker.operator();
  await leave(({ session }) => session.request({ verb: "UNREGISTER" }));
  await leave(({ session }) => session.close());
  await leave(({ identity }) => tracker.tracker.dismiss(identity.id));
  await leave(({ identity }) => operator.remove(identity.id));
  await leave(({ session }) => session.abort(new P2PError("connection-lost", "gone")));
  assertEquals(codes.slice(0, 4), [
    "unregistered: unregistered",
    "goodbye: said goodbye",
    "dismissed: dismissed",
    "removed: removed from the network",
  ]);
  assertEquals(codes.slice(4).map((text) => text.split(":")[0]), ["lost"]);
});

permitted("who is dismissed hears BYE, or why", NEEDS, async () => {
  await using tracker = startTracker();
  for (const error of [undefined, new P2PError("shutting-down", "The end")]) {
    await using peer = await raw(tracker);
    await register(peer);
    await tracker.tracker.dismiss(peer.identity.id, error);
    assertEquals((await peer.end())?.code, error?.code);
    assertEquals(await tracker.names(), []);
  }
});

permitted("what a dead tracker left goes with its lease, and members stay", NEEDS, async () => {
  const clock = new FakeClock();
  const registry = new MemoryRegistry(epochs(), { clock });
  registry.register(entryOf(1, { name: "ghost" }), { lease: 60_000 });
  await using tracker = startTracker({ registry, clock, pingAfter: 1_000_000 });
  await using bob = await raw(tracker);
  await register(bob);
  for (let seconds = 0; seconds < 60; seconds += 20) {
    assertEquals(await tracker.names(), ["bob", "ghost"]);
    clock.advance(20_000);
    await turn();
  }
  await eventually(async () => (await tracker.names()).join() === "bob", "the end of the lease");
  assertEquals(history(tracker), ["bob joined"]);
});

permitted("a member that the registry has no more is sent away to come back", NEEDS, async () => {
  const clock = new FakeClock();
  const registry = new MemoryRegistry(epochs(), { clock });
  await using tracker = startTracker({ registry, clock, pingAfter: 1_000_000 });
  await using bob = await raw(tracker);
  await register(bob);
  registry.unregister(bob.identity.id);
  clock.advance(20_000);
  assertEquals((await bob.end())?.code, "connection-lost");
  assertEquals(history(tracker), ["bob joined", "bob lost"]);
});

permitted("a tracker ends with its signal, and says goodbye", NEEDS, async () => {
  const stop = new AbortController();
  await using tracker = startTracker({ signal: stop.signal });
  await using bob = await raw(tracker);
  await register(bob);
  stop.abort();
  assertEquals(await bob.end(), null);
  await deadline(tracker.tracker.closed, "the end of the tracker");
  // It has not left: the next tracker expects it back.
  assertEquals([await tracker.names(), history(tracker)], [["bob"], ["bob joined"]]);
});
