import { assertEquals } from "@std/assert";
import { PeerCache } from "../../../lib/directory/peer_cache.ts";
import { entryOf } from "../../helpers/entries.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

permitted("the cached lists are those that each network had last", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new PeerCache(dir.path);
  assertEquals(await cache.load("n1"), []);
  await cache.save("n1", [entryOf(1), entryOf(2, { reachable: false })]);
  assertEquals(await new PeerCache(dir.path).load("n1"), [
    entryOf(1),
    entryOf(2, { reachable: false }),
  ]);
  assertEquals(await cache.load("n2"), []);
  await cache.save("n1", [entryOf(3)]);
  assertEquals(await cache.load("n1"), [entryOf(3)]);
});

permitted("a peer in another network does not displace the cached list", NEEDS, async () => {
  await using dir = await tempDir();
  await new PeerCache(dir.path).save("n1", [entryOf(1)]);
  await new PeerCache(dir.path).save("n2", [entryOf(2)]);
  assertEquals(await new PeerCache(dir.path).load("n1"), [entryOf(1)]);
  assertEquals(await new PeerCache(dir.path).load("n2"), [entryOf(2)]);
  for (let n = 3; n <= 9; n++) await new PeerCache(dir.path).save(`n${n}`, [entryOf(n)]);
  // Those seen longest ago make room.
  assertEquals(await new PeerCache(dir.path).load("n1"), []);
  assertEquals(await new PeerCache(dir.path).load("n2"), [entryOf(2)]);
});

permitted("nonsense in the cached list is passed over", NEEDS, async () => {
  await using dir = await tempDir();
  const peers = [entryOf(1), { ...entryOf(2), id: "short" }, { ...entryOf(3), port: "x" }, {}];
  const write = (value: unknown) => Deno.writeTextFile(dir.at("cache.json"), JSON.stringify(value));
  await write([null, {}, { network: "n", peers }]);
  assertEquals(await new PeerCache(dir.path).load("n"), [entryOf(1)]);
  await write([{ network: "n", peers: [null] }]);
  assertEquals(await new PeerCache(dir.path).load("n"), []);
  await write({ network: "n", peers });
  assertEquals(await new PeerCache(dir.path).load("n"), []);
});
