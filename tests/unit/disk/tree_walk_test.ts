import { setImmediate } from "node:timers";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { treeEntryOf } from "../../../lib/content/tree_content.ts";
import { visitTree } from "../../../lib/disk/tree_walk.ts";
import { P2PError } from "../../../lib/errors.ts";
import type { TreeEntry } from "../../../lib/pieces/tree_table.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { NO_LINUX, permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";
import { entriesOf, plant, sampleTree } from "../../helpers/tree.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

/** All that is below a folder. */
async function listTree(root: string, options: { follow?: boolean } = {}) {
  const entries: TreeEntry[] = [];
  const onEntry = (path: string, info: Deno.FileInfo) => void entries.push(treeEntryOf(path, info));
  const { skipped } = await visitTree(root, { ...options, strict: true, onEntry });
  return { entries, skipped };
}

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

/** Makes files whose names are given as the bytes of printf(1). */
async function makeNamed(root: string, names: readonly string[]): Promise<void> {
  await Deno.mkdir(root, { recursive: true });
  const make = `cd "$1" && shift && for name; do : > "$(printf "$name")"; done`;
  await new Deno.Command("bash", { args: ["-c", make, "-", root, ...names] }).output();
  assertEquals([...Deno.readDirSync(root)].length, names.length);
}

permitted("names that are not UTF-8 are left out and told, or with strict an error", [
  ...NEEDS,
  "run",
], async () => {
  await using dir = await tempDir();
  const root = dir.at("tree");
  // The second name has a replacement character, which is text; the others are shown as if they had.
  await makeNamed(root, ["bad\\377", "bad\\357\\277\\275", "gr\\374n", "bad\\376", "z"]);
  await makeNamed(join(root, "below"), ["\\351t\\351", "ok"]);
  const entries: string[] = [];
  const options = { onEntry: (path: string) => void entries.push(path) };
  const { failed, skipped } = await visitTree(root, options);
  assertEquals([entries.toSorted(), skipped], [["bad\ufffd", "below", "below/ok", "z"], []]);
  assertEquals(failed.map(({ code }) => code), ["disk", "disk", "disk", "disk"]);
  for (const { message } of failed) {
    assertStringIncludes(message, "its name is not UTF-8; rename it");
  }
  await rejectsWith("disk", () => visitTree(root, { ...options, strict: true }));
}, { ignore: NO_LINUX });

permitted("a folder that cannot be listed is left out, and what is beside it is not", [
  ...NEEDS,
  "run",
], async () => {
  await using dir = await tempDir();
  await plant(dir.at("tree"), {
    a: {},
    "a/file": { content: bytesOf(1) },
    b: { content: bytesOf(1) },
  });
  const entries: string[] = [];
  const { failed } = await visitTree(dir.at("tree"), {
    problemOf: (path) => path === "a" ? new P2PError("disk", "Cannot read a") : null,
    onEntry: (path) => void entries.push(path),
  });
  assertEquals([entries, failed.map(({ message }) => message)], [["b"], ["Cannot read a"]]);
});

permitted(
  "folders full of links to one another are listed soon, and told where it stops",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const root = dir.at("tree");
    const names = Array.from({ length: 14 }, (_, i) => `d${i}`);
    for (const name of names) {
      await Deno.mkdir(join(root, name), { recursive: true });
      await Deno.writeTextFile(join(root, name, "file"), name);
      for (const other of names) {
        if (other !== name) await Deno.symlink(`../${other}`, join(root, name, `to-${other}`));
      }
    }
    const { entries, skipped } = await listed(root, { follow: true });
    assert(entries.length < 1000 && skipped.length < 5000, `${entries.length}, ${skipped.length}`);
    for (const name of names) assert(entries.includes(`${name}/file`), name);
    // A link that stands in the folder itself is followed, whatever else leads there.
    assert(entries.includes("d0/to-d1/file") && entries.includes("d13/to-d1/file"));
  },
  { ignore: NO_LINUX },
);

permitted("a folder that two links lead to is listed under both", NEEDS, async () => {
  await using dir = await tempDir();
  await plant(dir.at("tree"), { v2: {}, "v2/file": { content: bytesOf(1) } });
  await Deno.symlink("v2", dir.at("tree", "current"));
  await Deno.symlink("v2", dir.at("tree", "stable"));
  const { entries, skipped } = await listed(dir.at("tree"), { follow: true });
  assertEquals(skipped, []);
  assertEquals(entries.filter((path) => path.endsWith("file")), [
    "current/file",
    "stable/file",
    "v2/file",
  ]);
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
