/** Whom a message, an offer and the list are of: the name that is shown is the one that is proven. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { NameBook } from "../../lib/directory/name_book.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];

/** A peer that has pinned the name `anna` to somebody's key in a network. */
async function bobWhoKnows(anna: Identity, scene: {
  tracker: TestTracker;
  dir: TempDir;
  network?: string;
}): Promise<TestPeer> {
  const { tracker, dir, network = tracker.membership?.id ?? "" } = scene;
  const bob = await startPeer(tracker, dir, { name: "bob", start: false });
  const entry = { id: anna.id, name: "anna", host: "127.0.0.1", port: 1, reachable: true };
  await new NameBook(join(bob.folder, "state"), network).pin(entry);
  await bob.peer.start();
  return bob;
}

permitted(
  "a name that is pinned to another key is shown of nothing that comes in",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    await using bob = await bobWhoKnows(Identity.generate(), { tracker, dir });
    await using eve = await startPeer(tracker, dir, { name: "anna" });
    const { id } = eve.identity;
    const joined = await bob.until("peer-joined");
    assertEquals([joined.id, joined.name], [id, id]);
    assertStringIncludes((await bob.until("notice")).message, "peer trust anna");
    await eve.peer.sendBroadcastMessage("it is me, anna");
    const message = await bob.until("message");
    assertEquals([message.from, message.name], [id, `id:${id.slice(0, 8)}`]);
    await Deno.writeTextFile(dir.at("note.txt"), "hello");
    await eve.peer.sendFile(dir.at("note.txt"), ["bob"]);
    assertEquals((await bob.until("transfer-started")).peers, [id]);
    assertEquals((await bob.until("file-received")).from, id);
    assertEquals(bob.peer.nameOf(id), undefined);
    await bob.peer.trust(`id:${id}`);
    assertEquals(bob.peer.nameOf(id), "anna");
  },
);

permitted("a name that was pinned in another network is anybody's", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const other = Identity.generate().id;
  await using bob = await bobWhoKnows(Identity.generate(), { tracker, dir, network: other });
  await using eve = await startPeer(tracker, dir, { name: "anna" });
  await eve.peer.sendBroadcastMessage("hello");
  assertEquals((await bob.until("message")).name, "anna");
});

permitted("while the pinned names cannot be read everybody goes by the id", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  await using eve = await startPeer(tracker, dir, { name: "eve" });
  await Deno.mkdir(join(bob.folder, "state"), { recursive: true });
  await Deno.writeTextFile(join(bob.folder, "state", "names.json"), "{");
  await eve.peer.sendBroadcastMessage("hello");
  assertEquals((await bob.until("message")).name, `id:${eve.identity.id.slice(0, 8)}`);
  const told = await bob.until("notice", ({ message }) => message.includes("names.json"));
  assertStringIncludes(told.message, "move the file away");
});
