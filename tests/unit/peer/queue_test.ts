import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Queue, type ToQueue } from "../../../lib/peer/queue.ts";
import type { Queued } from "../../../lib/peer/queued.ts";
import { idOf } from "../../helpers/entries.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const HOUR = 3_600_000;

const FILE: Queued["what"] = {
  kind: "file",
  path: "/data/a.bin",
  name: "a.bin",
  size: 5,
  follow: false,
  strict: false,
  stamp: "5 1",
};

function toQueue(changes: Partial<ToQueue> = {}, to = [1]): ToQueue {
  const recipients = to.map((n) => ({ id: idOf(n), name: `p${n}` }));
  return { network: "n", what: FILE, age: HOUR, to: recipients, ...changes };
}

function message(text: string, id = text): Queued["what"] {
  return { kind: "message", message: id, text };
}

async function kept(queue: Queue): Promise<string[]> {
  return (await queue.list()).map(({ what, to }) =>
    `${what.kind === "file" ? what.name : what.text} ${to.name}`
  );
}

async function namesIn(dir: TempDir): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(dir.at("queue")), ({ name }) => name);
  return names.sort();
}

permitted("each recipient has an entry in a private file of its own", NEEDS, async () => {
  await using dir = await tempDir();
  const queue = new Queue(dir.path, { now: () => 0 });
  assertEquals(await queue.list(), []);
  const entries = await queue.add(toQueue({}, [1, 2]));
  assertEquals(await new Queue(dir.path).list(), entries);
  const [one, two] = entries;
  assert(one && two);
  assertEquals(two, {
    ...{ id: `${one.id.slice(0, 8)}-2`, network: "n", to: { id: idOf(2), name: "p2" } },
    ...{ at: "1970-01-01T00:00:00.000Z", until: "1970-01-01T01:00:00.000Z", tries: 0 },
    ...{ what: toQueue().what, state: { is: "waiting" } },
  });
  if (Deno.build.os !== "windows") {
    const { mode } = await Deno.stat(dir.at("queue", `${one.id}.json`));
    assertEquals((mode ?? 0) & 0o777, 0o600);
  }
  assertEquals(await queue.remove(one.id), true);
  assertEquals(await queue.remove(one.id), false);
  assertEquals(await kept(queue), ["a.bin p2"]);
});

permitted("the same for the same one takes the place of what waits", NEEDS, async () => {
  await using dir = await tempDir();
  let now = 0;
  const queue = new Queue(dir.path, { now: () => now++ });
  const [first] = await queue.add(toQueue({}, [1, 2]));
  assert(first);
  const failed = { is: "failed", reason: "no", address: "h:1" } as const;
  assertEquals(await queue.replace({ ...first, tries: 3, state: failed }), true);
  const [again] = await queue.add(toQueue());
  assertEquals((await queue.list()).map(({ to, tries }) => [to.name, tries]), [["p2", 0], [
    "p1",
    0,
  ]]);
  assert(again && again.id !== first.id);
  // Another path, another network, and messages are others.
  await queue.add(toQueue({ network: "m" }));
  await queue.add(toQueue({ what: message("hi") }));
  await queue.add(toQueue({ what: message("hi", "another") }));
  await queue.add(toQueue({ what: message("hi") }));
  assertEquals((await queue.list()).length, 5);
});

permitted("what was taken out stays out, whatever its sender writes", NEEDS, async () => {
  await using dir = await tempDir();
  const queue = new Queue(dir.path);
  const [entry] = await queue.add(toQueue());
  assert(entry);
  await queue.remove(entry.id);
  assertEquals(await queue.replace(entry), false);
  assertEquals(await queue.list(), []);
});

permitted("an entry is held by one at a time, in this process or another", NEEDS, async () => {
  await using dir = await tempDir();
  const [queue, other] = [new Queue(dir.path), new Queue(dir.path)];
  const [entry] = await queue.add(toQueue());
  assert(entry);
  {
    using held = await queue.hold(entry.id);
    assert(held);
    assertEquals(await other.hold(entry.id), null);
  }
  using again = await other.hold(entry.id);
  assert(again);
  assertEquals(await queue.isServed("n"), false);
  using _ = await other.announce("n");
  assertEquals([await queue.isServed("n"), await queue.isServed("m")], [true, false]);
});

permitted(
  "what is torn or no entry is passed over, and what was left behind goes",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const queue = new Queue(dir.path);
    const [entry] = await queue.add(toQueue());
    assert(entry);
    const text = JSON.stringify(entry);
    const write = (name: string, text: string) => Deno.writeTextFile(dir.at("queue", name), text);
    const id = (n: number) => `0000000${n}-1`;
    const changed = (changes: object, n: number) =>
      JSON.stringify({ ...entry, id: id(n), ...changes });
    await write(`${id(1)}.json`, text.slice(0, -10));
    await write(`${id(2)}.json`, text); // Another id than its name.
    await write(`${id(3)}.json`, changed({ to: { id: "../../x", name: "p" } }, 3));
    await write(`${id(4)}.json`, changed({ until: "soon" }, 4));
    await write(`${id(5)}.json`, changed({ state: { is: "lost" } }, 5));
    await write(`${id(6)}.json`, changed({ what: { kind: "message", message: 5, text: "" } }, 6));
    await write(`${id(7)}.json`, "null");
    await write("notes.json", text);
    await write(`${id(8)}.json.abc.tmp`, text);
    await write(`${id(9)}.lock`, "");
    await write(`${entry.id}.lock`, "");
    assertEquals(await queue.list(), [entry]);
    await queue.add(toQueue({ what: message("hi") }));
    const names = await namesIn(dir);
    assert(!names.some((name) => name.endsWith(".tmp")), `${names}`);
    assertEquals(names.filter((name) => name.endsWith("-1.lock")), [`${entry.id}.lock`]);
  },
);

permitted(
  "entries and bytes have a limit, which is named, and nothing is lost by it",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const queue = new Queue(dir.path, { maxEntries: 3, maxBytes: 12 });
    await queue.add(toQueue({}, [1, 2]));
    const tooMany = await rejectsWith(
      "usage",
      () => queue.add(toQueue({ what: message("x") }, [1, 2])),
    );
    assertStringIncludes(tooMany.message, "4 entries would wait, and at most 3 may");
    assertStringIncludes(tooMany.message, "peer queue cancel");
    const tooMuch = await rejectsWith("usage", () => queue.add(toQueue({}, [3])));
    assertStringIncludes(tooMuch.message, "15 bytes would wait in all, and at most 12 may");
    assertEquals(await kept(queue), ["a.bin p1", "a.bin p2"]);
    // What takes the place of another needs no room beside it.
    await queue.add(toQueue({}, [1, 2]));
    await queue.add(toQueue({ what: message("xy") }));
  },
);

permitted("what has waited for its time goes, but not what is just being sent", NEEDS, async () => {
  await using dir = await tempDir();
  let now = 0;
  const queue = new Queue(dir.path, { now: () => now });
  const [mine] = await queue.add(toQueue());
  await queue.add(toQueue({ network: "m", age: 2 * HOUR }));
  const [sent] = await queue.add(toQueue({ what: message("hi") }));
  assert(mine && sent);
  assertEquals(await queue.expire(), []);
  now = HOUR;
  {
    using _ = await queue.hold(sent.id);
    assertEquals(await queue.expire("m"), []);
    assertEquals(await queue.expire("n"), [mine]);
  }
  assertEquals(await queue.expire(), [sent]);
  now = 2 * HOUR;
  assertEquals((await queue.expire("m")).length, 1);
  assertEquals(await queue.list(), []);
});

permitted("a queue that is no folder is named, with the remedy", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.at("queue"), "");
  const queue = new Queue(dir.path);
  const { message } = await rejectsWith("disk", () => queue.add(toQueue()));
  assertStringIncludes(message, `Cannot use ${dir.at("queue")}: `);
  assertStringIncludes(message, "choose --state");
  const told: string[] = [];
  assertEquals(await queue.list((text) => void told.push(text)), []);
  assertEquals(told.length, 1);
});
