import { setImmediate } from "node:timers";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { listTree } from "../../../lib/pieces/tree_list.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { NO_LINUX, permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";
import { entriesOf, plant, sampleTree } from "../../helpers/tree.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

/** Where the entries are and what they are. */
async function listed(root: string, options?: { follow: boolean }) {
  const { entries, skipped } = await listTree(root, options);
  return {
    entries: entries.map(({ path, size }) => size === null ? `${path}/` : path),
    skipped: [...skipped].sort(),
  };
}

permitted(
  "everything is listed with size, time and mode, in the order of names",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await plant(dir.at("tree"), sampleTree());
    const { entries, skipped } = await listTree(dir.at("tree"));
    assertEquals([entries, skipped], [entriesOf(sampleTree()), []]);
    await Deno.mkdir(dir.at("empty"));
    assertEquals(await listed(dir.at("empty")), { entries: [], skipped: [] });
  },
);

/** A tree with links of every kind, and what they point to outside of it. */
async function linked(dir: TempDir): Promise<string> {
  const root = dir.at("tree");
  const outside = dir.at("outside");
  await plant(root, { a: {}, "a/file": { content: bytesOf(3) } });
  await plant(outside, { "deep": {}, "deep/secret": { content: bytesOf(4) } });
  await Deno.symlink(join(outside, "deep", "secret"), join(root, "a", "to-file"));
  await Deno.symlink(outside, join(root, "to-folder"));
  await Deno.symlink("nowhere", join(root, "dangling"));
  await Deno.symlink("itself", join(root, "itself"));
  await Deno.symlink("..", join(root, "a", "up"));
  await Deno.symlink(".", join(root, "here"));
  await Deno.symlink("..", join(root, "parent"));
  await Deno.symlink("/", join(root, "a", "root"));
  return root;
}

permitted("links are left out and told", NEEDS, async () => {
  await using dir = await tempDir();
  const root = await linked(dir);
  const all = ["a/root", "a/to-file", "a/up", "dangling", "here", "itself", "parent", "to-folder"];
  assertEquals(await listed(root), { entries: ["a/", "a/file"], skipped: all });
}, { ignore: NO_LINUX });

permitted("links are followed when asked for, but never back up", NEEDS, async () => {
  await using dir = await tempDir();
  const root = await linked(dir);
  assertEquals(await listed(root, { follow: true }), {
    entries: [
      "a/",
      "a/file",
      "a/to-file",
      "to-folder/",
      "to-folder/deep/",
      "to-folder/deep/secret",
    ],
    skipped: ["a/root", "a/up", "dangling", "here", "itself", "parent"],
  });
  const { entries } = await listTree(root, { follow: true });
  assertEquals(entries.find(({ path }) => path === "a/to-file")?.size, 4);
}, { ignore: NO_LINUX });

permitted("the folder itself may be a link", NEEDS, async () => {
  await using dir = await tempDir();
  await linked(dir);
  await Deno.symlink(dir.at("outside"), dir.at("link"));
  assertEquals((await listed(dir.at("link"))).entries, ["deep/", "deep/secret"]);
}, { ignore: NO_LINUX });

permitted("two links that lead to each other end", NEEDS, async () => {
  await using dir = await tempDir();
  await plant(dir.at("tree"), { a: {}, b: {} });
  await Deno.symlink(dir.at("tree", "b"), dir.at("tree", "a", "to-b"));
  await Deno.symlink(dir.at("tree", "a"), dir.at("tree", "b", "to-a"));
  const { entries, skipped } = await listed(dir.at("tree"), { follow: true });
  assertEquals(entries, ["a/", "a/to-b/", "b/", "b/to-a/"]);
  assertEquals(skipped, ["a/to-b/to-a", "b/to-a/to-b"]);
}, { ignore: NO_LINUX });

permitted("what is no file and no folder is left out", [...NEEDS, "run"], async () => {
  await using dir = await tempDir();
  await plant(dir.at("tree"), { file: { content: bytesOf(1) } });
  await new Deno.Command("mkfifo", { args: [dir.at("tree", "pipe")] }).output();
  await Deno.symlink("/dev/zero", dir.at("tree", "zero"));
  for (const follow of [false, true]) {
    assertEquals(await listed(dir.at("tree"), { follow }), {
      entries: ["file"],
      skipped: ["pipe", "zero"],
    });
  }
}, { ignore: NO_LINUX });

permitted("a name that is not UTF-8 is said", [...NEEDS, "run"], async () => {
  await using dir = await tempDir();
  await Deno.mkdir(dir.at("tree"));
  const make = `cd "$1" && : > "$(printf 'bad\\377name')"`;
  await new Deno.Command("bash", { args: ["-c", make, "-", dir.at("tree")] }).output();
  assertEquals([...Deno.readDirSync(dir.at("tree"))].length, 1);
  const error = await rejectsWith("disk", () => listTree(dir.at("tree")));
  assert(error.message.includes("not UTF-8"), error.message);
}, { ignore: NO_LINUX });

permitted("a folder that is gone, or no folder, is said", NEEDS, async () => {
  await using dir = await tempDir();
  await rejectsWith("file-not-found", () => listTree(dir.at("nothing")));
});

permitted("a walk through many small folders lets others have their turn", NEEDS, async () => {
  await using dir = await tempDir();
  const root = dir.at("tree");
  for (let i = 0; i < 500; i++) await Deno.mkdir(`${root}/${i}/below`, { recursive: true });
  let isOver = false;
  const walking = listTree(root).finally(() => isOver = true);
  let ticks = 0;
  while (!isOver) {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    ticks++;
  }
  assertEquals((await walking).entries.length, 1000);
  assert(ticks > 10, `only ${ticks} turns`);
});
