import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { holdTracker } from "../../../lib/app/local_tracker.ts";
import { lock, tryLock } from "../../../lib/disk/lock.ts";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import { takeSlot } from "../../../lib/peer/slots.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { NO_LINUX, permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { receive } from "../../helpers/receive.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

permitted("a lock has one holder at a time, also within a process", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("lock");
  {
    using first = await tryLock(path);
    assert(first);
    assertEquals(await tryLock(path), null);
  }
  using again = await tryLock(path);
  assert(again);
});

permitted("who waits for a lock gets it when it is given back", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("lock");
  const held = await lock(path);
  let isIn = false;
  const waiting = lock(path).then((lock) => {
    isIn = true;
    return lock;
  });
  await turn();
  assertEquals(isIn, false);
  held[Symbol.dispose]();
  using _ = await waiting;
  assertEquals(await tryLock(path), null);
});

permitted(
  "a lock that was given back is free, however many children start",
  [...NEEDS, "run"],
  async () => {
    await using dir = await tempDir();
    // Between its fork and its exec a child has all files of this process open.
    let started = 0;
    const start = async () => {
      while (started++ < 3000) await new Deno.Command("true").output();
    };
    let isStarting = true;
    const starting = Promise.all([start(), start(), start(), start()]).finally(() =>
      isStarting = false
    );
    while (isStarting) {
      using held = await tryLock(dir.at("lock"));
      assert(held, "still held");
    }
    await starting;
  },
  { ignore: NO_LINUX },
);

permitted("what is no regular file is no lock, and stays", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.mkdir(dir.at("folder"));
  await assertNoLock(dir.at("folder"));
  assertEquals((await Deno.lstat(dir.at("folder"))).isDirectory, true);
});

permitted("a lock is taken neither through a link nor at a FIFO", [...NEEDS, "run"], async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.at("outside"), "mine");
  await Deno.symlink(dir.at("outside"), dir.at("link"));
  await Deno.symlink(dir.at("nowhere"), dir.at("dangling"));
  await new Deno.Command("mkfifo", { args: [dir.at("pipe")] }).output();
  for (const name of ["link", "dangling", "pipe"]) await assertNoLock(dir.at(name));
  const names = [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
  assertEquals(names, ["dangling", "link", "outside", "pipe"]);
}, { ignore: NO_LINUX });

async function assertNoLock(path: string): Promise<void> {
  for (const take of [lock, tryLock]) {
    const { message } = await rejectsWith("disk", () => take(path));
    assertStringIncludes(message, path);
  }
}

permitted(
  "on a disk without locks everything goes on without, and that is said",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    using _ = withoutLocks();
    using first = await tryLock(dir.at("lock"));
    using second = await tryLock(dir.at("lock"));
    using waited = await lock(dir.at("lock"));
    assertEquals([first?.keepsOut, second?.keepsOut, waited.keepsOut], [false, false, false]);
    const notices: string[] = [];
    const notice = (text: string) => void notices.push(text);
    {
      using slot = await takeSlot(dir.at("peers"), notice);
      assertEquals(slot.number, 1);
      using _tracker = await holdTracker(dir.at("tracker"), "start", notice);
      using inbox = await Inbox.open(dir.at("inbox"), slot.identity.id, { notice });
      await Deno.remove(dir.at("inbox"), { recursive: true });
      assertEquals(await Deno.readFile((await receive(inbox, "a", bytesOf(10))).path), bytesOf(10));
    }
    assertEquals(notices.length, 4, notices.join("\n"));
    const [peers, tracker, inbox, anew] = notices;
    assertStringIncludes(peers ?? "", `${dir.at("peers", "1")} has no locks: run no second peer`);
    assertStringIncludes(tracker ?? "", "do not run a second tracker with it");
    assertStringIncludes(inbox ?? "", `${dir.at("inbox")} has no locks: let no second peer`);
    assertStringIncludes(anew ?? "", "it is made anew");
  },
);

/** As some network mounts answer flock(2). */
function withoutLocks(): Disposable {
  const { lock, tryLock } = Deno.FsFile.prototype;
  const refuse = () =>
    Promise.reject(
      Object.assign(new Error("No locks available (os error 37)"), { code: "ENOLCK" }),
    );
  Object.assign(Deno.FsFile.prototype, { lock: refuse, tryLock: refuse });
  return { [Symbol.dispose]: () => void Object.assign(Deno.FsFile.prototype, { lock, tryLock }) };
}
