import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { lock, tryLock } from "../../../lib/disk/lock.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
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
  const paths = [dir.at("folder")];
  if (Deno.build.os !== "windows") {
    await Deno.writeTextFile(dir.at("outside"), "mine");
    await Deno.symlink(dir.at("outside"), dir.at("link"));
    await Deno.symlink(dir.at("nowhere"), dir.at("dangling"));
    paths.push(dir.at("link"), dir.at("dangling"));
  }
  for (const path of paths) {
    for (const take of [lock, tryLock]) {
      const { message } = await rejectsWith("disk", () => take(path));
      assertStringIncludes(message, path);
    }
  }
  assertEquals((await Deno.lstat(dir.at("folder"))).isDirectory, true);
});
