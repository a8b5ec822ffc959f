import { assertEquals } from "@std/assert";
import { PeerCache } from "../../../lib/directory/peer_cache.ts";
import { entryOf, idOf } from "../../helpers/entries.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

permitted("the cached lists are those that each network had last", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new PeerCache(dir.path);
  assertEquals((await cache.load("n1")).peers, []);
  await cache.save("n1", [entryOf(1), entryOf(2, { reachable: false })]);
  assertEquals((await new PeerCache(dir.path).load("n1")).peers, [
    entryOf(1),
    entryOf(2, { reachable: false }),
  ]);
  assertEquals((await cache.load("n2")).peers, []);
  await cache.save("n1", [entryOf(3)]);
  assertEquals((await cache.load("n1")).peers, [entryOf(3)]);
});

permitted("a peer in another network does not displace the cached list", NEEDS, async () => {
  await using dir = await tempDir();
  await new PeerCache(dir.path).save("n1", [entryOf(1)]);
  await new PeerCache(dir.path).save("n2", [entryOf(2)]);
  assertEquals((await new PeerCache(dir.path).load("n1")).peers, [entryOf(1)]);
  assertEquals((await new PeerCache(dir.path).load("n2")).peers, [entryOf(2)]);
  for (let n = 3; n <= 9; n++) await new PeerCache(dir.path).save(`n${n}`, [entryOf(n)]);
  // Those seen longest ago make room.
  assertEquals((await new PeerCache(dir.path).load("n1")).peers, []);
  assertEquals((await new PeerCache(dir.path).load("n2")).peers, [entryOf(2)]);
});

permitted("nonsense in the cached list is passed over", NEEDS, async () => {
  await using dir = await tempDir();
  const peers = [entryOf(1), { ...entryOf(2), id: "short" }, { ...entryOf(3), port: "x" }, {}];
  const write = (value: unknown) => Deno.writeTextFile(dir.at("cache.json"), JSON.stringify(value));
  await write([null, {}, { network: "n", peers }]);
  assertEquals((await new PeerCache(dir.path).load("n")).peers, [entryOf(1)]);
  await write([{ network: "n", peers: [null] }]);
  assertEquals((await new PeerCache(dir.path).load("n")).peers, []);
  await write({ network: "n", peers });
  assertEquals((await new PeerCache(dir.path).load("n")).peers, []);
});

permitted(
  "the way to a peer is kept as long as the peer is, whoever keeps the list",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const [one, two] = [new PeerCache(dir.path), new PeerCache(dir.path)];
    const { id } = entryOf(1);
    // A list that nobody has kept has no place for it.
    await one.savePath("n", id, "10.0.0.1:1");
    assertEquals(await one.load("n"), { peers: [] });
    await one.save("n", [entryOf(1), entryOf(2)]);
    await one.savePath("n", id, "10.0.0.1:1");
    await one.savePath("n", entryOf(2).id, "dialled back");
    assertEquals(await two.save("n", [entryOf(1), entryOf(3)]), {
      [id]: "10.0.0.1:1",
      [entryOf(2).id]: "dialled back",
    });
    assertEquals((await one.load("n")).paths, { [id]: "10.0.0.1:1" });
    await two.savePath("n", id, undefined);
    assertEquals((await one.load("n")).paths, {});
  },
);

permitted("who has left the list is remembered, those seen last first", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new PeerCache(dir.path);
  const seen = async () => (await cache.load("n")).seen?.map(({ name }) => name);
  await cache.save("n", [entryOf(1, { groups: ["lab"] }), entryOf(2)]);
  assertEquals(await seen(), undefined);
  await cache.save("n", [entryOf(2)]);
  assertEquals((await cache.load("n")).seen, [{ id: idOf(1), name: "p1", groups: ["lab"] }]);
  await cache.save("n", [entryOf(3)]);
  assertEquals(await seen(), ["p2", "p1"]);
  await cache.save("n", [entryOf(1), entryOf(3)]);
  assertEquals(await seen(), ["p2"]);
  // Who is only noted does not get into the list that was kept.
  await cache.note("n", [entryOf(4), entryOf(3), entryOf(2, { name: "other" })]);
  assertEquals(await seen(), ["p4", "other"]);
  assertEquals((await cache.load("n")).peers, [entryOf(1), entryOf(3)]);
  await cache.note("other", [entryOf(5)]);
  assertEquals(await cache.load("other"), {
    network: "other",
    peers: [],
    paths: {},
    seen: [{ id: idOf(5), name: "p5" }],
  } as unknown);
});

permitted("of those who were seen a thousand are remembered", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new PeerCache(dir.path);
  const many = (from: number) => Array.from({ length: 600 }, (_, i) => entryOf(from + i));
  for (const from of [0, 1000, 2000]) await cache.save("n", many(from));
  const { seen = [] } = await cache.load("n");
  assertEquals([seen.length, seen[0]?.name, seen[999]?.name], [1000, "p1000", "p399"]);
});
