/** Sources whose piece hashes are known from an earlier run, in whole or in part. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { join } from "@std/path";
import type { Content } from "../../../lib/content/content.ts";
import { type FileDigest, pieceSizeFor } from "../../../lib/pieces/manifest.ts";
import { type CacheKey, ManifestCache } from "../../../lib/content/manifest_cache.ts";
import { openContent } from "../../../lib/content/open_content.ts";
import { P2PError } from "../../../lib/errors.ts";
import { SourcePieces } from "../../../lib/content/source_pieces.ts";
import { assertSameBytes } from "../../helpers/bytes.ts";
import { eventually } from "../../helpers/deadline.ts";
import { later, secondBegins } from "../../helpers/file_age.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { Mount, whyNoMount } from "../../helpers/mount.ts";
import { NO_LINUX, permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { manifestOf } from "../../helpers/raw.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";
import { plant, sampleTree, transferOf } from "../../helpers/tree.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const NEEDS_RUN: Deno.PermissionName[] = [...NEEDS, "run"];
const PIECE = 256 * 1024;
const content = bytesOf(40 * PIECE + 5);
const { id, last, hashes } = manifestOf(content, PIECE);
const COUNT = 41;
const scheme = "independent";

/** A hash that is that of no piece. */
const WRONG = new Uint8Array(32).fill(7);

async function scene(): Promise<TempDir & { cache: ManifestCache; file: string }> {
  const dir = await tempDir();
  await Deno.writeFile(dir.at("file"), content);
  return { ...dir, cache: new ManifestCache(dir.at("cache")), file: dir.at("file") };
}

async function sourceOf(path: string, cache: ManifestCache): Promise<SourcePieces> {
  return await SourcePieces.open(await openContent(path, { now: later }), { scheme, cache });
}

/** Reads it to its end. */
async function read(source: SourcePieces): Promise<FileDigest> {
  source.start();
  for (let start = 0;;) {
    const segment = await source.hashesFrom(start, 2048);
    if (segment.digest) return segment.digest;
    start += segment.hashes.length / 32;
    (await source.lend(start - 1)).release();
  }
}

function keyOf({ key, size, isSettled }: Content): CacheKey {
  assert(key !== null && size !== null);
  const pieceSize = pieceSizeFor(size);
  return { key, size, isSettled, pieceSize };
}

/** What the cache has of what is at a path now. */
async function known(path: string, cache: ManifestCache) {
  await using content = await openContent(path, { now: later });
  await using cached = await cache.open(keyOf(content));
  const isComplete = cached.completeFrom(scheme) !== null;
  return { count: cached.run(scheme).length, isComplete, sha256: cached.sha256 };
}

/** Puts the right hashes of the first pieces into the cache, but for the wrong one of `wrong`. */
async function prepare(
  path: string,
  cache: ManifestCache,
  { count, wrong }: { count: number; wrong?: number },
): Promise<void> {
  await using content = await openContent(path, { now: later });
  await using cached = await cache.open(keyOf(content));
  for (let index = 0; index < count; index++) {
    const hash = index === wrong ? WRONG : hashes.slice(index * 32, (index + 1) * 32);
    cached.note({ index, scheme, hash });
  }
  cached.finish(count === COUNT ? last.sha256 : null, 0);
}

async function lendAndCheck(source: SourcePieces, index: number): Promise<void> {
  const piece = await source.lend(index);
  assertSameBytes(piece.bytes, content.subarray(index * PIECE, (index + 1) * PIECE));
  piece.release();
}

permitted(
  "what was read to its end is known the next time, before anything is read",
  NEEDS,
  async () => {
    await using dir = await scene();
    {
      await using source = await sourceOf(dir.file, dir.cache);
      assertEquals(source.manifest.id, undefined);
      assertEquals(await read(source), last);
      assertEquals(source.manifest.id, id);
    }
    assertEquals(await known(dir.file, dir.cache), {
      count: COUNT,
      isComplete: true,
      sha256: last.sha256,
    });
    await using source = await sourceOf(dir.file, dir.cache);
    assertEquals([source.manifest.id, source.manifest.digest], [id, last]);
    assertEquals((await source.hashesFrom(0, 2048)).hashes, hashes);
    for (const index of [40, 0, 0, 17]) await lendAndCheck(source, index);
  },
);

permitted(
  "from a complete cache nothing is hashed; a piece that was wrong is found out",
  NEEDS,
  async () => {
    await using dir = await scene();
    await prepare(dir.file, dir.cache, { count: COUNT, wrong: 3 });
    {
      await using source = await sourceOf(dir.file, dir.cache);
      source.start();
      // It is what the cache says, and not what is in the file.
      assertNotEquals(source.manifest.id, id);
      assertEquals(source.manifest.hashOf(3), WRONG);
      await lendAndCheck(source, 2);
      await lendAndCheck(source, 3);
      // The receiver asks again: it was not what the hash says.
      const error = await rejectsWith("source-changed", () => source.lend(3));
      assert(error.message.includes(dir.file));
      await lendAndCheck(source, 2);
    }
    assertEquals(await known(dir.file, dir.cache), { count: 0, isComplete: false, sha256: null });
    await using source = await sourceOf(dir.file, dir.cache);
    assertEquals(await read(source), last);
  },
);

permitted(
  "from a partial cache only the rest is read, and no SHA-256 is known",
  NEEDS,
  async () => {
    await using dir = await scene();
    await prepare(dir.file, dir.cache, { count: 35 });
    {
      await using source = await sourceOf(dir.file, dir.cache);
      assertEquals(source.manifest.count, 35);
      assertEquals(await read(source), { size: content.length, sha256: null });
      assertEquals(source.manifest.id, id);
      for (const index of [0, 34, 35, 40]) await lendAndCheck(source, index);
    }
    assertEquals(await known(dir.file, dir.cache), {
      count: COUNT,
      isComplete: true,
      sha256: null,
    });
  },
);

permitted("what a partial cache has wrong is neither read nor sent", NEEDS, async () => {
  await using dir = await scene();
  await prepare(dir.file, dir.cache, { count: 35, wrong: 3 });
  {
    await using source = await sourceOf(dir.file, dir.cache);
    await read(source);
    assertEquals(source.manifest.hashOf(3), WRONG);
    await rejectsWith("source-changed", () => source.lend(3));
    await lendAndCheck(source, 4);
  }
  assertEquals((await known(dir.file, dir.cache)).count, 0);
});

permitted("a sender that ends early leaves what it has hashed", NEEDS, async () => {
  await using dir = await scene();
  const large = dir.at("large");
  await Deno.writeFile(large, bytesOf(80 * 1024 * 1024));
  {
    await using source = await sourceOf(large, dir.cache);
    source.start();
    for (let index = 0; index < 40; index++) {
      await source.hashesFrom(index, 1);
      (await source.lend(index)).release();
    }
  }
  const { count, isComplete, sha256 } = await known(large, dir.cache);
  assert(count >= 32, `${count} pieces were kept`);
  assertEquals([isComplete, sha256], [false, null]);
});

const CHANGES: Record<string, (path: string) => Promise<void>> = {
  "written to": async (path) => {
    using file = await Deno.open(path, { write: true });
    await file.write(new Uint8Array(1));
  },
  "touched": (path) => Deno.utime(path, new Date(), new Date(1e12)),
  "exchanged": async (path) => {
    await Deno.copyFile(path, `${path}.new`);
    const { mtime } = await Deno.stat(path);
    await Deno.utime(`${path}.new`, new Date(), mtime ?? new Date());
    await Deno.rename(`${path}.new`, path);
  },
};

/** Other bytes of the same length, with the time of the old ones: only the file system knows. */
async function writeUnseen(path: string): Promise<void> {
  const { mtime, ctime } = await Deno.stat(path);
  // Deno tells the time of the last change in whole seconds, and the clock of a file system is a tick late.
  const isLater = () => Date.now() >= (ctime?.getTime() ?? 0) + 1100;
  await eventually(isLater, "the second after the last change");
  using file = await Deno.open(path, { write: true });
  await file.write(new Uint8Array(1));
  await Deno.utime(path, new Date(), mtime ?? new Date());
}
CHANGES["written to, and its time put back"] = writeUnseen;

for (const [what, change] of Object.entries(CHANGES)) {
  permitted(`a file that was ${what} is hashed again`, NEEDS, async () => {
    await using dir = await scene();
    await prepare(dir.file, dir.cache, { count: COUNT, wrong: 3 });
    await change(dir.file);
    await using source = await sourceOf(dir.file, dir.cache);
    assertEquals(source.manifest.count, 0);
    const { size } = await read(source);
    const now = await Deno.readFile(dir.file);
    assertEquals([size, source.manifest.id], [now.length, manifestOf(now, PIECE).id]);
  });
}

permitted("a tree is known by its names, sizes and times", NEEDS, async () => {
  await using dir = await scene();
  const tree = sampleTree();
  const { table, bytes } = await transferOf(tree);
  const expected = manifestOf(bytes, PIECE, { table: table.length });
  await plant(dir.at("tree"), tree);
  {
    await using source = await sourceOf(dir.at("tree"), dir.cache);
    assertEquals([source.name, source.size, source.files?.count], ["tree", bytes.length, 5]);
    assertEquals(await read(source), { size: bytes.length, sha256: null });
    assertEquals(source.manifest.id, expected.id);
  }
  {
    await using source = await sourceOf(dir.at("tree"), dir.cache);
    assertEquals(source.manifest.id, expected.id);
    for (let index = 0; index < source.pieceCount; index++) {
      const piece = await source.lend(index);
      assertSameBytes(piece.bytes, bytes.subarray(index * PIECE, (index + 1) * PIECE));
      piece.release();
    }
  }
  await Deno.utime(join(dir.at("tree"), ".hidden"), new Date(), new Date(1e12));
  await using source = await sourceOf(dir.at("tree"), dir.cache);
  assertEquals([source.manifest.count, source.manifest.id], [0, undefined]);
});

permitted(
  "a tree that was written to, and its times put back, is hashed again",
  NEEDS,
  async () => {
    await using dir = await scene();
    await plant(dir.at("tree"), sampleTree());
    {
      await using source = await sourceOf(dir.at("tree"), dir.cache);
      await read(source);
    }
    await writeUnseen(join(dir.at("tree"), "a", "run.sh"));
    await using source = await sourceOf(dir.at("tree"), dir.cache);
    assertEquals([source.manifest.count, source.manifest.id], [0, undefined]);
  },
);

/** Other bytes of the same length, at once and with the time of the old ones: not even the file system knows. */
async function writeWithinTick(path: string): Promise<void> {
  const { mtime } = await Deno.stat(path);
  using file = await Deno.open(path, { write: true });
  await file.write(Uint8Array.of(0xff, 0xfe));
  await Deno.utime(path, new Date(), mtime ?? new Date());
}

/** What the file system tells of a file. */
async function lookOf(path: string) {
  const { size, mtime, ctime, ino } = await Deno.stat(path);
  return { size, mtime, ctime, ino };
}

permitted("a file that is written twice within a tick is hashed twice", NEEDS, async () => {
  await using dir = await scene();
  const file = dir.at("fresh");
  await secondBegins();
  await Deno.writeFile(file, content);
  const looked = await lookOf(file);
  {
    await using source = await SourcePieces.open(await openContent(file), {
      scheme,
      cache: dir.cache,
    });
    assertEquals(await read(source), last);
  }
  await writeWithinTick(file);
  assertEquals({ ...await lookOf(file), ctime: null }, { ...looked, ctime: null });
  await using source = await SourcePieces.open(await openContent(file), {
    scheme,
    cache: dir.cache,
  });
  assertEquals(source.manifest.count, 0);
  await read(source);
  assertEquals(source.manifest.id, manifestOf(await Deno.readFile(file), PIECE).id);
  assertNotEquals(source.manifest.id, id);
});

permitted(
  "a file of a tree that is written twice within a tick is hashed twice",
  NEEDS,
  async () => {
    await using dir = await scene();
    const [tree, file] = [dir.at("tree"), dir.at("tree", "a", "run.sh")];
    await plant(tree, sampleTree());
    await secondBegins();
    await Deno.writeTextFile(file, "before");
    const idOf = async () => {
      await using source = await SourcePieces.open(await openContent(tree), {
        scheme,
        cache: dir.cache,
      });
      assertEquals(source.manifest.count, 0);
      await read(source);
      return source.manifest.id;
    };
    const before = await idOf();
    await writeWithinTick(file);
    assertNotEquals(await idOf(), before);
  },
);

permitted("a file is settled a minute after its last change", NEEDS, async () => {
  await using dir = await scene();
  const settledAt = async (path: string, now: number) => {
    await using content = await openContent(path, { now: () => now });
    return content.isSettled;
  };
  await Deno.mkdir(dir.at("tree"));
  const file = dir.at("tree", "a");
  await Deno.writeTextFile(file, "a");
  const changed = (await Deno.stat(file)).ctime?.getTime() ?? 0;
  await Deno.utime(file, 0, 0);
  for (const path of [file, dir.at("tree")]) {
    assertEquals(await settledAt(path, changed + 62_000), true);
    // Before the change, as when the clock was put back; at it; and too soon after it.
    for (const ms of [-60_000, 0, 59_999]) assertEquals(await settledAt(path, changed + ms), false);
  }
  // A time that is still to come says nothing until it is over.
  await Deno.utime(file, new Date(), new Date(later() + 3600_000));
  for (const path of [file, dir.at("tree")]) {
    assertEquals(await settledAt(path, later()), false);
    assertEquals(await settledAt(path, later() + 3662_000), true);
  }
});

permitted("a sender that was cut off knows a fresh file again by its bytes", NEEDS, async () => {
  await using dir = await scene();
  const sourceOfFresh = async (signal?: AbortSignal) =>
    await SourcePieces.open(await openContent(dir.file), { scheme, cache: dir.cache, signal });
  {
    await using source = await sourceOfFresh();
    assertEquals(await read(source), last);
  }
  await rejectsWith(
    "interrupted",
    () => sourceOfFresh(AbortSignal.abort(new P2PError("interrupted", "Interrupted"))),
  );
  {
    await using source = await sourceOfFresh();
    assertEquals([source.manifest.id, source.manifest.digest], [id, last]);
    // Everybody has it now: to send it once more, it need not be read before.
    source.settle();
  }
  await using source = await sourceOfFresh();
  assertEquals(source.manifest.count, 0);
});

permitted(
  "a file that is written to through mapped memory, which changes none of its times, is hashed again",
  NEEDS_RUN,
  async () => {
    await using dir = await scene();
    const path = dir.file;
    const script = "import mmap, sys\n" +
      "with open(sys.argv[1], 'r+b') as file, mmap.mmap(file.fileno(), 0) as memory:\n" +
      "    for line in sys.stdin:\n" +
      "        memory[0] ^= 1\n" +
      "        print('written', flush=True)\n";
    const writer = new Deno.Command("python3", {
      args: ["-c", script, path],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const commands = writer.stdin.getWriter();
    const answers = writer.stdout.getReader();
    const write = async () => {
      await commands.write(new TextEncoder().encode("\n"));
      await answers.read();
    };
    // The page is dirty from the first time on: the second one is not stamped.
    await write();
    const ids: (string | undefined)[] = [];
    const looks: unknown[] = [];
    // Within the time that the kernel may take to write a page back, however long this test takes.
    const { mtime } = await Deno.stat(path);
    assert(mtime);
    const now = () => mtime.getTime() + 31_000;
    for (let time = 0; time < 2; time++) {
      await using source = await SourcePieces.open(await openContent(path, { now }), {
        scheme,
        cache: dir.cache,
      });
      await read(source);
      ids.push(source.manifest.id);
      looks.push(await lookOf(path));
      await write();
    }
    await commands.close();
    await writer.status;
    await answers.cancel();
    assertEquals(looks[0], looks[1]);
    assertNotEquals(ids[0], ids[1]);
  },
  { ignore: NO_LINUX },
);

const HARMLESS: Record<string, (path: string) => Promise<void>> = {
  "grew": (path) => Deno.writeTextFile(path, "more", { append: true }),
  "was touched": (path) => Deno.utime(path, new Date(), new Date(1e12)),
  "got another mode": (path) => Deno.chmod(path, 0o600),
  "got a second name": (path) => Deno.link(path, `${path}.2`),
};

for (const name of ["run.sh", "deep/large.bin"]) {
  for (const [what, change] of Object.entries(HARMLESS)) {
    permitted(`a tree whose ${name} ${what} since it was listed is sent`, NEEDS, async () => {
      await using dir = await scene();
      const tree = sampleTree();
      await plant(dir.at("tree"), tree);
      await using source = await sourceOf(dir.at("tree"), dir.cache);
      const path = join(dir.at("tree"), "a", name);
      await change(path);
      const { size } = await read(source);
      assertEquals(size, (await transferOf(tree)).bytes.length);
      assertEquals(source.grown, what === "grew" ? [path] : []);
    });
  }
}

const HARMFUL: Record<string, (path: string) => Promise<void>> = {
  "became shorter": (path) => Deno.truncate(path, 5),
  "became a pipe": async (path) => {
    await Deno.remove(path);
    await new Deno.Command("mkfifo", { args: [path] }).output();
  },
  "became a device": async (path) => {
    await Deno.remove(path);
    await Deno.symlink("/dev/zero", path);
  },
};

for (const name of ["run.sh", "deep/large.bin"]) {
  for (const [what, change] of Object.entries(HARMFUL)) {
    permitted(
      `a tree whose ${name} ${what} since it was listed is not sent`,
      NEEDS_RUN,
      async () => {
        await using dir = await scene();
        await plant(dir.at("tree"), sampleTree());
        await using source = await sourceOf(dir.at("tree"), dir.cache);
        const path = join(dir.at("tree"), "a", name);
        await change(path);
        const code = what === "became shorter" ? "source-changed" : "disk";
        const error = await rejectsWith(code, () => read(source));
        assert(error.message.includes(path), error.message);
        assertEquals(source.manifest.digest, undefined);
      },
      { ignore: NO_LINUX },
    );
  }
}

permitted(
  "a large file of a tree that is written to while it is read is not sent",
  NEEDS,
  async () => {
    await using dir = await scene();
    await plant(dir.at("tree"), { "a.bin": { content: bytesOf(20 * PIECE) } });
    await using source = await sourceOf(dir.at("tree"), dir.cache);
    source.start();
    await source.hashesFrom(1, 1);
    {
      using file = await Deno.open(dir.at("tree", "a.bin"), { write: true });
      await file.write(new Uint8Array(10));
    }
    const error = await rejectsWith("source-changed", () => read(source));
    assert(error.message.includes("a.bin"), error.message);
  },
);

permitted("a tree of which one file is gone since it was listed is not sent", NEEDS, async () => {
  await using dir = await scene();
  await plant(dir.at("tree"), sampleTree());
  await using source = await sourceOf(dir.at("tree"), dir.cache);
  await Deno.remove(join(dir.at("tree"), "a", "run.sh"));
  const error = await rejectsWith("file-not-found", () => read(source));
  assert(error.message.includes("run.sh"), error.message);
});

permitted("a cache that cannot be used costs a hashing and no more", NEEDS, async () => {
  await using dir = await scene();
  await Deno.writeTextFile(dir.at("cache"), "a file in its place");
  await using source = await sourceOf(dir.file, dir.cache);
  assertEquals(await read(source), last);
  assertEquals(source.manifest.id, id);
});

permitted("on a disk that does not stamp all changes, a stored hash is not believed", [
  "read",
  "write",
  "run",
  "sys",
], async () => {
  await using dir = await scene();
  await using disk = await Mount.odd(dir.at("disk"), "inodes");
  const file = join(disk.path, "file");
  await Deno.writeFile(file, content);
  for (let time = 0; time < 2; time++) {
    await using source = await sourceOf(file, dir.cache);
    assertEquals(source.manifest.id, undefined);
    await read(source);
    assertEquals(source.manifest.id, id);
  }
}, { ignore: await whyNoMount((folder) => Mount.odd(join(folder, "odd"))) });

permitted("what was sent to several in small pieces is sent to one in these", NEEDS, async () => {
  await using dir = await scene();
  const open = async (receivers: number) =>
    await SourcePieces.open(await openContent(dir.file, { now: later }), {
      scheme,
      receivers,
      cache: dir.cache,
    });
  let small: number;
  {
    await using source = await open(8);
    small = source.pieceSize;
    assertEquals((await read(source)).size, content.length);
  }
  await using source = await open(1);
  assertEquals([source.pieceSize, source.pieceSize < PIECE], [small, true]);
  assert(source.manifest.digest, "all of it is known");
  const { bytes, release } = await source.lend(3);
  assertSameBytes(bytes, content.subarray(3 * small, 4 * small));
  release();
});
