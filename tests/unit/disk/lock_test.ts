import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { lock, tryLock } from "../../../lib/disk/lock.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { NO_LINUX, permitted } from "../../helpers/permissions.ts";
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
