/** What waits for somebody who is away, and the running peers that deliver it. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { P2PError } from "../../lib/errors.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { openContent } from "../../lib/content/open_content.ts";
import { Queue } from "../../lib/peer/queue.ts";
import { stampOf } from "../../lib/content/stamp.ts";
import type { Queued } from "../../lib/peer/queued.ts";
import { readReceipts } from "../../lib/peer/read_receipts.ts";
import { receiptsPath } from "../../lib/peer/receipt_book.ts";
import { assertSameBytes } from "../helpers/bytes.ts";
import { eventually } from "../helpers/deadline.ts";
import { type PeerSetting, startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];
const MIB = 1024 * 1024;
const DAY = 24 * 3_600_000;

/** A tracker, the state of one user there, and somebody who is away. */
interface Scene extends AsyncDisposable {
  dir: TempDir;
  tracker: TestTracker;
  /** Folder of the peers of the user whose queue it is. */
  state: string;
  queue: Queue;
  bob: Identity;
  /** Starts a peer of the user that delivers. */
  deliver(setting?: PeerSetting): Promise<TestPeer>;
  startBob(setting?: PeerSetting): Promise<TestPeer>;
  /** Puts a file in for bob. */
  add(path: string, changes?: Partial<Queued>): Promise<Queued>;
  say(text: string, message?: string): Promise<Queued>;
}

async function sceneOf(): Promise<Scene> {
  const dir = await tempDir();
  const tracker = startTracker();
  const state = dir.at("user");
  const queue = new Queue(state);
  const bob = Identity.generate();
  const own = Identity.generate();
  const put = async (what: Queued["what"], network = tracker.membership?.id ?? "") => {
    const [entry] = await queue.add({ network, what, age: DAY, to: [{ id: bob.id, name: "bob" }] });
    assert(entry);
    return entry;
  };
  return {
    ...{ dir, tracker, state, queue, bob },
    deliver: (setting) =>
      startPeer(tracker, dir, {
        ...{ name: "anna", identity: own, state, deliversQueue: true, ...setting },
      }),
    startBob: (setting) => startPeer(tracker, dir, { name: "bob", identity: bob, ...setting }),
    async add(path, { network } = {}) {
      await using content = await openContent(path);
      const { name, size } = content;
      const stamp = stampOf(content);
      return await put(
        { kind: "file", path, name, size: size ?? 0, follow: false, strict: false, stamp },
        network,
      );
    },
    say: (text, message = "AAAAAAAAAAAAAAAAAAAAAA") => put({ kind: "message", message, text }),
    async [Symbol.asyncDispose]() {
      await tracker[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

async function plant({ dir }: Scene, name: string, content: Uint8Array): Promise<string> {
  await Deno.mkdir(dir.at("outgoing"), { recursive: true });
  await Deno.writeFile(dir.at("outgoing", name), content);
  return dir.at("outgoing", name);
}

permitted("what waits is delivered when its recipient comes, with a receipt", NEEDS, async () => {
  await using scene = await sceneOf();
  const content = bytesOf(100_000);
  const entry = await scene.add(await plant(scene, "a.bin", content));
  await using anna = await scene.deliver();
  assertEquals(await scene.queue.list(), [entry]);
  await using bob = await scene.startBob();
  const { id, peer, name, tries, changed } = await anna.until("dequeued");
  assertEquals([id, peer, name, tries, changed], [entry.id, "bob", "a.bin", 1, undefined]);
  assertEquals(await scene.queue.list(), []);
  assertSameBytes(await Deno.readFile(join(bob.inbox, "a.bin")), content);
  // What was removed was delivered before, as any other transfer.
  const [sent] = anna.all("transfer-finished");
  assertEquals(sent?.recipients.map(({ peer, state }) => [peer, state]), [["bob", "delivered"]]);
  const receipts = await readReceipts(receiptsPath(scene.state));
  assertEquals(receipts.map(({ recipient, transfer }) => [recipient, transfer]), [
    [scene.bob.id, sent?.transfer],
  ]);
});

permitted("a peer that is listed has said that it delivers", NEEDS, async () => {
  await using scene = await sceneOf();
  await using anna = await scene.deliver({ start: false });
  const starting = anna.peer.start();
  await anna.until("registered");
  // Nothing is awaited in between: what is said at this moment was said before.
  const said = [...Deno.readDirSync(scene.queue.folder)].filter(({ name }) =>
    name.startsWith("running ")
  );
  await starting;
  assertEquals(said.length, 1);
  assertEquals(await scene.queue.isServed(scene.tracker.membership?.id ?? ""), true);
});

permitted("what is queued for who is there already is seen at once", NEEDS, async () => {
  await using scene = await sceneOf();
  await using bob = await scene.startBob();
  await using anna = await scene.deliver();
  await anna.until("peer-joined");
  const first = await scene.add(await plant(scene, "a.bin", bytesOf(10)));
  await anna.until("dequeued", ({ id }) => id === first.id);
  const second = await scene.add(await plant(scene, "b.bin", bytesOf(20)));
  await anna.until("dequeued", ({ id }) => id === second.id);
  assertEquals((await Deno.readFile(join(bob.inbox, "b.bin"))).length, 20);
});

permitted("a peer that is started again goes on with what the last one left", NEEDS, async () => {
  await using scene = await sceneOf();
  const entry = await scene.add(await plant(scene, "a.bin", bytesOf(10)));
  const first = await scene.deliver();
  await first[Symbol.asyncDispose]();
  // As one leaves it that was killed in the middle; whoever else runs must not send it a second time.
  const left = { ...entry, tries: 1, state: { is: "trying", by: first.identity.id } } as const;
  await scene.queue.replace(left);
  await using other = await scene.deliver({ name: "other", identity: Identity.generate() });
  await using bob = await scene.startBob();
  await other.until("peer-joined");
  const fresh = await scene.add(await plant(scene, "b.bin", bytesOf(20)));
  await other.until("dequeued", ({ id }) => id === fresh.id);
  assertEquals(await scene.queue.list(), [left]);
  await using again = await scene.deliver();
  const { tries } = await again.until("dequeued", ({ id }) => id === entry.id);
  assertEquals(tries, 2);
  assertEquals(bob.all("file-received").length, 2);
});

permitted("of two running peers of one user one delivers", NEEDS, async () => {
  await using scene = await sceneOf();
  const COUNT = 12;
  for (let i = 0; i < COUNT; i++) {
    await scene.add(await plant(scene, `${i}.bin`, bytesOf(10, i + 1)));
  }
  await using one = await scene.deliver();
  await using two = await scene.deliver({ name: "two", identity: Identity.generate() });
  await using bob = await scene.startBob();
  await eventually(async () => (await scene.queue.list()).length === 0, "the end of the queue");
  const names = await Array.fromAsync(Deno.readDir(bob.inbox), ({ name }) => name);
  assertEquals(
    names.filter((name) => name.endsWith(".bin")).sort(),
    Array.from({ length: COUNT }, (_, i) => `${i}.bin`).sort(),
  );
  await eventually(
    () => one.all("dequeued").length + two.all("dequeued").length === COUNT,
    "all deliveries",
  );
  assertEquals(bob.all("file-received").length, COUNT);
});

permitted(
  "a refusal is kept with its reason, until the recipient comes back anew",
  NEEDS,
  async () => {
    await using scene = await sceneOf();
    await scene.add(await plant(scene, "a.bin", bytesOf(100)));
    await using anna = await scene.deliver();
    const bob = await scene.startBob({ maxSize: 10 });
    const isSaid = ({ message }: { message: string }) =>
      /stays in the queue as failed/.test(message);
    assertStringIncludes((await anna.until("notice", isSaid)).message, "a.bin for bob");
    const [failed] = await scene.queue.list();
    assertEquals([failed?.tries, failed?.state.is], [1, "failed"]);
    assert(failed?.state.is === "failed");
    assertStringIncludes(failed.state.reason, "--max-size");
    // Another entry gets through, and that one is not tried with it.
    const small = await scene.add(await plant(scene, "b.bin", bytesOf(5)));
    await anna.until("dequeued", ({ id }) => id === small.id);
    assertEquals(await scene.queue.list(), [failed]);
    await bob.peer.stop();
    await anna.until("peer-left");
    await using _again = await scene.startBob();
    const { tries } = await anna.until("dequeued", ({ id }) => id === failed?.id);
    assertEquals(tries, 2);
  },
);

permitted(
  "what has changed is sent as it is now, and what is gone stays as failed",
  NEEDS,
  async () => {
    await using scene = await sceneOf();
    const changed = await scene.add(await plant(scene, "a.bin", bytesOf(10)));
    const gone = await scene.add(await plant(scene, "b.bin", bytesOf(20)));
    await plant(scene, "a.bin", bytesOf(30));
    await Deno.remove(scene.dir.at("outgoing", "b.bin"));
    await using anna = await scene.deliver();
    await using bob = await scene.startBob();
    const delivered = await anna.until("dequeued", ({ id }) => id === changed.id);
    assertEquals([delivered.size, delivered.changed], [10, true]);
    assertSameBytes(await Deno.readFile(join(bob.inbox, "a.bin")), bytesOf(30));
    const { message } = await anna.until("notice", ({ message }) => /b\.bin for bob/.test(message));
    assertStringIncludes(message, "there is no such file");
    const [failed] = await scene.queue.list();
    assertEquals([failed?.id, failed?.state.is], [gone.id, "failed"]);
    // Queued again it is tried again.
    await scene.add(await plant(scene, "b.bin", bytesOf(20)));
    await anna.until("dequeued", ({ name }) => name === "b.bin");
  },
);

permitted("a folder waits too, and one that is as it was has not changed", NEEDS, async () => {
  await using scene = await sceneOf();
  await plant(scene, "a.bin", bytesOf(10));
  await scene.add(scene.dir.at("outgoing"));
  await using anna = await scene.deliver();
  await using bob = await scene.startBob();
  assertEquals((await anna.until("dequeued")).changed, undefined);
  assertEquals((await Deno.readFile(join(bob.inbox, "outgoing", "a.bin"))).length, 10);
});

permitted("a message is shown once, however often it comes", NEEDS, async () => {
  await using scene = await sceneOf();
  await using anna = await scene.deliver();
  await using bob = await scene.startBob();
  await anna.until("peer-joined");
  const first = await scene.say("hello");
  await anna.until("dequeued", ({ id }) => id === first.id);
  // As if whoever delivered it had been killed before it could say so.
  const again = await scene.say("hello");
  await anna.until("dequeued", ({ id }) => id === again.id);
  const other = await scene.say("bye", "BBBBBBBBBBBBBBBBBBBBBA");
  await anna.until("dequeued", ({ id }) => id === other.id);
  assertEquals(
    bob.all("message").map(({ text, name, sent }) => [text, name, sent]),
    [["hello", "anna", first.at], ["bye", "anna", other.at]],
  );
});

permitted("what was got with the others is not shown again from the queue", NEEDS, async () => {
  await using scene = await sceneOf();
  await using anna = await scene.deliver();
  await using bob = await scene.startBob();
  await anna.until("peer-joined");
  const { id, delivered, results } = await anna.peer.spread("to all");
  assertEquals([delivered, results?.map(({ peer }) => peer)], [1, ["bob"]]);
  await bob.until("message");
  const entry = await scene.say("to all", id);
  await anna.until("dequeued", (event) => event.id === entry.id);
  assertEquals(bob.all("message").map(({ text }) => text), ["to all"]);
});

permitted("an entry of another network is left alone", NEEDS, async () => {
  await using scene = await sceneOf();
  const path = await plant(scene, "a.bin", bytesOf(10));
  const foreign = await scene.add(path, { network: "another" });
  await using anna = await scene.deliver();
  await using _bob = await scene.startBob();
  const own = await scene.add(path);
  assertEquals((await anna.until("dequeued")).id, own.id);
  assertEquals(await scene.queue.list(), [foreign]);
});

permitted(
  "what is taken out while it is being sent ends, and nothing comes back",
  NEEDS,
  async () => {
    await using scene = await sceneOf();
    const entry = await scene.add(await plant(scene, "a.bin", bytesOf(8 * MIB)));
    await using anna = await scene.deliver({ limitRate: MIB });
    await using _bob = await scene.startBob();
    await anna.until("transfer-progress", ({ bytes }) => bytes > 0);
    assertEquals(await scene.queue.hold(entry.id), null);
    await scene.queue.remove(entry.id);
    const { recipients } = await anna.until("transfer-finished");
    assertEquals(recipients.map(({ error }) => error?.code), ["interrupted"]);
    assertEquals(await scene.queue.list(), []);
    assertEquals(anna.all("dequeued"), []);
  },
);

permitted(
  "a peer that stops lets a delivery come to its end, unless it has to stop at once",
  NEEDS,
  async () => {
    await using scene = await sceneOf();
    const entry = await scene.add(await plant(scene, "a.bin", bytesOf(3 * MIB)));
    const first = await scene.deliver({ limitRate: MIB });
    await using _bob = await scene.startBob();
    await first.until("transfer-progress", ({ bytes }) => bytes > 0);
    await first.peer.stop(AbortSignal.abort(new P2PError("interrupted", "Interrupted")));
    const [left] = await scene.queue.list();
    assertEquals([left?.id, left?.state], [entry.id, { is: "trying", by: first.identity.id }]);
    const second = await scene.deliver({ limitRate: 2 * MIB });
    await second.until("transfer-progress", ({ bytes }) => bytes > 0);
    await second.peer.stop();
    assertEquals(second.all("dequeued").map(({ why }) => why), ["delivered"]);
    assertEquals(await scene.queue.list(), []);
  },
);

permitted("who was seen by a running peer is known when away", NEEDS, async () => {
  await using scene = await sceneOf();
  await using anna = await scene.deliver();
  const bob = await scene.startBob({ groups: ["lab"] });
  await anna.until("peer-joined");
  const client = await startPeer(scene.tracker, scene.dir, {
    ...{ name: "c", role: "client", state: scene.state, identity: anna.identity },
  });
  await using _ = client;
  await eventually(
    async () => (await client.peer.thereOrAway(["bob"])).peers.length === 1,
    "bob in the list",
  );
  await bob[Symbol.asyncDispose]();
  await anna.until("peer-left");
  for (const to of ["bob", "@lab", `id:${scene.bob.id.slice(0, 8)}`]) {
    const { peers, absent } = await client.peer.thereOrAway([to]);
    assertEquals([peers, absent], [[], [{ id: scene.bob.id, name: "bob" }]], to);
  }
});
