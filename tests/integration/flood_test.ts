/** Strangers who connect by the hundred and say nothing: nobody who belongs here notices. */

import { assert, assertEquals } from "@std/assert";
import { assertSameBytes } from "../helpers/bytes.ts";
import { deadline } from "../helpers/deadline.ts";
import { descriptors } from "../helpers/invariants.ts";
import { startPeer } from "../helpers/peer.ts";
import { NO_LINUX, permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { SilentCallers } from "../helpers/silent_callers.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
/** Other addresses of loopback than 127.0.0.1 are there without being set up. */
const options = { ignore: NO_LINUX };
/** More than a listener has room for, many times over. */
const FLOOD = { count: 600, hosts: 40 };
/** The first bytes of a ClientHello whose rest never comes. */
const HALF_HELLO = Uint8Array.of(0x16, 3, 1, 2, 0, 1);
/** Descriptors beside those of silent callers that may come and go meanwhile. */
const LEEWAY = 40;

for (const [what, begin] of [["nothing", undefined], ["half a hello", HALF_HELLO]] as const) {
  permitted(`members stay and newcomers come while hundreds say ${what}`, NEEDS, async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    await using ann = await startPeer(tracker, dir, { name: "ann" });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    using callers = new SilentCallers();
    const { port } = tracker.address;
    const before = await descriptors(dir.path, [port]);
    await callers.call(tracker.address, { ...FLOOD, ...(begin && { begin }) });
    // Their ends are in this process too; the tracker's are at most 64 that are greeted and 64 that hang.
    await until(async () =>
      await descriptors(dir.path, [port]) <= before + FLOOD.count + 64 + 64 + LEEWAY
    );
    await using eve = await deadline(startPeer(tracker, dir, { name: "eve" }), "a newcomer");
    assertEquals(await tracker.names(), ["ann", "bob", "eve"]);
    assert(ann.peer.isConnected && bob.peer.isConnected && eve.peer.isConnected);
    assertEquals(tracker.events.all.filter(({ event }) => event === "left"), []);
  }, options);
}

permitted("a peer goes on receiving while hundreds say nothing", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using ann = await startPeer(tracker, dir, { name: "ann" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  await using eve = await startPeer(tracker, dir, { name: "eve", limitRate: 8 * 1024 * 1024 });
  const content = bytesOf(8 * 1024 * 1024);
  const path = dir.at("long.bin");
  await Deno.writeFile(path, content);
  using callers = new SilentCallers();
  const under = eve.peer.sendFile(path, ["bob"]);
  await bob.until("transfer-progress");
  await callers.call(bob.address, FLOOD);
  // On the session that was there, and on a new one.
  assertEquals((await under).recipients.map(({ state }) => state), ["delivered"]);
  assertEquals((await ann.peer.sendFile(path, ["bob"])).recipients.map(({ state }) => state), [
    "delivered",
  ]);
  for (const name of ["long.bin", "long (1).bin"]) {
    assertSameBytes(await Deno.readFile(`${bob.inbox}/${name}`), content);
  }
}, options);

/** Waits until it is so; each turn lets connections that are closed go. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  await deadline(
    (async () => {
      while (!await holds()) await new Promise((resolve) => setTimeout(resolve, 20));
    })(),
    "descriptors that are given back",
  );
}
