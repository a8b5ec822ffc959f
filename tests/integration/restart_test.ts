/** Trackers that go away and come back, and peers that fall silent. */

import { assertEquals } from "@std/assert";
import { pooledMap } from "@std/async/pool";
import { FakeClock } from "../helpers/fake_clock.ts";
import { SqliteStore } from "../../lib/tracker/store/sqlite_store.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { openRaw } from "../helpers/raw.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];

permitted(
  "peers come back by themselves after a restart, and the list is whole",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const first = startTracker();
    const setting = { random: () => 0 };
    await using anna = await startPeer(first, dir, { ...setting, name: "anna" });
    await using bob = await startPeer(first, dir, { ...setting, name: "bob" });
    await using carl = await startPeer(first, dir, { ...setting, name: "bob" });
    const names = [anna.name, bob.name, carl.name];
    const peers = [anna, bob, carl];
    const seen = peers.map(({ events }) => events.length);
    await first[Symbol.asyncDispose]();
    for (const peer of peers) await peer.until("tracker-lost");
    await using second = startTracker(first.same);
    for (const [i, peer] of peers.entries()) await peer.until("registered", () => true, seen[i]);
    assertEquals(peers.map(({ name }) => name), names);
    assertEquals(await second.names(), ["anna", "bob", "bob-2"]);
    for (const peer of peers) assertEquals((await peer.peer.updatePeersList()).length, 2);
    await anna.peer.ping(carl.name);
    assertEquals((await anna.peer.sendBroadcastMessage("back")).delivered, 2);
  },
);

permitted(
  "a tracker that was restarted lists who was there, until they are back",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const clock = new FakeClock();
    const open = () => new SqliteStore(dir.at("registry.db"), { notice() {}, clock });
    const before = open();
    const first = startTracker({ store: before, clock });
    // They keep away for as long as the test likes.
    const pause = new FakeClock();
    const never = new FakeClock();
    await using anna = await startPeer(first, dir, { name: "anna", clock: never });
    await using bob = await startPeer(first, dir, { name: "bob", clock: pause });
    await using carl = await startPeer(first, dir, { name: "carl", clock: never });
    await first[Symbol.asyncDispose]();
    before[Symbol.dispose]();
    for (const peer of [anna, bob, carl]) await peer.until("tracker-lost");
    const seen = bob.events.length;
    using store = open();
    await using second = startTracker({ ...first.same, store, clock });
    await using dora = await startPeer(second, dir, { name: "dora" });
    const away = async () => {
      await using operator = await second.operator();
      return (await operator.refresh()).flatMap(({ name, away }) => away ? [name] : []).sort();
    };
    assertEquals(await second.names(), ["anna", "bob", "carl", "dora"]);
    assertEquals(await away(), ["anna", "bob", "carl"]);
    // Peers are told of them as of all others.
    assertEquals(dora.peer.knownPeers.map(({ name, away }) => [name, away]), [
      ["anna", undefined],
      ["bob", undefined],
      ["carl", undefined],
    ]);
    // They live, and are where they were.
    await dora.peer.ping("anna");
    await using taker = await startPeer(second, dir, { name: "bob" });
    assertEquals(taker.name, "bob-2");
    pause.advance(await pause.timer((ms) => ms < 1000));
    await bob.until("registered", () => true, seen);
    assertEquals(bob.name, "bob");
    assertEquals(await second.names(), ["anna", "bob", "bob-2", "carl", "dora"]);
    assertEquals(await away(), ["anna", "carl"]);
    await carl[Symbol.asyncDispose]();
    clock.advance(60_000);
    const goneOf = () =>
      second.events.all.flatMap((event) =>
        event.event === "left" ? [`${event.entry.name} ${event.code}`] : []
      );
    await second.events.until(() => goneOf().length === 2);
    assertEquals(goneOf().sort(), ["anna lost", "carl lost"]);
    await dora.until("peer-left", ({ name }) => name === "carl");
  },
);

permitted("they come back one by one, after a pause of their own that grows", NEEDS, async () => {
  await using dir = await tempDir();
  const first = startTracker();
  const clock = new FakeClock();
  await using anna = await startPeer(first, dir, { name: "anna", clock, random: () => 0.9 });
  await first[Symbol.asyncDispose]();
  await anna.until("tracker-lost");
  const next = (pause: number) => clock.timer((ms) => Math.abs(ms - 1.4 * pause) < 1);
  for (const pause of [250, 500, 1000, 2000, 2000]) clock.advance(await next(pause));
  const last = await next(2000);
  await using second = startTracker(first.same);
  clock.advance(last);
  await second.events.until(({ event }) => event === "joined");
});

permitted("many are asked to come back one after the other", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker({ insecure: true });
  const { address, membership } = tracker;
  await using stack = new AsyncDisposableStack();
  const joining = pooledMap(16, Array(200).keys(), async (n) => {
    const raw = stack.use(await openRaw({ address, membership, role: "peer" }));
    await raw.session.request({ verb: "REGISTER", name: `m${n}`, port: 1 });
    return raw;
  });
  const [first] = await Array.fromAsync(joining);
  const clock = new FakeClock();
  await using anna = await startPeer(tracker, dir, { name: "anna", clock, random: () => 0.9 });
  await tracker[Symbol.asyncDispose]();
  await anna.until("tracker-lost");
  // Its usual pause of 350 ms, and a part of the second that 201 are to take.
  await clock.timer((ms) => Math.abs(ms - 1250) < 1);
  assertEquals(await first?.end(), null);
  assertEquals(first?.session.backWithin, 1000);
});

permitted("a peer that ends without a word is gone at once", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  const { address, membership } = tracker;
  const mallory = await openRaw({ address, membership, role: "peer" });
  await mallory.session.request({ verb: "REGISTER", name: "raw", port: 1 });
  await anna.until("peer-joined", ({ name }) => name === "raw");
  mallory.session.connection.close();
  await anna.until("peer-left", ({ name }) => name === "raw");
  await mallory[Symbol.asyncDispose]();
});

permitted("a peer that does not answer PING, nor its listener, is dropped", NEEDS, async () => {
  const clock = new FakeClock();
  await using tracker = startTracker({ clock });
  const { address, membership } = tracker;
  await using silent = await openRaw({ address, membership, role: "peer" });
  await silent.session.request({ verb: "REGISTER", name: "silent", port: 1 });
  // It reads the list that comes, and then no more.
  const stuck = Promise.withResolvers<void>();
  silent.busy = stuck.promise;
  clock.advance(50);
  await silent.until("PEER_LIST");
  clock.advance(20_000);
  await clock.timer((ms) => ms === 5_000);
  clock.advance(5_000);
  const left = await tracker.events.until(({ event }) => event === "left");
  assertEquals(left.event === "left" && left.entry.name, "silent");
  stuck.resolve();
  await silent.end();
});
