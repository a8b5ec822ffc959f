/** Folders: they arrive as they were, safe whatever their sender made up, and once. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { P2PError } from "../../lib/errors.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { FaultyLink } from "../helpers/faulty_link.ts";
import { NO_PROXY } from "../helpers/faulty_proxy.ts";
import { Invariants, partialsIn, untilGivenUp } from "../helpers/invariants.ts";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { NO_LINUX, permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { manifestOf, openRaw, type RawSession } from "../helpers/raw.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";
import {
  LONG_AGO,
  pictureOf,
  pictureOfTree,
  plant,
  sampleTree,
  type TestTree,
  transferOf,
} from "../helpers/tree.ts";
import hostile from "../testdata/hostile_names.json" with { type: "json" };

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
const MIB = 1024 * 1024;

/** Where a test keeps what it sends: the canary does not look there. */
function outbox(dir: TempDir, name: string): string {
  return dir.at("peer-outbox", "state", name);
}

/** Names on top of an inbox. */
function namesIn(inbox: string): string[] {
  return [...Deno.readDirSync(inbox)].map(({ name }) => name).filter((name) => name !== ".partial")
    .sort();
}

for (const insecure of [false, true]) {
  permitted(`a tree arrives as it was, ${insecure ? "without" : "with"} TLS`, NEEDS, async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ insecure });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    const invariants = await Invariants.of(dir, [anna, bob]);
    const tree = sampleTree();
    const { bytes, table } = await transferOf(tree);
    const ofFiles = bytes.length - table.length;
    await plant(outbox(dir, "photos"), tree);
    const report = await anna.peer.sendFile(`${outbox(dir, "photos")}/`, ["bob"]);
    assertEquals(report.failures, []);
    const { name, size, files, bytesSent, sha256, recipients } = report;
    assertEquals(
      { name, size, files, bytesSent, sha256, savedAs: recipients[0]?.savedAs },
      {
        name: "photos",
        size: ofFiles,
        files: 5,
        bytesSent: bytes.length,
        sha256: null,
        savedAs: "photos",
      },
    );
    const received = await bob.until("file-received");
    assertEquals([received.files, received.sha256, received.size], [5, null, ofFiles]);
    assertEquals(received.path, join(bob.inbox, "photos"));
    assertEquals(await pictureOf(received.path), pictureOfTree(tree));
    assertEquals((await anna.until("transfer-started")).files, 5);
    assertEquals(anna.all("transfer-progress").at(-1)?.files, 5);
    assertEquals(anna.all("notice"), []);
    await invariants.assertAll();
  });
}

permitted("trees of nothing, of empty files, and of very many", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const many: TestTree = {};
  for (let i = 0; i < 1000; i++) {
    if (i % 100 === 0) many[`d${i}`] = {};
    many[`d${i - i % 100}/${i}.txt`] = { content: bytesOf(i % 7 === 0 ? 0 : i * 3, i) };
  }
  const trees: Record<string, TestTree> = {
    nothing: {},
    folders: { a: {}, "a/b": { mtime: 0 } },
    "empty files": { x: { content: bytesOf(0) }, y: { content: bytesOf(0), executable: true } },
    many,
  };
  for (const [name, tree] of Object.entries(trees)) {
    await plant(outbox(dir, name), tree);
    const report = await anna.peer.sendFile(outbox(dir, name), ["bob"]);
    assertEquals([report.failures, report.recipients[0]?.state], [[], "delivered"], name);
    assertEquals(await pictureOf(join(bob.inbox, name)), pictureOfTree(tree), name);
  }
});

permitted("a tree whose name is taken gets a number, whatever has it", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  await Deno.writeTextFile(join(bob.inbox, "Photos"), "mine");
  await Deno.mkdir(join(bob.inbox, "photos (1)"));
  const names: (string | undefined)[] = [];
  for (const seed of [1, 2]) {
    await plant(outbox(dir, "photos"), sampleTree(seed));
    const { recipients } = await anna.peer.sendFile(outbox(dir, "photos"), []);
    names.push(recipients[0]?.savedAs);
    const path = join(bob.inbox, names.at(-1) ?? "");
    assertEquals(await pictureOf(path), pictureOfTree(sampleTree(seed)));
  }
  assertEquals(names, ["photos (2)", "photos (3)"]);
  assertEquals(await Deno.readTextFile(join(bob.inbox, "Photos")), "mine");
  assertEquals(await pictureOf(join(bob.inbox, "photos (1)")), []);
});

permitted("links are left out and told, or followed when asked for", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const tree: TestTree = { "a.txt": { content: bytesOf(10) } };
  const path = outbox(dir, "tree");
  await plant(path, tree);
  await plant(outbox(dir, "elsewhere"), { secret: { content: bytesOf(5) } });
  await Deno.symlink(outbox(dir, "elsewhere"), join(path, "link"));
  await Deno.symlink("..", join(path, "up"));
  assertEquals((await anna.peer.sendFile(path, [])).failures, []);
  assertEquals(await pictureOf(join(bob.inbox, "tree")), pictureOfTree(tree));
  const { message } = await anna.until("notice");
  for (const text of [path, "2 links", "link, up", "--follow"]) assertStringIncludes(message, text);
  assertEquals((await anna.peer.sendFile(path, [], { follow: true })).failures, []);
  const { mtime } = await Deno.stat(outbox(dir, "elsewhere"));
  assertEquals(
    await pictureOf(join(bob.inbox, "tree (1)")),
    pictureOfTree({
      ...tree,
      link: { mtime: mtime?.getTime() ?? 0 },
      "link/secret": { content: bytesOf(5) },
    }),
  );
}, { ignore: NO_LINUX });

/** A scene in which mallory sends trees by hand; afterwards bob works, and nothing else was touched. */
function byHand(
  name: string,
  play: (bob: TestPeer, mallory: RawSession) => Promise<void>,
): void {
  permitted(name, NEEDS, async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ insecure: true });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    const clock = new FakeClock();
    await using bob = await startPeer(tracker, dir, { name: "bob", clock });
    const invariants = await Invariants.of(dir, [anna, bob]);
    const { address, identity: { id } } = bob;
    const mallory = await openRaw({ address, membership: null, id });
    await play(bob, mallory);
    await mallory[Symbol.asyncDispose]();
    await untilGivenUp(bob, clock, anna);
    await invariants.assertAll();
  });
}

/** Sends a tree by hand; resolves with the answer that ends it. */
async function sendTree(mallory: RawSession, tree: TestTree, name = "tree") {
  const { table, bytes } = await transferOf(tree);
  const manifest = manifestOf(bytes, undefined, { table: table.length });
  const offer = { name, size: bytes.length, table: table.length };
  const transfer = await mallory.offerTree(offer);
  return { answer: await mallory.serve(transfer, manifest), manifest };
}

const ESCAPES = [
  "../evil",
  "../../../../../../tmp/evil",
  "/tmp/evil",
  "a/../../evil",
  "a/./b",
  "a//b",
  "..",
  ".",
  "",
  "nul\0byte",
];

byHand("a tree that leads out of itself is refused by name", async (bob, mallory) => {
  for (const path of ESCAPES) {
    const seen = bob.events.length;
    const { answer } = await sendTree(mallory, { a: {}, [path]: { content: bytesOf(5) } });
    assertEquals([answer.verb, "code" in answer && answer.code], ["CANCEL", "refused"], path);
    const failed = await bob.until("receive-failed", () => true, seen);
    assertEquals(failed.code, "refused");
    assertStringIncludes(failed.message, `'${path}'`);
    assertEquals(namesIn(bob.inbox), []);
    assertEquals(await partialsIn(bob.inbox), []);
  }
});

byHand("a tree in which a path comes twice is refused by name", async (bob, mallory) => {
  const twice: TestTree = { a: { content: bytesOf(1) }, "a/b": { content: bytesOf(1) } };
  const { answer } = await sendTree(mallory, twice);
  assertEquals([answer.verb, "code" in answer && answer.code], ["CANCEL", "refused"]);
  assertEquals(namesIn(bob.inbox), []);
});

byHand(
  "names of every kind inside of a tree arrive safe, each with its bytes",
  async (bob, mallory) => {
    const names = hostile.map(({ name }) => name).filter((name) =>
      name.isWellFormed() && name.length < 4000 && !/[/\0]/.test(name) && !/^\.{0,2}$/.test(name)
    );
    const tree: TestTree = Object.fromEntries(
      [...new Set(names)].map((name, i) => [name, { content: bytesOf(20, i) }]),
    );
    const { answer, manifest } = await sendTree(mallory, tree, "../names");
    assertEquals(answer.verb, "ACK", JSON.stringify(answer));
    if (answer.verb === "ACK") {
      assertEquals([answer.state, answer.name, answer.manifest], ["saved", "names", manifest.id]);
    }
    assertEquals(namesIn(bob.inbox), ["names"]);
    const content = (line: string) => line.replace(/^.* file /s, "");
    const there = await pictureOf(join(bob.inbox, "names"));
    assertEquals(there.map(content).sort(), pictureOfTree(tree).map(content).sort());
    for (const line of there) assert(!/[\p{Cc}\p{Bidi_Control}]/u.test(line), line);
    for (const name of namesIn(join(bob.inbox, "names"))) {
      assert(!/(?:^|\\)\.{0,2}\\/.test(name), name);
    }
  },
);

byHand(
  "names that become one in a tree are numbered, and both ends hear it",
  async (bob, mallory) => {
    const names = ["a\u0001", "a\u0002", "a_", "b"];
    const { answer } = await sendTree(
      mallory,
      Object.fromEntries(names.map((name, i) => [name, { content: bytesOf(1 + i) }])),
    );
    assertEquals(namesIn(join(bob.inbox, "tree")), ["a_", "a_ (1)", "a_ (2)", "b"]);
    assert(answer.verb === "ACK");
    assertEquals([answer.renamed, answer.renames], [3, [
      { from: "a\u0001", to: "a_" },
      { from: "a\u0002", to: "a_ (1)" },
      { from: "a_", to: "a_ (2)" },
    ]]);
    const { message } = await bob.until("notice");
    assertStringIncludes(message, "3 names are kept otherwise");
    assert(!message.includes("\u0001"), message);
  },
);

byHand("a link in the way of a tree is not followed", async (bob, mallory) => {
  const outside = join(bob.folder, "outside");
  await Deno.mkdir(outside);
  await Deno.symlink(outside, join(bob.inbox, "tree"));
  const { answer } = await sendTree(mallory, { a: {}, "a/b": { content: bytesOf(5) } });
  assertEquals("name" in answer && answer.name, "tree (1)");
  assertEquals([...Deno.readDirSync(outside)], []);
  await Deno.remove(join(bob.inbox, "tree"));
  await Deno.remove(outside);
});

byHand("a table that does not fit the offer is malformed", async (bob, mallory) => {
  const { table, bytes } = await transferOf(sampleTree());
  const manifest = manifestOf(bytes, undefined, { table: table.length });
  for (const head of [table.length - 1, table.length + 1, 1]) {
    const transfer = await mallory.offerTree({ size: bytes.length, table: head });
    const answer = await mallory.serve(transfer, manifest);
    await bob.until("receive-failed", (failed) => failed.transfer === transfer);
    assertEquals([answer.verb, "code" in answer && answer.code], ["CANCEL", "malformed"]);
  }
  for (const size of [bytes.length - 1, bytes.length + 1]) {
    const other = manifestOf(bytes.slice(0, size), undefined, { table: table.length });
    const transfer = await mallory.offerTree({ size, table: table.length });
    const answer = await mallory.serve(transfer, { ...other, last: { ...other.last, size } });
    await bob.until("receive-failed", (failed) => failed.transfer === transfer);
    assertEquals([answer.verb, "code" in answer && answer.code], ["CANCEL", "malformed"]);
  }
  assertEquals([namesIn(bob.inbox), await partialsIn(bob.inbox)], [[], []]);
});

byHand("a tree without a table is empty, or its offer is malformed", async (bob, mallory) => {
  await rejectsWith("malformed", () => mallory.offerTree({ size: 1, table: 0 }));
  assertEquals([namesIn(bob.inbox), await partialsIn(bob.inbox)], [[], []]);
});

byHand("absurd offers of trees are refused, and the session goes on", async (_bob, mallory) => {
  const offer = (size: number, table: number) => () => mallory.offerTree({ size, table });
  await rejectsWith("invalid", offer(10, 11));
  await rejectsWith("no-space", () => mallory.offerTree({ size: 2 ** 42, pieceSize: 4 * MIB }));
  await offer(10, 10)();
  await rejectsWith("malformed", offer(2 ** 40, 64 * MIB + 1));
});

byHand("a tree's files are not asked for before its table is there", async (_bob, mallory) => {
  const { table, bytes } = await transferOf({ a: { content: bytesOf(100_000) } });
  const { hashes, last, pieces } = manifestOf(bytes, undefined, { table: table.length });
  const transfer = await mallory.offerTree({ size: bytes.length, table: table.length });
  await mallory.send({ verb: "HASHES", transfer, start: 0, last }, hashes);
  await mallory.until("GET", ({ index }) => index === 0);
  await mallory.session.request({ verb: "PING" });
  const asked = () => mallory.frames.all.filter(({ message }) => message.verb === "GET").length;
  assertEquals(asked(), 1);
  await mallory.send({ verb: "PIECE", transfer, index: 0 }, pieces[0]);
  await mallory.until("GET", ({ index }) => index === pieces.length - 1);
  assertEquals(asked(), pieces.length);
});

/** A tree of 40 MiB: large files, and small ones between them. */
function largeTree(): TestTree {
  const tree: TestTree = { small: { mtime: LONG_AGO } };
  for (let i = 0; i < 200; i++) tree[`small/${i}`] = { content: bytesOf(1000 + i, i) };
  for (let i = 0; i < 5; i++) tree[`x${i}.bin`] = { content: bytesOf(8 * MIB - i, 1000 + i) };
  return tree;
}

const STALL = 24 * MIB;
/** What a break may cost: the window that was on its way, and what the journal did not know yet. */
const WASTE = 16 * MIB;

/** Sends a tree of 40 MiB, and breaks it off, by both sides, when more than half of it is there. */
async function breakOff(link: FaultyLink, path: string): Promise<void> {
  link.stallNext(STALL);
  const stop = new AbortController();
  const sending = link.anna.peer.sendFile(path, ["bob"], { signal: stop.signal });
  await link.bob.until("transfer-progress", ({ bytes }) => bytes > STALL - 2 * MIB);
  stop.abort(new P2PError("interrupted", "Interrupted"));
  link.proxy.release();
  assertEquals((await sending).failures.map(({ code }) => code), ["interrupted"]);
}

function linked(name: string, fn: (link: FaultyLink, path: string) => Promise<void>): void {
  permitted(name, NEEDS, async () => {
    await using link = await FaultyLink.open();
    const path = outbox(link.dir, "big");
    await plant(path, largeTree());
    await fn(link, path);
    assertEquals(await partialsIn(link.bob.inbox), []);
  }, { ignore: NO_PROXY });
}

linked("an interrupted tree goes on with what is missing", async (link, path) => {
  await breakOff(link, path);
  const { failures, size, bytesSent } = await link.anna.peer.sendFile(path, ["bob"]);
  assertEquals(failures, []);
  assert(bytesSent <= size - STALL + WASTE, `${bytesSent} bytes were sent again`);
  assertEquals(await pictureOf(join(link.bob.inbox, "big")), pictureOfTree(largeTree()));
});

linked("an interrupted tree goes on after a restart of both sides", async (link, path) => {
  await breakOff(link, path);
  const { tracker, dir, anna, bob } = link;
  await bob[Symbol.asyncDispose]();
  await anna[Symbol.asyncDispose]();
  await using sender = await startPeer(tracker, dir, { name: "anna", identity: anna.identity });
  await using receiver = await startPeer(tracker, dir, { name: "bob", identity: bob.identity });
  const { failures, size, bytesSent } = await sender.peer.sendFile(path, ["bob"]);
  assertEquals(failures, []);
  assert(bytesSent <= size - STALL + WASTE, `${bytesSent} bytes were sent again`);
  assertEquals(await pictureOf(join(receiver.inbox, "big")), pictureOfTree(largeTree()));
});

/** Changes after which the table has as many bytes as before, and the whole as well. */
const SAME_SIZE: Record<string, (tree: TestTree) => TestTree> = {
  "a file has another time": (tree) => ({
    ...tree,
    "x0.bin": { ...tree["x0.bin"], mtime: LONG_AGO + 1 },
  }),
  "a file has another name": (tree) => {
    const { "x4.bin": moved = {}, ...rest } = tree;
    return { ...rest, "x9.bin": moved };
  },
  "two files have changed places": (tree) => ({
    ...tree,
    "x0.bin": { ...tree["x1.bin"] },
    "x1.bin": { ...tree["x0.bin"] },
  }),
};

for (const [what, change] of Object.entries(SAME_SIZE)) {
  linked(
    `of an interrupted tree in which ${what} since, all is as it is now`,
    async (link, path) => {
      await breakOff(link, path);
      const changed = change(largeTree());
      await Deno.remove(path, { recursive: true });
      await plant(path, changed);
      const before = await transferOf(largeTree());
      const { table, bytes } = await transferOf(changed);
      assertEquals([table.length, bytes.length], [before.table.length, before.bytes.length]);
      const { failures } = await link.anna.peer.sendFile(path, ["bob"]);
      assertEquals(failures, []);
      assertEquals(await pictureOf(join(link.bob.inbox, "big")), pictureOfTree(changed));
    },
  );
}

linked("a tree that changes while it is sent is not published", async (link, path) => {
  // So early that the last file has not been read.
  link.stallNext(4 * MIB);
  const sending = link.anna.peer.sendFile(path, ["bob"]);
  await link.bob.until("transfer-progress", ({ bytes }) => bytes > MIB);
  await Deno.truncate(join(path, "x4.bin"), 5);
  link.proxy.release();
  const { failures } = await sending;
  assertEquals(failures.map(({ code }) => code), ["source-changed"]);
  assertStringIncludes(failures[0]?.message ?? "", join(path, "x4.bin"));
  await link.bob.until("receive-failed", ({ code }) => code === "source-changed");
  assertEquals(namesIn(link.bob.inbox), []);
});
