import { assertEquals } from "@std/assert";
import { PeerCache } from "../../../lib/directory/peer_cache.ts";
import { entryOf } from "../../helpers/entries.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

permitted("the cached list is that of the network that was seen last", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new PeerCache(dir.path);
  assertEquals(await cache.load("n1"), []);
  await cache.save("n1", [entryOf(1), entryOf(2, { reachable: false })]);
  assertEquals(await new PeerCache(dir.path).load("n1"), [
    entryOf(1),
    entryOf(2, { reachable: false }),
  ]);
  assertEquals(await cache.load("n2"), []);
  await cache.save("n2", []);
  assertEquals(await cache.load("n1"), []);
});

permitted("nonsense in the cached list is passed over", NEEDS, async () => {
  await using dir = await tempDir();
  const peers = [entryOf(1), { ...entryOf(2), id: "short" }, { ...entryOf(3), port: "x" }, {}];
  await Deno.writeTextFile(dir.at("cache.json"), JSON.stringify({ network: "n", peers }));
  assertEquals(await new PeerCache(dir.path).load("n"), [entryOf(1)]);
  await Deno.writeTextFile(dir.at("cache.json"), JSON.stringify({ network: "n", peers: [null] }));
  assertEquals(await new PeerCache(dir.path).load("n"), []);
});
