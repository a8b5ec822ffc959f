/** Downloads whose pieces are proven one by one. */

import { assert, assertEquals } from "@std/assert";
import { SharedBytes } from "../../../lib/async/shared_bytes.ts";
import { P2PError } from "../../../lib/errors.ts";
import type { MessageOf } from "../../../lib/wire/message.ts";
import { assertSameBytes } from "../../helpers/bytes.ts";
import { eventually, turn } from "../../helpers/deadline.ts";
import { PIECE, scene, type Source } from "../../helpers/download.ts";
import { partialsIn } from "../../helpers/invariants.ts";
import { proofOf } from "../../helpers/partials.ts";
import { bytesOf } from "../../helpers/random.ts";
import { pictureOf, pictureOfTree, sampleTree, transferOf } from "../../helpers/tree.ts";

scene(
  "what waits for the disk is bounded: until there is less of it, nothing more is read",
  async (scene) => {
    const { sender, content } = scene;
    const unwritten = new SharedBytes(3 * PIECE);
    // Of another transfer, whose disk is slow.
    unwritten.add(3 * PIECE);
    scene.shared.unwritten = unwritten;
    const download = await scene.begin();
    await sender.sendHashes();
    const [first = 0, ...rest] = await sender.asked(6);
    let isRead = false;
    const reading = download.onPiece(sender.link, first, sender.piece(first))?.then(() =>
      isRead = true
    );
    await eventually(() => download.has(first), "a piece that is written");
    await reading;
    assertEquals([isRead, unwritten.areTooMany], [true, false]);
    unwritten.add(1);
    const waiting = download.onPiece(sender.link, rest[0] ?? 0, sender.piece(rest[0] ?? 0));
    let hasRoom = false;
    void waiting?.then(() => hasRoom = true);
    await eventually(() => download.has(rest[0] ?? 0), "a piece that is written");
    await turn();
    // Its own is written: it is still the other's that are too many.
    assertEquals(hasRoom, false);
    unwritten.remove(1);
    await waiting;
    for (const index of rest.slice(1)) {
      void download.onPiece(
        sender.link,
        index,
        sender.piece(index),
      );
    }
    await scene.received();
    assertSameBytes(await Deno.readFile(`${scene.inbox.path}/thing`), content);
    unwritten.remove(3 * PIECE);
    assertEquals([unwritten.areTooMany, unwritten.room()], [false, undefined]);
  },
);

scene(
  "hashes of all transfers are bounded: one that has too many is told to come later",
  async (scene) => {
    const hashes = new SharedBytes(5 * 32);
    scene.shared.hashes = hashes;
    await scene.begin();
    await scene.sender.sendHashes();
    assertEquals((await scene.failure()).code, "busy");
    await eventually(() => scene.sender.all("CANCEL").length === 1, "CANCEL");
    assertEquals(scene.sender.all("CANCEL")[0]?.code, "busy");
    hashes.add(5 * 32);
    assertEquals(hashes.areTooMany, false);
  },
);

scene(
  "while the disk is behind, a turn of the event loop comes before the next piece",
  async (scene) => {
    const { sender, content } = scene;
    const download = await scene.begin();
    await sender.sendHashes();
    const asked = await sender.asked(6);
    // All at once, as from a socket that always has more to read: no write can have been heard of.
    const turns = asked.map((index) => download.onPiece(sender.link, index, sender.piece(index)));
    assertEquals(turns.map((turn) => turn !== undefined), [false, false, true, true, true, true]);
    await Promise.all(turns);
    assertSameBytes(await Deno.readFile((await scene.received()).path), content);
  },
);

scene("pieces may come in any order, and are written as they come", async (scene) => {
  const { sender, content } = scene;
  await scene.begin();
  await sender.sendHashes();
  assertEquals(await sender.asked(6), [0, 1, 2, 3, 4, 5]);
  for (const index of [5, 0, 3, 1, 4, 2]) await sender.sendPiece(index);
  const { path, sha256 } = await scene.received();
  assertSameBytes(await Deno.readFile(path), content);
  assertEquals(sha256, null, "out of order nobody has hashed the whole");
  await eventually(() => sender.all("ACK").some(({ state }) => state === "saved"), "the last ACK");
  assertEquals(sender.all("ACK").at(-1)?.name, "thing");
});

scene(
  "a bad piece is not written and asked for again, the fourth ends the transfer",
  async (scene) => {
    const { sender, inbox } = scene;
    const download = await scene.begin();
    await sender.sendHashes();
    await sender.asked(6);
    const wrong = sender.piece(1).fill(7);
    for (let time = 1; time <= 3; time++) {
      await sender.sendPiece(1, wrong);
      assertEquals((await sender.asked(6 + time)).at(-1), 1);
      assertEquals(download.has(1), false);
    }
    await sender.sendPiece(1, wrong);
    assertEquals((await scene.failure()).code, "integrity");
    await eventually(() => (sender.all("CANCEL").length > 0), "a CANCEL");
    assertEquals(await partialsIn(inbox.path), []);
  },
);

scene("a piece that was not asked for ends the transfer", async (scene) => {
  const { sender } = scene;
  await scene.begin();
  await sender.sendPiece(0);
  assertEquals((await scene.failure()).code, "malformed");
});

scene("a second source shares the work, and only what it was asked for counts", async (scene) => {
  const { sender, content } = scene;
  scene.memory = 6 * PIECE;
  const download = await scene.begin();
  const other = scene.source();
  download.join(other.link);
  await sender.sendHashes();
  const all = [...await sender.asked(1), ...await other.asked(1)];
  await eventually(
    () => (sender.all("GET").length + other.all("GET").length === 6),
    "six GETs in all",
  );
  const [theirs, others] = [await sender.asked(1), await other.asked(1)];
  assertEquals([...theirs, ...others].sort(), [0, 1, 2, 3, 4, 5], `first ${all}`);
  for (const index of theirs) await sender.sendPiece(index);
  for (const index of others) await other.sendPiece(index);
  const { path } = await scene.received();
  assertSameBytes(await Deno.readFile(path), content);
});

scene(
  "a source that breaks the rules is left, and the transfer goes on without it",
  async (scene) => {
    const { sender, content } = scene;
    scene.memory = 6 * PIECE;
    const download = await scene.begin();
    const other = scene.source();
    download.join(other.link);
    await sender.sendHashes();
    const owed = await other.asked(1);
    const [first = 0] = owed;
    await other.sendPiece(first, new Uint8Array(3));
    // All that it owed is asked of the sender.
    const asked = await sender.asked(6);
    assertEquals([...asked].sort(), [0, 1, 2, 3, 4, 5]);
    for (const index of asked) await sender.sendPiece(index);
    assertSameBytes(await Deno.readFile((await scene.received()).path), content);
  },
);

scene("what a source owed when it left is asked of the others", async (scene) => {
  const { sender, content } = scene;
  scene.memory = 6 * PIECE;
  const download = await scene.begin();
  const other = scene.source();
  download.join(other.link);
  await sender.sendHashes();
  await other.asked(1);
  other.close();
  const asked = await sender.asked(6);
  assertEquals([...asked].sort(), [0, 1, 2, 3, 4, 5]);
  for (const index of asked) await sender.sendPiece(index);
  assertSameBytes(await Deno.readFile((await scene.received()).path), content);
});

scene(
  "a sender that left has a minute to come back, and the rest is asked of it",
  async (scene) => {
    const { sender, offer, clock, content } = scene;
    const download = await scene.begin();
    await sender.sendHashes();
    for (const index of (await sender.asked(6)).slice(0, 4)) await sender.sendPiece(index);
    await eventually(() => (download.has(3)), "four pieces on the disk");
    sender.close();
    await sender.link.ended;
    assertEquals(download.sender, undefined);
    clock.advance(59_000);
    const again = scene.source();
    download.resume(again.link, offer, 7);
    assertEquals(await again.asked(2), [4, 5]);
    const [ack] = again.all("ACK");
    assertEquals([ack?.re, ack?.state, ack?.have], [7, "ready", [[0, 4]]]);
    // The answer comes before anything is asked for.
    assertEquals(again.heard[0]?.verb, "ACK");
    for (const index of [4, 5]) await again.sendPiece(index);
    await again.sendHashes();
    assertSameBytes(await Deno.readFile((await scene.received()).path), content);
  },
);

scene("a sender that does not come back ends the transfer after a minute", async (scene) => {
  const { sender, clock } = scene;
  await scene.begin();
  sender.close();
  await sender.link.ended;
  clock.advance(60_000);
  assertEquals((await scene.failure()).code, "connection-lost");
});

scene("another offer under the same transfer is refused, and the first goes on", async (scene) => {
  const { sender, offer } = scene;
  const download = await scene.begin();
  const other = scene.source();
  let code = "";
  try {
    download.resume(other.link, { ...offer, size: 1 }, 2);
  } catch (error) {
    code = (error as P2PError).code;
  }
  assertEquals([code, download.sender], ["invalid", sender.link]);
});

scene("what is verified and written can be lent, and nothing else", async (scene) => {
  const { sender, content } = scene;
  const download = await scene.begin();
  await sender.sendHashes();
  await sender.asked(6);
  assertEquals(download.has(0), false);
  for (const index of [0, 5]) await sender.sendPiece(index);
  await eventually(() => (download.has(0) && download.has(5)), "two pieces");
  for (const index of [0, 5]) {
    const { bytes, release } = await download.lend(index);
    assertSameBytes(bytes, content.slice(index * PIECE, (index + 1) * PIECE));
    release();
  }
  assertEquals(download.has(1), false);
  for (const index of [1, 2, 3, 4]) await sender.sendPiece(index);
  await scene.received();
  assertEquals(download.has(0), false);
});

const tree = sampleTree();
const makeTree = async () => {
  const { table, bytes } = await transferOf(tree);
  return { bytes: new Uint8Array(bytes), table: table.length };
};

scene(
  "the table of a tree is asked for before its files, and can be lent as they can",
  async (scene) => {
    const { sender, content } = scene;
    const download = await scene.begin();
    await sender.sendHashes();
    assertEquals(await sender.asked(1), [0]);
    await sender.sendPiece(0);
    const count = Math.ceil(content.length / PIECE);
    const asked = await sender.asked(Math.min(count, 64));
    for (const index of asked.slice(1, -1)) await sender.sendPiece(index);
    await eventually(() => (download.has(asked.at(-2) ?? 0)), "pieces on the disk");
    for (const index of asked.slice(0, -1)) {
      const { bytes, release } = await download.lend(index);
      assertSameBytes(bytes, sender.piece(index));
      release();
    }
    await sender.sendPiece(asked.at(-1) ?? 0);
    const { path } = await scene.received();
    assertEquals(await pictureOf(path), pictureOfTree(tree));
  },
  makeTree,
);

scene("a tree whose table has changed begins anew", async (scene) => {
  const { sender, inbox, offer, content } = scene;
  // An earlier run left the first pieces of another version.
  const before = await inbox.begin(offer);
  for (let index = 0; index < 3; index++) {
    const piece = sender.piece(index);
    // Another table would not fit; its hash says that it was another one.
    await before.write(index, piece, proofOf(bytesOf(index + 1)));
  }
  await inbox.release(before, true);
  await scene.begin();
  const [ack] = await eventuallyAcks(sender);
  assertEquals(ack?.have, [[0, 3]]);
  await sender.sendHashes();
  const count = Math.ceil(content.length / PIECE);
  assertEquals((await sender.asked(1))[0], 0);
  await sender.sendPiece(0);
  const asked = await sender.asked(count);
  assertEquals([...asked].sort((a, b) => a - b), Array.from({ length: count }, (_, i) => i));
  for (const index of asked.slice(1)) await sender.sendPiece(index);
  assertEquals(await pictureOf((await scene.received()).path), pictureOfTree(tree));
}, makeTree);

async function eventuallyAcks(source: Source): Promise<MessageOf<"ACK">[]> {
  await eventually(() => (source.all("ACK").length > 0), "an ACK");
  return source.all("ACK");
}

scene("only the sender says what it offers, or ends it", async (scene) => {
  const { sender, content } = scene;
  scene.memory = 6 * PIECE;
  const download = await scene.begin();
  const evil = scene.source(bytesOf(content.length, 666));
  download.join(evil.link);
  // Its hashes would make its pieces right.
  await evil.sendHashes();
  await sender.sendHashes();
  const [owed = 0] = await evil.asked(1);
  await evil.sendPiece(owed);
  // It is left at the first wrong piece, and everything comes from the sender.
  const asked = await sender.asked(6);
  const other = scene.source();
  download.join(other.link);
  await other.cancel();
  await eventually(() => other.link.isIdle, "a source that has left");
  for (const index of asked) await sender.sendPiece(index);
  assertSameBytes(await Deno.readFile((await scene.received()).path), content);
});

scene(
  "the disk's word on an earlier piece counts before what came of a later one",
  async (scene) => {
    const { sender } = scene;
    const download = await scene.begin();
    await sender.sendHashes();
    await sender.asked(6);
    const failing = new P2PError("no-space", "full");
    const { target } = scene;
    assert(target);
    const written = Promise.withResolvers<void>();
    target.write = async () => {
      await written.promise;
      throw failing;
    };
    await sender.sendPiece(0);
    await sender.sendPiece(1, new Uint8Array(3));
    await eventually(() => download.isEnding, "the end");
    written.resolve();
    assertEquals((await scene.failure()).code, "no-space");
  },
);
