/** Downloads whose pieces are proven by the hash of all bytes up to their end. */

import { assert, assertEquals } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import { Sha256 } from "../../../lib/pieces/hash.ts";
import type { Scheme } from "../../../lib/pieces/scheme.ts";
import { assertSameBytes } from "../../helpers/bytes.ts";
import { eventually } from "../../helpers/deadline.ts";
import { PIECE, type Scene, scene, type Source } from "../../helpers/download.ts";
import { bytesOf } from "../../helpers/random.ts";

/** Pieces of the content. */
const COUNT = 6;

function test(name: string, play: (scene: Scene) => Promise<void>): void {
  scene(name, play, undefined, "prefix");
}

function sha256Of(content: Uint8Array): string {
  const hash = new Sha256();
  hash.update(content);
  return hash.digest();
}

/** Leaves pieces in the inbox as an earlier try would, proven as `schemeOf` says; the bytes are those of `source`. */
async function leave(
  { inbox, offer }: Scene,
  source: Source,
  pieces: Record<number, Scheme>,
): Promise<void> {
  const before = await inbox.begin(offer);
  for (const [index, scheme] of Object.entries(pieces).map(([i, s]) => [Number(i), s] as const)) {
    await before.write(index, source.piece(index), source.proof(index, scheme));
  }
  await inbox.release(before, true);
}

async function acks(source: Source, count: number) {
  await eventually(() => source.all("ACK").length >= count, `${count} ACKs`);
  return source.all("ACK").map(({ have, independentFrom }) => ({ have, independentFrom }));
}

async function arrived(scene: Scene): Promise<string | null> {
  const { path, sha256 } = await scene.received();
  assertSameBytes(await Deno.readFile(path), scene.content);
  return sha256;
}

test("pieces that come in order are right, and so is the SHA-256 of the file", async (scene) => {
  const { sender, content } = scene;
  await scene.begin();
  await sender.sendHashesOf("prefix", { digest: sha256Of(content) });
  for (const index of await sender.asked(COUNT)) await sender.sendPiece(index);
  assertEquals(await arrived(scene), sha256Of(content));
  assertEquals(await acks(sender, 2).then(([first]) => first), {
    have: [],
    independentFrom: undefined,
  });
});

test("pieces that come early wait for those before them", async (scene) => {
  const { sender, content } = scene;
  const download = await scene.begin();
  await sender.sendHashesOf("prefix");
  await sender.asked(COUNT);
  for (const index of [3, 1, 5, 4]) await sender.sendPiece(index);
  await sender.sendPiece(0);
  await eventually(() => download.has(1), "the second piece");
  assertEquals([0, 1, 2, 3, 4, 5].filter((index) => download.has(index)), [0, 1]);
  await sender.sendPiece(2);
  assertEquals(await arrived(scene), sha256Of(content));
  assertEquals(sender.all("GET").length, COUNT);
});

test("from two sources, each of which has a half, they come in order all the same", async (scene) => {
  const { sender, content } = scene;
  scene.memory = 4 * PIECE;
  const other = scene.source();
  const download = await scene.begin();
  download.join(other.link);
  await sender.sendHashesOf("prefix");
  const served = [new Set<number>(), new Set<number>()];
  await eventually(async () => {
    for (const [i, source] of [other, sender].entries()) {
      const next = source.all("GET").map(({ index }) => index).find((at) => !served[i]?.has(at));
      if (next === undefined) continue;
      served[i]?.add(next);
      await source.sendPiece(next);
    }
    return scene.outcomes.length > 0;
  }, "the end");
  assertEquals(await arrived(scene), sha256Of(content));
  assert(served.every(({ size }) => size > 0), `${served.map(({ size }) => size)}`);
});

test("a wrong piece comes once more, and nothing else does", async (scene) => {
  const { sender, content } = scene;
  await scene.begin();
  await sender.sendHashesOf("prefix");
  await sender.asked(COUNT);
  const wrong = sender.piece(1);
  wrong[7] = (wrong[7] as number) ^ 1;
  await sender.sendPiece(0);
  await sender.sendPiece(1, wrong);
  for (const index of [2, 3, 4, 5]) await sender.sendPiece(index);
  const asked = await sender.asked(COUNT + 1);
  assertEquals(asked.slice(COUNT), [1]);
  await sender.sendPiece(1);
  assertEquals(await arrived(scene), sha256Of(content));
});

test("a piece that stays wrong ends it, and nothing is published", async (scene) => {
  const { sender } = scene;
  await scene.begin();
  await sender.sendHashesOf("prefix");
  for (let times = 1; times <= 4; times++) {
    const asked = await sender.asked(COUNT + times - 1);
    assertEquals(asked.at(-1), times === 1 ? COUNT - 1 : 0);
    await sender.sendPiece(0, bytesOf(PIECE, 99));
  }
  const { code, message } = await scene.failure();
  assertEquals([code, message.includes("piece 0 was wrong 4 times")], ["integrity", true]);
});

test("a piece with a hash of its own is wrong, as is one with the hash of another", async (scene) => {
  const { sender } = scene;
  await scene.begin();
  await sender.sendHashesOf("prefix", { end: 1 });
  // What the sender calls `prefix` and is not.
  await sender.sendHashesOf("independent", { start: 1 });
  await sender.asked(COUNT);
  await sender.sendPiece(0);
  for (let times = 1; times <= 4; times++) {
    await sender.asked(COUNT + times - 1);
    await sender.sendPiece(1);
  }
  assertEquals((await scene.failure()).code, "integrity");
});

test("a SHA-256 that is not that of the pieces ends it", async (scene) => {
  const { sender, content } = scene;
  await scene.begin();
  await sender.sendHashesOf("prefix", { digest: sha256Of(content.subarray(1)) });
  for (const index of await sender.asked(COUNT)) await sender.sendPiece(index);
  assertEquals((await scene.failure()).code, "integrity");
});

test("what an earlier try left is gone on with by hashes of their own", async (scene) => {
  const { sender } = scene;
  await leave(scene, sender, { 0: "prefix", 1: "prefix", 2: "prefix" });
  await scene.begin();
  assertEquals(await acks(sender, 1), [{ have: [[0, 3]], independentFrom: 3 }]);
  await sender.sendHashesOf("prefix", { end: 3 });
  await sender.sendHashesOf("independent", { start: 3, isOther: true });
  assertEquals(await sender.asked(3), [3, 4, 5]);
  for (const index of [5, 3, 4]) await sender.sendPiece(index);
  assertEquals(await arrived(scene), null);
  const { manifest } = await scene.received();
  const proof = new Sha256();
  proof.update(
    new TextEncoder().encode(`p2p-manifest prefix/3 ${scene.content.length} ${PIECE} -\n`),
  );
  for (let i = 0; i < COUNT; i++) {
    proof.update(sender.proof(i, i < 3 ? "prefix" : "independent").hash);
  }
  assertEquals(manifest, proof.digest());
});

test("a sender that knows fewer hashes sends the pieces behind them again", async (scene) => {
  const { sender } = scene;
  await leave(scene, sender, { 0: "prefix", 1: "prefix", 2: "prefix" });
  await scene.begin();
  await acks(sender, 1);
  await sender.sendHashesOf("prefix", { end: 2 });
  await sender.sendHashesOf("independent", { start: 2, isOther: true });
  assertEquals(await sender.asked(4), [2, 3, 4, 5]);
  for (const index of [2, 3, 4, 5]) await sender.sendPiece(index);
  await arrived(scene);
});

test("pieces that were independent are kept, and a gap in the others is closed", async (scene) => {
  const { sender } = scene;
  await leave(scene, sender, {
    0: "prefix",
    1: "prefix",
    3: "independent",
    4: "prefix",
    5: "independent",
  });
  await scene.begin();
  assertEquals(await acks(sender, 1), [{ have: [[0, 2], [3, 4], [5, 6]], independentFrom: 2 }]);
  await sender.sendHashesOf("prefix", { end: 2 });
  await sender.sendHashesOf("independent", { start: 2, isOther: true });
  assertEquals(await sender.asked(2), [2, 4]);
  for (const index of [2, 4]) await sender.sendPiece(index);
  await arrived(scene);
});

test("of a content that has changed the pieces that are as they were are kept", async (scene) => {
  const { sender, content } = scene;
  const before = content.slice();
  before[PIECE + 3] = (before[PIECE + 3] as number) ^ 1;
  const old = scene.source(before);
  await leave(scene, old, { 0: "prefix", 1: "prefix", 2: "prefix", 3: "prefix" });
  await scene.begin();
  assertEquals(await acks(sender, 1), [{ have: [[0, 4]], independentFrom: 4 }]);
  await sender.sendHashesOf("prefix", { end: 4 });
  // On their way before the sender hears that other hashes are wanted.
  await sender.sendHashesOf("independent", { start: 4, isOther: true });
  assertEquals((await acks(sender, 2))[1], { have: [[0, 4]], independentFrom: 1 });
  await sender.sendHashesOf("independent", { start: 1, isOther: true });
  assertEquals(await sender.asked(3), [1, 4, 5]);
  for (const index of [1, 4, 5]) await sender.sendPiece(index);
  await arrived(scene);
});

for (
  const [what, send] of Object.entries({
    "of all before, where they were asked for one by one": async (sender: Source) => {
      await sender.sendHashesOf("prefix", { end: 4 });
    },
    "of all before, behind independent ones": async (sender: Source) => {
      await sender.sendHashesOf("prefix", { end: 2 });
      await sender.sendHashesOf("independent", { start: 2, end: 4, isOther: true });
      await sender.sendHashesOf("prefix", { start: 4 });
    },
    "that are independent behind a gap": async (sender: Source) => {
      await sender.sendHashesOf("prefix", { end: 1 });
      await sender.sendHashesOf("independent", { start: 2, isOther: true });
    },
  })
) {
  test(`hashes ${what} are malformed`, async (scene) => {
    const { sender } = scene;
    await leave(scene, sender, { 0: "prefix", 1: "prefix", 2: "prefix" });
    await scene.begin();
    await send(sender);
    assertEquals((await scene.failure()).code, "malformed");
  });
}

test("hashes of a scheme that nobody knows end it", async (scene) => {
  const { sender } = scene;
  await scene.begin();
  await sender.sendHashesOf("chained" as Scheme, { isOther: true });
  assertEquals((await scene.failure()).code, "invalid");
});

scene(
  "under another scheme pieces that only a hash of all before proves come again",
  async (scene) => {
    const { sender, content } = scene;
    await leave(scene, sender, { 0: "prefix", 1: "prefix", 4: "independent" });
    await scene.begin();
    assertEquals(await acks(sender, 1), [{ have: [[4, 5]], independentFrom: undefined }]);
    await sender.sendHashes();
    const asked = await sender.asked(5);
    assertEquals(asked, [0, 1, 2, 3, 5]);
    for (const index of asked) await sender.sendPiece(index);
    assertSameBytes(await Deno.readFile((await scene.received()).path), content);
  },
);

test("what has arrived is known again by its SHA-256, whatever proves it", async (scene) => {
  const { sender, content } = scene;
  await scene.begin();
  await sender.sendHashesOf("prefix");
  for (const index of await sender.asked(COUNT)) await sender.sendPiece(index);
  await arrived(scene);
  const sha256 = sha256Of(content);
  const found = await scene.inbox.alreadyHas({
    ...scene.offer,
    transfer: encodeBase64Url(bytesOf(16, 2)),
    sha256,
  });
  assertEquals([found?.state, found?.item.sha256], ["already", sha256]);
});
