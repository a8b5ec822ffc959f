/** A download in a swarm, whose sharer and neighbours are played by hand. */

import { assert, assertEquals } from "@std/assert";
import { eventually } from "../../helpers/deadline.ts";
import { assertSameBytes } from "../../helpers/bytes.ts";
import { PIECE, type Scene, scene, type Source, TRANSFER } from "../../helpers/download.ts";

const transfer = TRANSFER;

function swarm(name: string, play: (scene: Scene) => Promise<void>): void {
  scene(`swarm: ${name}`, async (scene) => {
    scene.isSwarm = true;
    await scene.begin();
    await scene.sender.sendHashes();
    await play(scene);
  });
}

/** Joins another receiver, which says that it has the pieces. */
async function neighbour(scene: Scene, pieces: number[]): Promise<Source> {
  const source = scene.source();
  assert(scene.download.admits(source.link));
  scene.download.join(source.link);
  await announce(source, pieces);
  return source;
}

async function announce(source: Source, pieces: number[]): Promise<void> {
  await source.say({ verb: "HAVE", transfer, pieces: pieces.map((index) => [index, index + 1]) });
}

async function give(source: Source, index: number): Promise<void> {
  await source.say({ verb: "GIVE", transfer, index });
  await source.sendPiece(index);
}

/** Answers each GET that comes until everything is there. */
async function serve(source: Source, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const asked = await source.asked(i + 1);
    await source.sendPiece(asked[i] ?? 0);
  }
}

const ALL = [0, 1, 2, 3, 4, 5];

swarm("the sharer is asked for nothing before it has announced it", async (scene) => {
  const { sender } = scene;
  const [ready] = await sender.hears("ACK", 1);
  assertEquals(ready?.swarm, true);
  await give(sender, 3);
  await eventually(() => scene.download.has(3), "piece 3");
  assertEquals(sender.all("GET"), []);
  await announce(sender, ALL);
  await serve(sender, 5);
  assertSameBytes(await Deno.readFile((await scene.received()).path), scene.content);
  assertEquals(new Set(await sender.asked(5)), new Set([0, 1, 2, 4, 5]));
});

swarm("pieces come of neighbours, and are passed on to others", async (scene) => {
  const ann = await neighbour(scene, [0, 1]);
  await serve(ann, 2);
  await eventually(() => scene.download.has(0) && scene.download.has(1), "two pieces");
  const ben = await neighbour(scene, []);
  const [first] = await ben.hears("HAVE", 1);
  assertEquals(first?.pieces, [[0, 2]]);
  await ben.say({ verb: "GET", transfer, index: 1 });
  assertEquals((await ben.hears("PIECE", 1)).map(({ index }) => index), [1]);
  await announce(scene.sender, ALL);
  await serve(scene.sender, 4);
  await scene.received();
  assertEquals((await scene.sender.hears("ACK", 2)).map(({ state, swarm }) => [state, swarm]), [
    ["ready", true],
    ["saved", true],
  ]);
  assertEquals(ben.all("CANCEL"), []);
  await scene.sender.cancel();
  assertEquals((await ben.hears("CANCEL", 1)).map(({ code }) => code), ["cancelled"]);
  await scene.over.promise;
});

/** A scene in which everything has come from the sharer, and one neighbour that has nothing. */
async function seeded(scene: Scene): Promise<{ ann: Source; path: string }> {
  await announce(scene.sender, ALL);
  await serve(scene.sender, ALL.length);
  const { path } = await scene.received();
  const ann = await neighbour(scene, []);
  await ann.hears("HAVE", 1);
  return { ann, path };
}

async function gets(source: Source, index: number, nth: number): Promise<void> {
  await source.say({ verb: "GET", transfer, index });
  assertEquals((await source.hears("PIECE", nth)).at(-1)?.index, index);
}

swarm(
  "who has everything serves others that come later, and where its name goes",
  async (scene) => {
    const { ann, path } = await seeded(scene);
    await gets(ann, 4, 1);
    await Deno.rename(path, `${path}.moved`);
    await gets(ann, 5, 2);
  },
);

swarm("what was changed after it had arrived is not served", async (scene) => {
  const { ann, path } = await seeded(scene);
  using file = await Deno.open(path, { write: true });
  await file.write(new Uint8Array(10));
  await gets(ann, 4, 1);
  await ann.say({ verb: "GET", transfer, index: 0 });
  await ann.hears("CANCEL", 1);
  await scene.over.promise;
  assertEquals(ann.all("PIECE").length, 1);
});

swarm("without its sharer it serves as long as somebody asks", async (scene) => {
  const { ann } = await seeded(scene);
  scene.sender.close();
  await scene.sender.link.ended;
  for (let nth = 1; nth <= 3; nth++) {
    scene.clock.advance(50_000);
    await gets(ann, nth, nth);
  }
  assert(scene.download.isSeeding);
  scene.clock.advance(60_000);
  await scene.over.promise;
  await ann.hears("CANCEL", 1);
});

scene("swarm: it serves no longer than it is to", async (scene) => {
  scene.isSwarm = true;
  scene.seedFor = 5_000;
  await scene.begin();
  await scene.sender.sendHashes();
  const { ann } = await seeded(scene);
  await gets(ann, 4, 1);
  scene.clock.advance(5_000);
  await scene.over.promise;
  // The sharer as well: it counts on it no longer.
  await scene.sender.hears("CANCEL", 1);
});

scene("swarm: nor at all where it is not to", async (scene) => {
  scene.isSwarm = true;
  scene.seedFor = 0;
  await scene.begin();
  await scene.sender.sendHashes();
  await announce(scene.sender, ALL);
  await serve(scene.sender, ALL.length);
  await scene.received();
  assertEquals((await scene.sender.hears("ACK", 2)).at(-1)?.swarm, undefined);
  await scene.over.promise;
});

swarm("a sharer that is interrupted leaves the others to go on", async (scene) => {
  const ann = await neighbour(scene, []);
  await announce(scene.sender, ALL);
  await scene.sender.asked(1);
  await scene.sender.say({ verb: "CANCEL", transfer, code: "interrupted", message: "^C" });
  await eventually(() => scene.download.sender === undefined, "that it is left");
  await announce(ann, ALL);
  await serve(ann, ALL.length);
  assertSameBytes(await Deno.readFile((await scene.received()).path), scene.content);
});

swarm(
  "what came is announced to whoever sent it at once, and to the others a moment later",
  async (scene) => {
    const ann = await neighbour(scene, [0]);
    const ben = await neighbour(scene, [0]);
    const cleo = await neighbour(scene, []);
    const asked = () => [...ann.all("GET"), ...ben.all("GET")].length;
    await eventually(() => asked() === 1, "a GET");
    const [source] = ann.all("GET").length > 0 ? [ann] : [ben];
    await source.sendPiece(0);
    await source.hears("HAVE", 1);
    assertEquals(cleo.all("HAVE"), []);
    scene.clock.advance(50);
    assertEquals((await cleo.hears("HAVE", 1)).map(({ pieces }) => pieces), [[[0, 1]]]);
  },
);

swarm("who sends something wrong is a neighbour no longer, on no link", async (scene) => {
  const ann = await neighbour(scene, [0, 1]);
  const [first = 0] = await ann.asked(1);
  await ann.sendPiece(first, new Uint8Array(PIECE));
  const again = scene.source(scene.content, ann.link.session.remote.id);
  await eventually(() => !scene.download.admits(again.link), "that it is banned");
  const ben = await neighbour(scene, [0, 1]);
  await serve(ben, 2);
  await announce(scene.sender, ALL);
  await serve(scene.sender, 4);
  assertSameBytes(await Deno.readFile((await scene.received()).path), scene.content);
});

swarm("what a neighbour owed that leaves is asked of somebody else", async (scene) => {
  const ann = await neighbour(scene, [2]);
  await ann.asked(1);
  await ann.say({ verb: "CANCEL", transfer, code: "cancelled", message: "over" });
  const ben = await neighbour(scene, [2]);
  assertEquals(await ben.asked(1), [2]);
});

swarm("a piece that comes unasked of a neighbour is of no use, and no harm", async (scene) => {
  const ann = await neighbour(scene, []);
  await ann.sendPiece(4);
  await announce(scene.sender, ALL);
  await serve(scene.sender, 6);
  assert((await scene.sender.asked(6)).includes(4));
  assertSameBytes(await Deno.readFile((await scene.received()).path), scene.content);
});

swarm("a neighbour that announces the same without end is one no longer", async (scene) => {
  const ann = await neighbour(scene, []);
  for (let i = 0; i < 20; i++) await announce(ann, ALL);
  await ann.asked(1);
  await announce(scene.sender, ALL);
  await serve(scene.sender, 6);
  await scene.received();
});

swarm("HASHES, GIVE and the last ACK are the sharer's", async (scene) => {
  const ann = await neighbour(scene, []);
  await ann.say({ verb: "GIVE", transfer, index: 0 });
  await ann.sendHashes();
  await give(scene.sender, 0);
  await eventually(() => scene.download.has(0), "piece 0");
  await announce(scene.sender, ALL);
  await serve(scene.sender, 5);
  await scene.received();
  assertEquals(ann.all("ACK"), []);
  assertEquals((await scene.sender.hears("ACK", 2)).map(({ state }) => state), ["ready", "saved"]);
});

swarm("without its sharer it comes to its end, if the others have everything", async (scene) => {
  const ann = await neighbour(scene, [0]);
  await serve(ann, 1);
  await eventually(() => scene.download.has(0), "piece 0");
  scene.sender.close();
  await scene.sender.link.ended;
  const has = (...pieces: number[]) => pieces.every((index) => scene.download.has(index));
  await announce(ann, [1, 2, 3]);
  await serve(ann, 4);
  await eventually(() => has(1, 2, 3), "pieces 1 to 3");
  // It is not given up as long as it gets further.
  scene.clock.advance(59_000);
  await announce(ann, [4]);
  await serve(ann, 5);
  await eventually(() => has(4), "piece 4");
  scene.clock.advance(2_000);
  await announce(ann, [5]);
  await serve(ann, 6);
  assertSameBytes(await Deno.readFile((await scene.received()).path), scene.content);
});

swarm("nor does it wait then for a neighbour that is silent", async (scene) => {
  const ann = await neighbour(scene, [0]);
  await ann.asked(1);
  scene.sender.close();
  await scene.sender.link.ended;
  for (let i = 0; i < 24; i++) {
    scene.clock.advance(500);
    await Promise.resolve();
  }
  const ben = await neighbour(scene, ALL);
  await serve(ben, ALL.length);
  assertSameBytes(await Deno.readFile((await scene.received()).path), scene.content);
});

swarm("a neighbour that owes a piece for too long is left", async (scene) => {
  const ann = await neighbour(scene, [0]);
  await ann.asked(1);
  await announce(scene.sender, [0]);
  for (let i = 0; i < 24; i++) {
    scene.clock.advance(500);
    await Promise.resolve();
  }
  assert(scene.download.admits(ann.link), "it is none of its sources any more");
  const asked = await scene.sender.asked(1);
  assertEquals(asked, [0]);
  await scene.sender.sendPiece(0);
  await announce(scene.sender, ALL);
  await eventually(() => scene.sender.all("GET").length > 1, "more GETs");
});
