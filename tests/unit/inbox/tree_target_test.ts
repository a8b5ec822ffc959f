import { BestEffort } from "../../../lib/disk/best_effort.ts";
import { assert, assertEquals } from "@std/assert";
import { TreeTarget, type TreeTargetOptions } from "../../../lib/inbox/tree_target.ts";
import { encodeTable } from "../../../lib/pieces/tree_table.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { NO_MODES, permitted } from "../../helpers/permissions.ts";
import { bytesOf, newSeed, randomFrom } from "../../helpers/random.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";
import {
  entriesOf,
  joined,
  LONG_AGO,
  pictureOf,
  pictureOfTree,
  sampleTree,
  type TestTree,
  transferOf,
} from "../../helpers/tree.ts";

/** Set it to the number of a failed run to see it again. */
const SEED: number | undefined = undefined;
const seed = newSeed("tests/unit/store/tree_storage_test.ts", SEED);

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const MODE = 0o640;

function optionsOf(dir: TempDir, head: number, size: number): TreeTargetOptions {
  return {
    path: dir.at("x.part"),
    head,
    size,
    mode: MODE,
    foldsCase: false,
    disk: new BestEffort(dir.path),
  };
}

interface Piece {
  offset: number;
  bytes: Uint8Array<ArrayBuffer>;
}

/** Cuts the transfer into pieces; those of the table are apart, as it has to come first. */
function piecesOf(bytes: Uint8Array<ArrayBuffer>, head: number, size: number) {
  const pieces: Piece[] = [];
  for (let offset = 0; offset < bytes.length; offset += size) {
    pieces.push({ offset, bytes: bytes.slice(offset, offset + size) });
  }
  const first = Math.ceil(head / size);
  return { table: pieces.slice(0, first), rest: pieces.slice(first) };
}

async function writeAll(target: TreeTarget, pieces: Piece[]): Promise<void> {
  for (const { offset, bytes } of pieces) await target.write(offset, bytes);
}

function shuffled<T>(items: T[], random: () => number): T[] {
  return items.map((item) => ({ item, at: random() })).sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/** Settles it and gives it a name. */
async function finish(target: TreeTarget, dir: TempDir): Promise<string[]> {
  await target.settle();
  assertEquals(await target.moveTo(dir.at("tree")), true);
  target.close();
  return await pictureOf(dir.at("tree"));
}

for (const size of [64, 1000, 64 * 1024, 10_000_000]) {
  permitted(
    `pieces of ${size} bytes make the tree, in any order after the table`,
    NEEDS,
    async () => {
      const tree = sampleTree();
      const { table, bytes } = await transferOf(tree);
      for (let run = 0; run < 3; run++) {
        await using dir = await tempDir();
        const target = await TreeTarget.create(optionsOf(dir, table.length, bytes.length));
        const pieces = piecesOf(bytes, table.length, size);
        const random = randomFrom(seed + run);
        assertEquals(target.files, null);
        // The table's own pieces may come in any order too, as long as they are the first.
        await writeAll(target, shuffled(pieces.table.slice(0, -1), random));
        await writeAll(target, pieces.table.slice(-1));
        assertEquals(target.files?.count, 5);
        const order = run === 0 ? pieces.rest : shuffled(pieces.rest, random);
        const half = Math.floor(order.length / 2);
        await writeAll(target, order.slice(0, half));
        await target.sync();
        await writeAll(target, order.slice(half));
        assertEquals(target.files?.within(bytes.length), 5);
        assertEquals(await finish(target, dir), pictureOfTree(tree), `run ${run}, seed ${seed}`);
      }
    },
  );
}

permitted(
  "modes are those of any new file, and what the owner may execute stays so",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const { table, bytes } = await transferOf(sampleTree());
    const target = await TreeTarget.create(optionsOf(dir, table.length, bytes.length));
    const modeOf = async (path: string) => ((await Deno.lstat(path)).mode ?? 0) & 0o7777;
    assertEquals(await modeOf(dir.at("x.part")), 0o700);
    await target.write(0, bytes);
    assertEquals(await modeOf(dir.at("x.part")), 0o700);
    await finish(target, dir);
    const at = (path: string) => modeOf(dir.at("tree", path));
    assertEquals(await Promise.all(["", "a", "a/deep", "nothing"].map(at)), Array(4).fill(0o750));
    assertEquals(await at("a/run.sh"), 0o750);
    assertEquals(await Promise.all([".hidden", "a/empty.txt", "a/deep/large.bin"].map(at)), [
      MODE,
      MODE,
      MODE,
    ]);
  },
  { ignore: NO_MODES },
);

const EMPTY: Record<string, TestTree> = {
  "nothing at all": {},
  "one empty folder": { a: {} },
  "only empty files and folders": { a: {}, "a/b": { content: bytesOf(0) }, c: { mtime: 0 } },
};

for (const [what, tree] of Object.entries(EMPTY)) {
  permitted(`a tree with ${what} needs its table only`, NEEDS, async () => {
    await using dir = await tempDir();
    const { table, bytes } = await transferOf(tree);
    const target = await TreeTarget.create(optionsOf(dir, table.length, bytes.length));
    if (table.length > 0) await target.write(0, table);
    assertEquals(await finish(target, dir), pictureOfTree(tree));
  });
}

permitted("a tree is gone on with where an earlier run left it, in any order", NEEDS, async () => {
  const tree = sampleTree();
  const { table, bytes } = await transferOf(tree);
  const random = randomFrom(seed);
  for (const size of [1000, 64 * 1024]) {
    const { table: first, rest } = piecesOf(bytes, table.length, size);
    await using dir = await tempDir();
    const options = optionsOf(dir, table.length, bytes.length);
    let target = await TreeTarget.create(options);
    await writeAll(target, first);
    const order = shuffled(rest, random);
    const cut = Math.ceil(order.length / 3);
    for (let at = 0; at < order.length; at += cut) {
      await writeAll(target, order.slice(at, at + cut));
      await target.sync();
      target.close();
      target = await TreeTarget.reopen(options);
      assertEquals(target.files?.count, 5);
    }
    assertEquals(await finish(target, dir), pictureOfTree(tree), `seed ${seed}`);
  }
});

/** A tree whose table is read in several blocks; every fifth name is another here. */
function manyFiles(): TestTree {
  const tree: TestTree = {};
  for (let i = 0; i < 30; i++) {
    const folder = i % 5 === 0 ? `folder:${i}` : `folder-${i}`;
    tree[folder] = { mtime: LONG_AGO + i };
    for (let j = 0; j < 60; j++) {
      const name = j % 5 === 0 ? `file?${j}` : `file-${j}`;
      tree[`${folder}/${name}`] = { content: bytesOf((i * j) % 200, i + j), executable: j === 1 };
    }
  }
  return tree;
}

permitted("a table of many blocks, with names that become others, is gone by", NEEDS, async () => {
  const tree = manyFiles();
  const { table, bytes } = await transferOf(tree);
  const { table: first, rest } = piecesOf(bytes, table.length, 1000);
  await using dir = await tempDir();
  const options = optionsOf(dir, table.length, bytes.length);
  let target = await TreeTarget.create(options);
  await writeAll(target, first);
  const order = shuffled(rest, randomFrom(seed));
  const half = Math.floor(order.length / 2);
  await writeAll(target, order.slice(0, half));
  await target.sync();
  target.close();
  target = await TreeTarget.reopen(options);
  await writeAll(target, order.slice(half));
  const whole = new Uint8Array(bytes.length);
  await target.read(0, whole);
  assertEquals(whole, bytes);
  assertEquals(target.renamed.renamed, 6 + 30 * 12);
  const expected = Object.entries(tree).map(([path, entry]) => [path.replace(/[:?]/g, "_"), entry]);
  const picture = pictureOfTree(Object.fromEntries(expected));
  assertEquals(await finish(target, dir), picture, `seed ${seed}`);
  await target.remove();
  assertEquals([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["tree"]);
});

permitted(
  "a planning that is stopped ends the write, and leaves nothing behind",
  NEEDS,
  async () => {
    const { table, bytes } = await transferOf(manyFiles());
    await using dir = await tempDir();
    const target = await TreeTarget.create(optionsOf(dir, table.length, bytes.length));
    const writing = rejectsWith("cancelled", () => target.write(0, table));
    target.stop();
    await writing;
    target.close();
    await target.remove();
    assertEquals([...Deno.readDirSync(dir.path)], []);
  },
);

permitted("without its table, or with another, a tree is not gone on with", NEEDS, async () => {
  await using dir = await tempDir();
  const { table, bytes } = await transferOf(sampleTree());
  const options = optionsOf(dir, table.length, bytes.length);
  const isGone = (error: unknown) => assert(error instanceof Deno.errors.NotFound, `${error}`);
  const reopened = () => TreeTarget.reopen(options).then(() => assert(false), isGone);
  await reopened();
  const target = await TreeTarget.create(options);
  await target.write(0, table.slice(0, 10));
  target.close();
  await reopened();
  await Deno.writeFile(dir.at("x.table"), table.slice(0, 10));
  await reopened();
  await target.remove();
  await target.remove();
  await Deno.writeTextFile(dir.at("x.part"), "a file");
  await Deno.writeFile(dir.at("x.table"), table);
  await reopened();
});

for (const [what, lie] of Object.entries({ "more": 1, "less": -1, "a lot more": 2 ** 50 })) {
  permitted(`a table that promises ${what} than was offered is refused`, NEEDS, async () => {
    await using dir = await tempDir();
    const { table, bytes } = await transferOf(sampleTree());
    const target = await TreeTarget.create(optionsOf(dir, table.length, bytes.length - lie));
    await rejectsWith("malformed", () => target.write(0, table));
    assertEquals([...Deno.readDirSync(dir.at("x.part"))], []);
    target.close();
    await target.remove();
    assertEquals([...Deno.readDirSync(dir.path)], []);
  });
}

permitted("files before the table, and a hostile table, make nothing", NEEDS, async () => {
  await using dir = await tempDir();
  const { table, bytes } = await transferOf(sampleTree());
  const early = await TreeTarget.create(optionsOf(dir, table.length, bytes.length));
  await rejectsWith("malformed", () => early.write(table.length, bytes.slice(table.length)));
  await early.remove();
  for (const path of ["../evil", "/tmp/evil", "a/../../evil"]) {
    const hostile = encodeTable(entriesOf({ ok: {}, [path]: { content: bytesOf(1) } }));
    const whole = await joined([hostile, bytesOf(1)]);
    const target = await TreeTarget.create(optionsOf(dir, hostile.length, whole.length));
    await rejectsWith("refused", () => target.write(0, whole));
    assertEquals([...Deno.readDirSync(dir.at("x.part"))], []);
    target.close();
    await target.remove();
  }
  assertEquals([...Deno.readDirSync(dir.path)], []);
});

permitted("a name that is taken is left alone, whatever has it", NEEDS, async () => {
  await using dir = await tempDir();
  const { table, bytes } = await transferOf({ a: { content: bytesOf(3) } });
  const target = await TreeTarget.create(optionsOf(dir, table.length, bytes.length));
  await target.write(0, bytes);
  await target.settle();
  await Deno.writeTextFile(dir.at("file"), "mine");
  await Deno.mkdir(dir.at("empty"));
  await Deno.mkdir(dir.at("full"));
  await Deno.writeTextFile(dir.at("full", "x"), "mine");
  await Deno.symlink(dir.at("nothing"), dir.at("link"));
  for (const name of ["file", "empty", "full", "link"]) {
    assertEquals(await target.moveTo(dir.at(name)), false, name);
  }
  assertEquals(await Deno.readTextFile(dir.at("file")), "mine");
  assertEquals(await pictureOf(dir.at("empty")), []);
  assertEquals((await pictureOf(dir.at("full"))).length, 1);
  assertEquals(await target.moveTo(dir.at("free")), true);
  await target.takeBack(dir.at("free"));
  assertEquals([...Deno.readDirSync(dir.at("x.part"))].map(({ name }) => name), ["a"]);
  target.close();
});
