/** Who is there: registering, listing, joining, leaving. */

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { formatAddress } from "../../lib/address.ts";
import { P2PError } from "../../lib/errors.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { MAX_PEERS_PER_FRAME } from "../../lib/wire/limits.ts";
import { deadline } from "../helpers/deadline.ts";
import { entryOf, epochs, idOf } from "../helpers/entries.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { openRaw, type RawSession } from "../helpers/raw.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";
import { MemoryRegistry } from "../../lib/tracker/registry/memory_registry.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];

function raw(tracker: TestTracker, identity: Identity, role: "peer" | "client" = "peer") {
  const { address, membership } = tracker;
  return openRaw({ address, membership, identity, role });
}

function register(session: RawSession, port: number, name = "raw") {
  return session.session.request({ verb: "REGISTER", name, port });
}

for (const insecure of [false, true]) {
  const how = insecure ? "without TLS" : "with TLS";
  permitted(`peers see each other come and go, ${how}`, NEEDS, async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ insecure });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    {
      await using bob = await startPeer(tracker, dir, { name: "bob" });
      const joined = await anna.until("peer-joined", ({ name }) => name === "bob");
      assertEquals(joined.id, bob.identity.id);
      assertEquals(joined.address, `127.0.0.1:${bob.address.port}`);
      assertEquals((await bob.until("registered")).reachable, true);
      assertEquals(await tracker.names(), ["anna", "bob"]);
      const listed = await bob.peer.updatePeersList();
      assertEquals(listed.map(({ name }) => name), ["anna"]);
    }
    const left = await anna.until("peer-left");
    assertEquals(left.name, "bob");
    assertEquals(await anna.peer.updatePeersList(), []);
    assertEquals(anna.peer.knownPeers, []);
  });

  permitted(`two peers ping each other, ${how}`, NEEDS, async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ insecure });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    await anna.peer.ping("bob");
    await bob.peer.ping(`127.0.0.1:${anna.address.port}`);
    await bob.peer.ping(`id:${anna.identity.id.slice(0, 10)}`);
    assertEquals((await anna.until("pong")).peer, "bob");
    const error = await rejectsWith("peer-unknown", () => bob.peer.ping("carl"));
    assertStringIncludes(error.candidates.join(), "anna");
  });
}

permitted("unregistering waits for the OK, and the peer is gone then", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await anna.peer.unregisterFromTracker();
  assertEquals(await tracker.names(), []);
  assertEquals(anna.all("unregistered").length, 1);
  assertEquals((await tracker.events.until(({ event }) => event === "left")).event, "left");
});

permitted("the second of a name gets another one, and keeps it", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using first = await startPeer(tracker, dir, { name: "anna" });
  const identity = Identity.generate();
  {
    await using second = await startPeer(tracker, dir, { name: "anna", identity });
    assertEquals([first.name, second.name], ["anna", "anna-2"]);
    assertEquals((await second.until("registered")).name, "anna-2");
  }
  await tracker.events.until(({ event }) => event === "left");
  await using again = await startPeer(tracker, dir, { name: "anna", identity });
  assertEquals(again.name, "anna-2");
});

permitted("a name that is not allowed is refused", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  for (const name of ["all", "a b", "a:b"]) {
    await rejectsWith("invalid", () => startPeer(tracker, dir, { name }));
  }
  assertEquals(await tracker.names(), []);
});

permitted("only the key that registered changes or removes an entry", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  const before = await tracker.tracker.peers();
  await using mallory = await raw(tracker, Identity.generate());
  await mallory.session.request({ verb: "UNREGISTER" });
  await register(mallory, anna.address.port, "anna");
  await mallory.session.request({ verb: "UNREGISTER" });
  assertEquals(await tracker.tracker.peers(), before);
  // Not even another session of the same key, which is a one-shot command.
  await using client = await raw(tracker, anna.identity, "client");
  await rejectsWith("unauthorised", () => register(client, anna.address.port));
  await client.session.request({ verb: "UNREGISTER" });
  assertEquals(await tracker.tracker.peers(), before);
});

permitted("registering again replaces the own entry only", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await raw(tracker, Identity.generate());
  for (const port of [1, 2, anna.address.port]) await register(bob, port, "bob");
  const peers = await tracker.tracker.peers();
  assertEquals(peers.map(({ name, port }) => [name, port]), [
    ["anna", anna.address.port],
    ["bob", anna.address.port],
  ]);
});

permitted("a peer that comes back on a new session replaces the old one", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using watcher = await startPeer(tracker, dir, { name: "watcher" });
  const identity = Identity.generate();
  await using old = await raw(tracker, identity);
  await register(old, 1, "bob");
  await watcher.until("peer-joined", ({ name }) => name === "bob");
  await using fresh = await raw(tracker, identity);
  await register(fresh, 2, "bob");
  assertEquals((await old.end())?.code, "replaced");
  assertEquals(await tracker.names(), ["bob", "watcher"]);
  await fresh.session.request({ verb: "UNREGISTER" });
  await watcher.until("peer-left", ({ name }) => name === "bob");
  assertEquals(watcher.all("peer-left").length, 1);
});

permitted(
  "of two peers with one key each is told of the other, and the log is too",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    const identity = Identity.generate();
    await using older = await startPeer(tracker, dir, { name: "older", identity });
    await using newer = await startPeer(tracker, dir, { name: "newer", identity });
    const [there, here] = [older, newer].map(({ address }) => formatAddress(address));
    const { code, exitCode, message } = await assertRejects(
      () => deadline(older.peer.refused, "the refusal"),
      P2PError,
    );
    assertEquals([code, exitCode], ["replaced", 6]);
    for (const part of [`${here}`, "used twice", "--state DIR"]) {
      assertStringIncludes(message, part);
    }
    assertEquals((await newer.until("registered")).replaced, there);
    const log = tracker.events.all.map((event) =>
      event.event === "joined"
        ? `${event.entry.name} joined`
        : event.event === "left"
        ? `${event.entry.name} ${event.code}: ${event.reason}`
        : event.event
    );
    const reason =
      `sent away by a peer with the same key at ${here}: its state folder is used twice`;
    assertEquals(log, ["older joined", `older replaced: ${reason}`, "newer joined"]);
    assertEquals(await tracker.names(), ["newer"]);
  },
);

permitted(
  "a peer that comes back while its old session is dead is no second one",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    const identity = Identity.generate();
    await using old = await raw(tracker, identity);
    const stuck = Promise.withResolvers<void>();
    old.busy = stuck.promise;
    await register(old, 1, "bob");
    // From this frame on it answers nothing.
    await old.until("PEER_LIST");
    await using back = await startPeer(tracker, dir, { name: "bob", identity });
    assertEquals((await back.until("registered")).replaced, undefined);
    const left = tracker.events.all.flatMap((event) => event.event === "left" ? event.reason : []);
    assertEquals(left, [`came back at ${formatAddress(back.address)}`]);
    stuck.resolve();
  },
);

permitted("a list of several pages reaches a peer whole", NEEDS, async () => {
  await using dir = await tempDir();
  const registry = new MemoryRegistry(epochs());
  const count = 2 * MAX_PEERS_PER_FRAME + 5;
  for (let n = 0; n < count; n++) registry.register(entryOf(n));
  await using tracker = startTracker({ registry });
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  assertEquals(anna.peer.knownPeers.length, count);
  registry.unregister(idOf(3));
  registry.register(entryOf(count));
  const listed = await anna.peer.updatePeersList();
  assertEquals([listed.length, listed.some(({ id }) => id === idOf(3))], [count, false]);
});

permitted("a one-shot command lists and pings without being listed", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using client = await startPeer(tracker, dir, {
    name: "anna",
    role: "client",
    identity: anna.identity,
  });
  assertEquals(await tracker.names(), ["anna"]);
  assertEquals(client.peer.knownPeers.map(({ name }) => name), ["anna"]);
  await client.peer.ping("anna");
  assertEquals(client.peer.address, undefined);
});

permitted(
  "without its tracker a command goes on with the list that it saw last",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const tracker = startTracker();
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    const identity = Identity.generate();
    await (await startPeer(tracker, dir, { name: "me", role: "client", identity }))[
      Symbol.asyncDispose
    ]();
    await tracker[Symbol.asyncDispose]();
    await using client = await startPeer(tracker, dir, { name: "me", role: "client", identity });
    assertStringIncludes((await client.until("notice")).message, "there last");
    await client.peer.ping("anna");
    assertEquals((await client.until("pong")).peer, "anna");
    await rejectsWith(
      "tracker-unreachable",
      () => startPeer(tracker, dir, { name: "other", role: "client" }),
    );
    await anna.until("tracker-lost");
  },
);
