import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import {
  type Receipt,
  Receipts,
  RECEIPTS_FILE,
  TABLES_FOLDER,
} from "../../../lib/inbox/receipts.ts";
import { NO_MODES, permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { fileSent, type Sent, treeSent } from "../../helpers/receive.ts";
import { minutesAhead } from "../../helpers/file_age.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";
import { LONG_AGO, plant, sampleTree } from "../../helpers/tree.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
/** Receipts that are remembered. */
const REMEMBERED = 10_000;

/** An inbox and its private folder. */
async function scene(): Promise<TempDir & { open(): Promise<Receipts>; file: string }> {
  const dir = await tempDir();
  await Deno.mkdir(dir.at("in"));
  await Deno.mkdir(dir.at("private"));
  return {
    ...dir,
    open: () =>
      Receipts.open(dir.at("private"), dir.at("in"), { foldsCase: false, keepsNames: true }),
    file: dir.at("private", RECEIPTS_FILE),
  };
}

/** Makes a file in the inbox, and what its receipt says. */
async function received(dir: TempDir, name: string, seed = 1): Promise<Receipt> {
  const path = dir.at("in", name);
  await Deno.writeFile(path, bytesOf(100, seed));
  await Deno.utime(path, new Date(), new Date(LONG_AGO));
  return await receiptOf(path, fileSent(name, bytesOf(100, seed)));
}

async function receivedTree(dir: TempDir): Promise<Receipt> {
  const tree = sampleTree();
  const path = dir.at("in", "tree");
  await plant(path, tree);
  await Deno.utime(path, new Date(), new Date(LONG_AGO));
  const sent = await treeSent("tree", tree);
  const { manifest, table } = sent.offer;
  const tables = dir.at("private", TABLES_FOLDER);
  await Deno.mkdir(tables);
  await Deno.writeFile(join(tables, `${manifest}.table`), sent.bytes.subarray(0, table ?? 0));
  return { ...await receiptOf(path, sent), files: 5 };
}

async function receiptOf(path: string, { offer, bytes }: Sent): Promise<Receipt> {
  const { name, manifest, pieceSize } = offer;
  return {
    transfer: `transfer ${name}`,
    from: "anna",
    offered: name,
    name,
    size: bytes.length,
    pieceSize,
    proof: "independent",
    manifest,
    sha256: null,
    ino: (await Deno.lstat(path)).ino,
  };
}

/** Which of the ways to find it find it. */
async function found(receipts: Receipts, receipt: Receipt): Promise<[boolean, boolean]> {
  const byTransfer = await receipts.ofTransfer(receipt.transfer, receipt.from);
  const byContent = await receipts.ofContent(receipt, null);
  for (const it of [byTransfer, byContent]) if (it) assertEquals(it, receipt);
  return [byTransfer !== null, byContent !== null];
}

permitted(
  "what was published is found, by transfer and by content, also later",
  NEEDS,
  async () => {
    await using dir = await scene();
    const [file, tree] = [await received(dir, "a.txt"), await receivedTree(dir)];
    {
      using receipts = await dir.open();
      for (const receipt of [file, tree]) {
        assertEquals(await found(receipts, receipt), [false, false]);
        await receipts.intend(receipt);
        assertEquals(await found(receipts, receipt), [false, false]);
        receipts.add(receipt);
        assertEquals(await found(receipts, receipt), [true, true]);
      }
    }
    using receipts = await dir.open();
    assertEquals(await found(receipts, file), [true, true]);
    assertEquals(await found(receipts, tree), [true, true]);
  },
);

permitted("only the same from the same under the same name is the same", NEEDS, async () => {
  await using dir = await scene();
  const receipt = await received(dir, "a.txt");
  using receipts = await dir.open();
  receipts.add(receipt);
  for (const other of [{ from: "bob" }, { offered: "b.txt" }, { manifest: "another" }]) {
    assertEquals(await receipts.ofContent({ ...receipt, ...other }, null), null);
  }
  assertEquals(await receipts.ofTransfer(receipt.transfer, "bob"), null);
  assertEquals(await receipts.ofTransfer("another", "anna"), null);
});

permitted(
  "a crash between intent and name leaves nothing, after the name both",
  NEEDS,
  async () => {
    await using dir = await scene();
    const [there, never] = [await received(dir, "there"), await received(dir, "never")];
    {
      using receipts = await dir.open();
      await receipts.intend(there);
      await receipts.intend(never);
    }
    await Deno.remove(dir.at("in", "never"));
    using receipts = await dir.open();
    assertEquals(await found(receipts, there), [true, true]);
    assertEquals(await found(receipts, never), [false, false]);
    assertEquals(await receipts.hasInode(there.ino), true);
    assertEquals(await receipts.hasInode(never.ino), false);
    assertEquals(await receipts.hasInode(null), false);
  },
);

const CHANGES: Record<string, (path: string) => Promise<void>> = {
  "moved away": (path) => Deno.rename(path, `${path} elsewhere`),
  "deleted": (path) => Deno.remove(path, { recursive: true }),
};

/** Other bytes of the same size, with the same time, in a file or in one that is below. */
function rewritten(file: string) {
  return async (path: string) => {
    const { mtime } = await Deno.stat(join(path, file));
    const bytes = await Deno.readFile(join(path, file));
    await Deno.writeFile(join(path, file), bytes.map((byte) => byte ^ 0xff));
    await Deno.utime(join(path, file), new Date(), mtime ?? new Date());
  };
}

const FILE_CHANGES: typeof CHANGES = {
  ...CHANGES,
  "exchanged for another of its size and time": async (path) => {
    await Deno.writeFile(`${path}.new`, bytesOf(100, 9));
    await Deno.utime(`${path}.new`, new Date(), new Date(LONG_AGO));
    await Deno.rename(`${path}.new`, path);
  },
  "written to, and its time put back": rewritten(""),
  "exchanged for a link to itself": async (path) => {
    await Deno.rename(path, `${path}.new`);
    await Deno.symlink(`${path}.new`, path);
  },
};

/** A change inside of a tree that leaves the time of its top as it was. */
const inside = (change: (path: string) => Promise<void>) => async (path: string) => {
  await change(path);
  await Deno.utime(path, new Date(), new Date(LONG_AGO));
};

const TREE_CHANGES: typeof CHANGES = {
  ...CHANGES,
  "given a file": inside((path) => Deno.writeTextFile(join(path, "new"), "")),
  "given a file further down": inside((path) => Deno.writeTextFile(join(path, "a/deep/new"), "")),
  "robbed of a file": inside((path) => Deno.remove(join(path, "a/run.sh"))),
  "robbed of an empty folder": inside((path) => Deno.remove(join(path, "nothing"))),
  "changed in one file": inside((path) => Deno.writeTextFile(join(path, "a/run.sh"), "x")),
  "written to in one file, and its time put back": rewritten("a/run.sh"),
  "given a link in place of a file": inside(async (path) => {
    await Deno.rename(join(path, ".hidden"), `${path}.hidden`);
    await Deno.symlink(`${path}.hidden`, join(path, ".hidden"));
  }),
};

for (const [kind, changes] of Object.entries({ file: FILE_CHANGES, tree: TREE_CHANGES })) {
  for (const [what, change] of Object.entries(changes)) {
    permitted(`a ${kind} that was ${what} is not there any more`, NEEDS, async () => {
      await using dir = await scene();
      const receipt = kind === "file" ? await received(dir, "a.txt") : await receivedTree(dir);
      {
        using receipts = await dir.open();
        await receipts.intend(receipt);
        receipts.add(receipt);
        await change(dir.at("in", receipt.name));
        // This process knows that it arrived; its sender need not send it again for a lost ACK.
        assertEquals(await found(receipts, receipt), [true, false]);
      }
      using receipts = await dir.open();
      assertEquals(await found(receipts, receipt), [false, false]);
    });
  }
}

permitted("lines that a crash or anybody else damaged are passed over", NEEDS, async () => {
  await using dir = await scene();
  const [first, second] = [await received(dir, "first"), await received(dir, "second", 2)];
  const line = JSON.stringify(first);
  const damaged = [
    "",
    "null",
    "7",
    "{}",
    line.slice(0, -5),
    JSON.stringify({ ...first, size: "1" }),
  ];
  await Deno.writeTextFile(dir.file, [...damaged, line, ...damaged, line.slice(0, 40)].join("\n"));
  {
    using receipts = await dir.open();
    assertEquals(await found(receipts, first), [true, true]);
    await receipts.intend(second);
    receipts.add(second);
  }
  // What is written after a torn line is not lost with it.
  using receipts = await dir.open();
  assertEquals(await found(receipts, first), [true, true]);
  assertEquals(await found(receipts, second), [true, true]);
});

permitted("the oldest of very many are forgotten, in the file too", NEEDS, async () => {
  await using dir = await scene();
  const [old, young] = [await received(dir, "old"), await received(dir, "young", 2)];
  const many = Array.from({ length: 2 * REMEMBERED }, (_, i) => ({
    ...old,
    transfer: `${i}`,
    manifest: `${i}`,
  }));
  const lines = [old, ...many, young].map((receipt) => `${JSON.stringify(receipt)}\n`);
  await Deno.writeTextFile(dir.file, lines.join(""));
  {
    using receipts = await dir.open();
    assertEquals(await found(receipts, old), [false, false]);
    assertEquals(await found(receipts, young), [true, true]);
    assertEquals((await Deno.readTextFile(dir.file)).split("\n").length - 1, REMEMBERED);
    receipts.add(old);
    assertEquals(await found(receipts, old), [true, true]);
    const [oldest] = many.slice(-REMEMBERED + 1);
    if (oldest) assertEquals(await found(receipts, oldest), [false, false]);
  }
  if (!NO_MODES) assertEquals(((await Deno.stat(dir.file)).mode ?? 0) & 0o777, 0o600);
});

for (const kind of ["file", "tree"] as const) {
  permitted(
    `a ${kind} that was left alone is known by what the disk says of it, and only then`,
    NEEDS,
    async () => {
      await using dir = await scene();
      const receipt = kind === "file" ? await received(dir, "a.txt") : await receivedTree(dir);
      const path = dir.at("in", receipt.name);
      const file = kind === "file" ? path : join(path, "a/run.sh");
      const ofDisk = async () => {
        using receipts = await dir.open();
        assertEquals((await receipts.ofContent(receipt, null)) !== null, true);
        const lines = (await Deno.readTextFile(dir.file)).trimEnd().split("\n");
        return lines.filter((line) => JSON.parse(line).seen !== undefined).length;
      };
      {
        using receipts = await dir.open();
        await receipts.intend(receipt);
      }
      // What has just been written can be written again unseen.
      assertEquals(await ofDisk(), 0);
      {
        using _clock = minutesAhead();
        assertEquals(await ofDisk(), 1);
        assertEquals(await ofDisk(), 1);
      }
      // A time, a mode or a second name of it says nothing of its bytes, which are read again then.
      await Deno.utime(file, new Date(), new Date(LONG_AGO + 5000));
      await Deno.link(file, dir.at("second"));
      assertEquals(await ofDisk(), 1);
      using _clock = minutesAhead();
      assertEquals(await ofDisk(), 2);
      await Deno.writeFile(file, (await Deno.readFile(file)).map((byte) => byte ^ 0xff));
      using receipts = await dir.open();
      assertEquals(await found(receipts, receipt), [false, false]);
    },
    { ignore: Deno.build.os !== "linux" && "only Linux says which disks stamp changes" },
  );
}

permitted("a tree whose table is not kept is known when it has come again", NEEDS, async () => {
  await using dir = await scene();
  const receipt = await receivedTree(dir);
  const kept = dir.at("private", TABLES_FOLDER, `${receipt.manifest}.table`);
  await Deno.rename(kept, dir.at("table"));
  using receipts = await dir.open();
  receipts.add(receipt);
  assertEquals(await receipts.ofOffer(receipt), null);
  assertEquals(await receipts.ofContent(receipt, dir.at("table")), receipt);
  assertEquals(await receipts.ofOffer(receipt), receipt);
});
