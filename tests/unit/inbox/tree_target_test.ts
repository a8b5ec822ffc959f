import { assert, assertEquals } from "@std/assert";
import { TreeStorage, type TreeStorageOptions } from "../../../lib/inbox/tree_target.ts";
import { encodeTable } from "../../../lib/pieces/tree_table.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
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
const unix = Deno.build.os !== "windows";

function optionsOf(dir: TempDir, head: number, size: number): TreeStorageOptions {
  return { path: dir.at("x.part"), head, size, mode: MODE, foldsCase: false };
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

async function writeAll(storage: TreeStorage, pieces: Piece[]): Promise<void> {
  for (const { offset, bytes } of pieces) await storage.write(offset, bytes);
}

function shuffled<T>(items: T[], random: () => number): T[] {
  return items.map((item) => ({ item, at: random() })).sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/** Settles it and gives it a name. */
async function finish(storage: TreeStorage, dir: TempDir): Promise<string[]> {
  await storage.settle();
  assertEquals(await storage.moveTo(dir.at("tree")), true);
  storage.close();
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
        const storage = await TreeStorage.create(optionsOf(dir, table.length, bytes.length));
        const pieces = piecesOf(bytes, table.length, size);
        const random = randomFrom(seed + run);
        assertEquals(storage.files, null);
        // The table's own pieces may come in any order too, as long as they are the first.
        await writeAll(storage, shuffled(pieces.table.slice(0, -1), random));
        await writeAll(storage, pieces.table.slice(-1));
        assertEquals(storage.files?.count, 5);
        const order = run === 0 ? pieces.rest : shuffled(pieces.rest, random);
        const half = Math.floor(order.length / 2);
        await writeAll(storage, order.slice(0, half));
        await storage.sync();
        await writeAll(storage, order.slice(half));
        assertEquals(storage.files?.within(bytes.length), 5);
        assertEquals(await finish(storage, dir), pictureOfTree(tree), `run ${run}, seed ${seed}`);
      }
    },
  );
}

permitted(
  "modes are those of any new file, and what the owner may execute stays so",
  NEEDS,
  async () => {
    if (!unix) return;
    await using dir = await tempDir();
    const { table, bytes } = await transferOf(sampleTree());
    const storage = await TreeStorage.create(optionsOf(dir, table.length, bytes.length));
    const modeOf = async (path: string) => ((await Deno.lstat(path)).mode ?? 0) & 0o7777;
    assertEquals(await modeOf(dir.at("x.part")), 0o700);
    await storage.write(0, bytes);
    assertEquals(await modeOf(dir.at("x.part")), 0o700);
    await finish(storage, dir);
    const at = (path: string) => modeOf(dir.at("tree", path));
    assertEquals(await Promise.all(["", "a", "a/deep", "nothing"].map(at)), Array(4).fill(0o750));
    assertEquals(await at("a/run.sh"), 0o750);
    assertEquals(await Promise.all([".hidden", "a/empty.txt", "a/deep/large.bin"].map(at)), [
      MODE,
      MODE,
      MODE,
    ]);
  },
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
    const storage = await TreeStorage.create(optionsOf(dir, table.length, bytes.length));
    if (table.length > 0) await storage.write(0, table);
    assertEquals(await finish(storage, dir), pictureOfTree(tree));
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
    let storage = await TreeStorage.create(options);
    await writeAll(storage, first);
    const order = shuffled(rest, random);
    const cut = Math.ceil(order.length / 3);
    for (let at = 0; at < order.length; at += cut) {
      await writeAll(storage, order.slice(at, at + cut));
      await storage.sync();
      storage.close();
      storage = await TreeStorage.reopen(options);
      assertEquals(storage.files?.count, 5);
    }
    assertEquals(await finish(storage, dir), pictureOfTree(tree), `seed ${seed}`);
  }
});

permitted("without its table, or with another, a tree is not gone on with", NEEDS, async () => {
  await using dir = await tempDir();
  const { table, bytes } = await transferOf(sampleTree());
  const options = optionsOf(dir, table.length, bytes.length);
  const isGone = (error: unknown) => assert(error instanceof Deno.errors.NotFound, `${error}`);
  const reopened = () => TreeStorage.reopen(options).then(() => assert(false), isGone);
  await reopened();
  const storage = await TreeStorage.create(options);
  await storage.write(0, table.slice(0, 10));
  storage.close();
  await reopened();
  await Deno.writeFile(dir.at("x.table"), table.slice(0, 10));
  await reopened();
  await storage.remove();
  await storage.remove();
  await Deno.writeTextFile(dir.at("x.part"), "a file");
  await Deno.writeFile(dir.at("x.table"), table);
  await reopened();
});

for (const [what, lie] of Object.entries({ "more": 1, "less": -1, "a lot more": 2 ** 50 })) {
  permitted(`a table that promises ${what} than was offered is refused`, NEEDS, async () => {
    await using dir = await tempDir();
    const { table, bytes } = await transferOf(sampleTree());
    const storage = await TreeStorage.create(optionsOf(dir, table.length, bytes.length - lie));
    await rejectsWith("malformed", () => storage.write(0, table));
    assertEquals([...Deno.readDirSync(dir.at("x.part"))], []);
    storage.close();
    await storage.remove();
    assertEquals([...Deno.readDirSync(dir.path)], []);
  });
}

permitted("files before the table, and a hostile table, make nothing", NEEDS, async () => {
  await using dir = await tempDir();
  const { table, bytes } = await transferOf(sampleTree());
  const early = await TreeStorage.create(optionsOf(dir, table.length, bytes.length));
  await rejectsWith("malformed", () => early.write(table.length, bytes.slice(table.length)));
  await early.remove();
  for (const path of ["../evil", "/tmp/evil", "a/../../evil"]) {
    const hostile = encodeTable(entriesOf({ ok: {}, [path]: { content: bytesOf(1) } }));
    const whole = await joined([hostile, bytesOf(1)]);
    const storage = await TreeStorage.create(optionsOf(dir, hostile.length, whole.length));
    await rejectsWith("refused", () => storage.write(0, whole));
    assertEquals([...Deno.readDirSync(dir.at("x.part"))], []);
    storage.close();
    await storage.remove();
  }
  assertEquals([...Deno.readDirSync(dir.path)], []);
});

permitted("a name that is taken is left alone, whatever has it", NEEDS, async () => {
  await using dir = await tempDir();
  const { table, bytes } = await transferOf({ a: { content: bytesOf(3) } });
  const storage = await TreeStorage.create(optionsOf(dir, table.length, bytes.length));
  await storage.write(0, bytes);
  await storage.settle();
  await Deno.writeTextFile(dir.at("file"), "mine");
  await Deno.mkdir(dir.at("empty"));
  await Deno.mkdir(dir.at("full"));
  await Deno.writeTextFile(dir.at("full", "x"), "mine");
  await Deno.symlink(dir.at("nothing"), dir.at("link"));
  for (const name of ["file", "empty", "full", "link"]) {
    assertEquals(await storage.moveTo(dir.at(name)), false, name);
  }
  assertEquals(await Deno.readTextFile(dir.at("file")), "mine");
  assertEquals(await pictureOf(dir.at("empty")), []);
  assertEquals((await pictureOf(dir.at("full"))).length, 1);
  assertEquals(await storage.moveTo(dir.at("free")), true);
  await storage.takeBack(dir.at("free"));
  assertEquals([...Deno.readDirSync(dir.at("x.part"))].map(({ name }) => name), ["a"]);
  storage.close();
});

permitted("a published tree is recognised, and another one told apart", NEEDS, async () => {
  await using dir = await tempDir();
  const tree: TestTree = { a: {}, "a/b": { content: bytesOf(3), mtime: LONG_AGO } };
  const { table, bytes } = await transferOf(tree);
  const storage = await TreeStorage.create(optionsOf(dir, table.length, bytes.length));
  await storage.write(0, bytes);
  await storage.settle();
  const { ino, mtime, tree: print } = await storage.identity();
  const there = await Deno.lstat(dir.at("x.part"));
  assertEquals([ino, mtime], [there.ino, there.mtime?.getTime() ?? null]);
  assert(print);
  storage.close();
});
