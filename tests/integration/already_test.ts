/** Nothing is received twice: what is there costs no bytes, and a lost ACK makes no second copy. */

import { readHistory } from "../../lib/peer/read_history.ts";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { assertSameBytes } from "../helpers/bytes.ts";
import { eventually } from "../helpers/deadline.ts";
import { FaultyLink } from "../helpers/faulty_link.ts";
import { NO_PROXY } from "../helpers/faulty_proxy.ts";
import { minutesAhead, secondBegins } from "../helpers/file_age.ts";
import { hashesIn, hexHash, Invariants, partialsIn } from "../helpers/invariants.ts";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { manifestOf, openRaw, type RawSession } from "../helpers/raw.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";
import { pictureOf, pictureOfTree, plant, sampleTree, transferOf } from "../helpers/tree.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
const PIECE = 256 * 1024;
const content = bytesOf(3 * PIECE + 1);

interface Scene {
  dir: TempDir;
  tracker: TestTracker;
  anna: TestPeer;
  bob: TestPeer;
  /** What anna sends. */
  file: string;
  tree: string;
  /** Ends a peer and starts it again. */
  restarted(peer: TestPeer): Promise<TestPeer>;
}

/** Plays it as if what anna sends had been there for long, or with `fresh` as it is: made just now. */
function scene(
  name: string,
  play: (scene: Scene) => Promise<void>,
  { fresh = false }: { fresh?: boolean } = {},
): void {
  permitted(name, NEEDS, async () => {
    using _clock = fresh ? null : minutesAhead();
    await using stack = new AsyncDisposableStack();
    const dir = stack.use(await tempDir());
    const tracker = stack.use(startTracker());
    const anna = stack.use(await startPeer(tracker, dir, { name: "anna" }));
    const bob = stack.use(await startPeer(tracker, dir, { name: "bob" }));
    const outbox = dir.at("peer-outbox", "state");
    await Deno.mkdir(outbox, { recursive: true });
    const [file, tree] = [join(outbox, "a.bin"), join(outbox, "photos")];
    await Deno.writeFile(file, content);
    await plant(tree, sampleTree());
    const restarted = async (peer: TestPeer) => {
      await peer[Symbol.asyncDispose]();
      const { name, identity } = peer;
      return stack.use(await startPeer(tracker, dir, { name, identity }));
    };
    await play({ dir, tracker, anna, bob, file, tree, restarted });
  });
}

/** Sends to bob; resolves with what came of it and how many bytes of pieces went out. */
async function send(anna: TestPeer, path: string): Promise<[outcome: string, bytes: number]> {
  const { recipients: [result], bytesSent, failures } = await anna.peer.sendFile(path, ["bob"]);
  assertEquals(failures, []);
  return [`${result?.state} ${result?.savedAs}`, bytesSent];
}

function namesIn({ inbox }: TestPeer): string[] {
  return [...Deno.readDirSync(inbox)].map(({ name }) => name).sort();
}

const TREE = await transferOf(sampleTree());
const TREE_SIZE = TREE.bytes.length;
const FILES_SIZE = TREE_SIZE - TREE.table.length;

scene("what is there already costs no bytes, and the report says so", async (scene) => {
  const { anna, bob, file, tree } = scene;
  assertEquals(await send(anna, file), ["delivered a.bin", content.length]);
  assertEquals(await send(anna, tree), ["delivered photos", TREE_SIZE]);
  const seen = bob.events.length;
  assertEquals(await send(anna, file), ["already a.bin", 0]);
  const again = await bob.until("file-received", () => true, seen);
  assertEquals([again.already, again.path, again.sha256], [
    true,
    join(bob.inbox, "a.bin"),
    hexHash(content),
  ]);
  assertEquals(await send(anna, tree), ["already photos", 0]);
  const treeAgain = await bob.until("file-received", ({ path }) => path.endsWith("photos"), seen);
  assertEquals([treeAgain.already, treeAgain.files, treeAgain.size], [true, 5, FILES_SIZE]);
  assertEquals(namesIn(bob), [".partial", "a.bin", "photos"]);
  assertEquals(await partialsIn(bob.inbox), []);
  let states: string[] = [];
  // The peer does not wait for its history.
  await eventually(async () => {
    states = [];
    for await (const { name, state } of readHistory(bob.peer.history)) {
      states.push(`${state} ${name}`);
    }
    return states.length >= 4;
  }, "four entries of the history");
  assertEquals(states.sort(), [
    "already a.bin",
    "already photos",
    "received a.bin",
    "received photos",
  ]);
});

scene("also after a restart of the receiver, and of the sender", async (scene) => {
  const { file, tree, restarted } = scene;
  await send(scene.anna, file);
  await send(scene.anna, tree);
  const bob = await restarted(scene.bob);
  assertEquals(await send(scene.anna, file), ["already a.bin", 0]);
  assertEquals(await send(scene.anna, tree), ["already photos", 0]);
  const anna = await restarted(scene.anna);
  assertEquals(await send(anna, file), ["already a.bin", 0]);
  assertEquals(await send(anna, tree), ["already photos", 0]);
  assertEquals(namesIn(bob), [".partial", "a.bin", "photos"]);
});

scene(
  "a sender that does not know the hash yet sends it, and no second copy is made",
  async (scene) => {
    const { anna, bob, file, tree } = scene;
    await send(anna, file);
    await send(anna, tree);
    await Deno.remove(join(anna.folder, "state", "manifests"), { recursive: true });
    assertEquals(await send(anna, file), ["already a.bin", content.length]);
    assertEquals(await send(anna, tree), ["already photos", TREE_SIZE]);
    assertEquals(namesIn(bob), [".partial", "a.bin", "photos"]);
    assertEquals(await partialsIn(bob.inbox), []);
  },
);

scene("another content of the same name, or the same of another name, is new", async (scene) => {
  const { anna, bob, file } = scene;
  await send(anna, file);
  const copy = `${file}.copy`;
  await Deno.copyFile(file, copy);
  assertEquals(await send(anna, copy), ["delivered a.bin.copy", content.length]);
  await Deno.writeFile(file, content.toReversed());
  assertEquals(await send(anna, file), ["delivered a (1).bin", content.length]);
  assertSameBytes(await Deno.readFile(join(bob.inbox, "a.bin")), content);
  // Both are there, and either is known.
  assertEquals(await send(anna, file), ["already a (1).bin", 0]);
  await Deno.writeFile(file, content);
  assertEquals(await send(anna, file), ["already a.bin", content.length]);
  assertEquals(namesIn(bob), [".partial", "a (1).bin", "a.bin", "a.bin.copy"]);
});

for (const what of ["file", "tree"] as const) {
  scene(
    `a ${what} that is overwritten at once, with the same size and times, is sent as it is now`,
    async ({ anna, bob, file, tree }) => {
      const path = what === "file" ? file : tree;
      const changed = what === "file" ? file : join(tree, "a", "run.sh");
      const name = what === "file" ? "a.bin" : "photos";
      await secondBegins();
      const bytes = await Deno.readFile(changed);
      await Deno.writeFile(changed, bytes);
      const { mtime } = await Deno.stat(changed);
      assertEquals((await send(anna, path))[0], `delivered ${name}`);
      const others = bytes.map((byte) => byte ^ 0xff);
      await Deno.writeFile(changed, others);
      await Deno.utime(changed, new Date(), mtime ?? new Date());
      const seen = bob.events.length;
      assertEquals((await send(anna, path))[0], `delivered ${name.replace(/^\w+/, "$& (1)")}`);
      const { path: saved } = await bob.until("file-received", () => true, seen);
      const arrived = what === "file" ? saved : join(saved, "a", "run.sh");
      assertSameBytes(await Deno.readFile(arrived), others);
    },
    { fresh: true },
  );
}

for (const what of ["file", "tree"] as const) {
  scene(
    `a ${what} whose bytes were changed at the receiver, its size and times put back, is sent again`,
    async ({ anna, bob, file, tree }) => {
      const path = what === "file" ? file : tree;
      const name = what === "file" ? "a.bin" : "photos";
      assertEquals((await send(anna, path))[0], `delivered ${name}`);
      const changed = what === "file" ? join(bob.inbox, name) : join(bob.inbox, name, "a/run.sh");
      const bytes = await Deno.readFile(changed);
      const { mtime } = await Deno.stat(changed);
      await Deno.writeFile(changed, bytes.map((byte) => byte ^ 0xff));
      await Deno.utime(changed, new Date(), mtime ?? new Date());
      assertEquals((await send(anna, path))[0], `delivered ${name.replace(/^\w+/, "$& (1)")}`);
    },
    { fresh: true },
  );
}

scene("another sender's copy is its own", async ({ dir, tracker, anna, bob, file }) => {
  await using carl = await startPeer(tracker, dir, { name: "carl" });
  await send(anna, file);
  assertEquals(await send(carl, file), ["delivered a (1).bin", content.length]);
  assertEquals(await send(carl, file), ["already a (1).bin", 0]);
  assertEquals(await send(anna, file), ["already a.bin", 0]);
  assertEquals(namesIn(bob), [".partial", "a (1).bin", "a.bin"]);
});

scene("what was changed, moved or deleted at the receiver is sent again", async (scene) => {
  const { anna, bob, file, tree } = scene;
  await send(anna, file);
  await send(anna, tree);
  await Deno.writeTextFile(join(bob.inbox, "a.bin"), "edited");
  assertEquals(await send(anna, file), ["delivered a (1).bin", content.length]);
  assertEquals(await Deno.readTextFile(join(bob.inbox, "a.bin")), "edited");
  await Deno.rename(join(bob.inbox, "a (1).bin"), join(bob.folder, "kept.bin"));
  assertEquals(await send(anna, file), ["delivered a (1).bin", content.length]);
  await Deno.writeTextFile(join(bob.inbox, "photos", "a", "new.txt"), "mine");
  assertEquals(await send(anna, tree), ["delivered photos (1)", TREE_SIZE]);
  await Deno.remove(join(bob.inbox, "photos"), { recursive: true });
  assertEquals(await send(anna, tree), ["already photos (1)", 0]);
  await Deno.remove(join(bob.inbox, "photos (1)"), { recursive: true });
  assertEquals(await send(anna, tree), ["delivered photos", TREE_SIZE]);
  assertEquals(await pictureOf(join(bob.inbox, "photos")), pictureOfTree(sampleTree()));
});

scene("of two recipients only the one without it gets it", async (scene) => {
  const { dir, tracker, anna, bob, file } = scene;
  await using carl = await startPeer(tracker, dir, { name: "carl" });
  await send(anna, file);
  const { recipients, bytesSent } = await anna.peer.sendFile(file, ["all"]);
  const states = recipients.map(({ peer, state }) => `${peer} ${state}`);
  assertEquals(states.sort(), ["bob already", "carl delivered"]);
  assertEquals(bytesSent, content.length);
  for (const { inbox } of [bob, carl]) {
    assertSameBytes(await Deno.readFile(join(inbox, "a.bin")), content);
  }
});

for (const kind of ["file", "tree"] as const) {
  permitted(
    `a receiver that is started again before its ACK arrived makes no second copy of a ${kind}`,
    NEEDS,
    async () => {
      await using link = await FaultyLink.open({ ackTimeout: 10_000 });
      const { anna, bob, tracker, dir, proxy } = link;
      const path = dir.at("peer-outbox", "state", "thing");
      if (kind === "tree") await plant(path, sampleTree());
      else await link.invariants.file("thing", content);
      const n = proxy.passed.length;
      proxy.faults = (i, direction) =>
        i === n && direction === "down" ? { dropFrom: '"state":"saved"' } : undefined;
      const sending = anna.peer.sendFile(path, ["bob"]);
      await bob.until("file-received");
      await bob[Symbol.asyncDispose]();
      const { identity } = bob;
      await using again = await startPeer(tracker, dir, { name: "bob", identity });
      const { failures, recipients, bytesSent } = await sending;
      assertEquals([failures, recipients[0]?.savedAs], [[], "thing"]);
      assert(anna.all("transfer-retry").length > 0);
      assertEquals(bytesSent, kind === "tree" ? TREE_SIZE : content.length);
      assertEquals(namesIn(again), [".partial", "thing"]);
      assertEquals(await partialsIn(again.inbox), []);
    },
    { ignore: NO_PROXY },
  );
}

/** Sends a content by hand under the id of a transfer. */
async function sendByHand(
  session: RawSession,
  options: { transfer?: string; manifest?: string } = {},
) {
  const transfer = await session.offer({ size: content.length, name: "raw", ...options });
  return { transfer, answer: await session.serve(transfer, manifestOf(content)) };
}

permitted(
  "the answer to a transfer that is over is its ACK, to its sender only",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ insecure: true });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    const invariants = await Invariants.of(dir, [anna, bob]);
    invariants.mayArrive(content);
    const target = { address: bob.address, membership: null, id: bob.identity.id };
    const mallory = await openRaw(target);
    const other = await openRaw(target);
    const { transfer, answer } = await sendByHand(mallory);
    assert(answer.verb === "ACK" && answer.state === "saved");
    const ask = async (session: RawSession, transfer: string, manifest?: string) => {
      const { message } = await session.session.request({
        verb: "SEND_FILE",
        transfer,
        name: "raw",
        size: content.length,
        pieceSize: 16 * 1024,
        scheme: "independent",
        ...(manifest === undefined ? {} : { manifest }),
      });
      assert(message.verb === "ACK");
      return [message.state, message.name, message.manifest];
    };
    const { id } = manifestOf(content);
    assertEquals(await ask(mallory, transfer), ["saved", "raw", id]);
    const next = transfer.replace(/^./, (first) => first === "A" ? "B" : "A");
    assertEquals(await ask(mallory, next, id), ["already", "raw", id]);
    assertEquals(await ask(mallory, next), ["saved", "raw", id]);
    // Who knows the id of a transfer, or the hash of a file, learns nothing.
    assertEquals(await ask(other, transfer), ["ready", undefined, undefined]);
    assertEquals(await ask(other, next, id), ["ready", undefined, undefined]);
    for (const id of [transfer, next]) {
      await other.send({ verb: "CANCEL", transfer: id, code: "cancelled", message: "enough" });
    }
    await bob.until("receive-failed");
    for (const session of [mallory, other]) await session[Symbol.asyncDispose]();
    assertEquals(Object.keys(await hashesIn(bob.inbox)), ["raw"]);
    await invariants.assertAll();
  },
);

scene("the same sent four times at once by one key is kept once", async (scene) => {
  const { anna, bob, file, tree } = scene;
  for (const [path, name] of [[file, "a.bin"], [tree, "photos"]] as const) {
    const outcomes = await Promise.all([1, 2, 3, 4].map(() => send(anna, path)));
    assert(outcomes.every(([outcome]) => outcome.endsWith(` ${name}`)), `${outcomes}`);
    assertEquals(outcomes.filter(([outcome]) => outcome === `delivered ${name}`).length, 1);
  }
  assertEquals(namesIn(bob), [".partial", "a.bin", "photos"]);
});
