import { assertEquals } from "@std/assert";
import { type CacheKey, ManifestCache } from "../../../lib/content/manifest_cache.ts";
import { pieceCountOf } from "../../../lib/pieces/manifest.ts";
import type { JournalPiece } from "../../../lib/pieces/piece_journal.ts";
import type { Scheme } from "../../../lib/pieces/scheme.ts";
import { NO_MODES, permitted } from "../../helpers/permissions.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const MIB = 1024 * 1024;
const KEY: CacheKey = {
  key: "/a/file 1",
  size: 100 * MIB,
  pieceSize: MIB,
  isSettled: true,
};
const SHA = "A".repeat(43);
/** Bytes between two writes to the disk, as pieces of the key. */
const WRITE_EVERY = 8;
/** Manifests that are kept. */
const MOST = 1000;

function hashOf(n: number): Uint8Array {
  return new Uint8Array(32).fill(n + 1);
}

function pieceOf(index: number, scheme: Scheme = "independent"): JournalPiece {
  return { index, scheme, hash: hashOf(index) };
}

function hashes(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => hashOf(i));
}

/** Notes pieces `[start, end)`, and all that there is to say when they are the last. */
async function note(
  cache: ManifestCache,
  { key = KEY, start = 0, end, sha256 }: {
    key?: CacheKey;
    start?: number;
    end: number;
    sha256?: string | null;
  },
): Promise<void> {
  await using cached = await cache.open(key);
  for (let index = start; index < end; index++) cached.note(pieceOf(index));
  if (sha256 !== undefined) cached.finish(sha256, 0);
}

/** What is known of the content. */
async function known(cache: ManifestCache, key = KEY) {
  await using cached = await cache.open(key);
  const { sha256 } = cached;
  const isComplete = cached.completeFrom("independent") !== null;
  const run = cached.run("independent");
  assertEquals(run, hashes(run.length));
  return { count: run.length, isComplete, sha256 };
}

const NOTHING = { count: 0, isComplete: false, sha256: null };

/** What is in the cache, whose folder is made when something is written. */
function files(dir: TempDir): string[] {
  try {
    return [...Deno.readDirSync(dir.at("cache"))].map(({ name }) => name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return [];
  }
}

async function onlyFile(dir: TempDir): Promise<string> {
  const [name = "", ...others] = files(dir);
  assertEquals(others, []);
  return await Promise.resolve(dir.at("cache", name));
}

permitted("a complete manifest comes back", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new ManifestCache(dir.at("cache"));
  assertEquals(await known(cache), NOTHING);
  assertEquals(files(dir), []);
  await note(cache, { end: 100, sha256: SHA });
  assertEquals(await known(cache), { count: 100, isComplete: true, sha256: SHA });
  const another = new ManifestCache(dir.at("cache"));
  assertEquals(await known(another), { count: 100, isComplete: true, sha256: SHA });
});

permitted("a manifest and its folder are private", NEEDS, async () => {
  await using dir = await tempDir();
  await note(new ManifestCache(dir.at("cache")), { end: 100, sha256: SHA });
  const modeOf = async (path: string) => ((await Deno.stat(path)).mode ?? 0) & 0o777;
  assertEquals([await modeOf(dir.at("cache")), await modeOf(await onlyFile(dir))], [0o700, 0o600]);
}, { ignore: NO_MODES });

permitted(
  "what was hashed before the sender was killed is known, and completed later",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const cache = new ManifestCache(dir.at("cache"));
    // Nothing was finished: what has been written is what counts.
    await note(cache, { end: 2 * WRITE_EVERY + 5 });
    assertEquals(await known(cache), { ...NOTHING, count: 2 * WRITE_EVERY });
    await note(cache, { start: 2 * WRITE_EVERY, end: 100, sha256: null });
    assertEquals(await known(cache), { count: 100, isComplete: true, sha256: null });
  },
);

permitted("hashes behind a gap are of no use", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new ManifestCache(dir.at("cache"));
  await note(cache, { start: 1, end: 100, sha256: SHA });
  assertEquals(await known(cache), { ...NOTHING, sha256: SHA });
  await note(cache, { end: 1, sha256: SHA });
  assertEquals(await known(cache), { count: 100, isComplete: true, sha256: SHA });
});

permitted("an empty file is complete once its hash is known", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new ManifestCache(dir.at("cache"));
  const key = { ...KEY, size: 0 };
  await note(cache, { key, end: 0, sha256: null });
  assertEquals(await known(cache, key), NOTHING);
  await note(cache, { key, end: 0, sha256: SHA });
  assertEquals(await known(cache, key), { count: 0, isComplete: true, sha256: SHA });
});

const OTHERS: Record<string, CacheKey> = {
  "another key": { ...KEY, key: "/a/file 2" },
  "another size": { ...KEY, size: KEY.size - 1 },
  "a smaller piece size": { ...KEY, pieceSize: MIB / 2 },
};

for (const [what, key] of Object.entries(OTHERS)) {
  permitted(`${what} is another content`, NEEDS, async () => {
    await using dir = await tempDir();
    const cache = new ManifestCache(dir.at("cache"));
    await note(cache, { end: 100, sha256: SHA });
    assertEquals(await known(cache, key), NOTHING);
    await note(cache, { key, end: pieceCountOf(key.size, key.pieceSize), sha256: null });
    assertEquals((await known(cache, key)).isComplete, true);
  });
}

permitted("what was sent in smaller pieces goes on in these", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new ManifestCache(dir.at("cache"));
  await note(cache, { key: { ...KEY, pieceSize: MIB / 4 }, end: 32 });
  await using cached = await cache.open(KEY);
  assertEquals([cached.pieceSize, cached.pieces], [MIB / 4, 400]);
  assertEquals(cached.run("independent"), hashes(32));
});

permitted("of small pieces that were wrong the size is kept, and nothing else", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new ManifestCache(dir.at("cache"));
  {
    await using cached = await cache.open({ ...KEY, pieceSize: MIB / 4 });
    for (let index = 0; index < 64; index++) cached.note(pieceOf(index));
    await cached.drop();
  }
  {
    await using cached = await cache.open(KEY);
    assertEquals([cached.pieceSize, cached.isEmpty], [MIB / 4, true]);
    for (let index = 0; index < 40; index++) cached.note(pieceOf(index));
  }
  await using cached = await cache.open(KEY);
  assertEquals([cached.pieceSize, cached.run("independent")], [MIB / 4, hashes(32)]);
});

permitted(
  "a manifest under the name of another content is not taken for its own",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const cache = new ManifestCache(dir.at("cache"));
    await note(cache, { end: 100, sha256: SHA });
    const path = await onlyFile(dir);
    const other = { ...KEY, key: "/b" };
    await note(cache, { key: other, end: 100, sha256: SHA });
    const theirs = files(dir).map((name) => dir.at("cache", name)).find((it) => it !== path);
    await Deno.copyFile(path, theirs ?? "");
    assertEquals(await known(cache, other), NOTHING);
  },
);

const DAMAGES: Record<string, (path: string) => Promise<void>> = {
  "empty": (path) => Deno.truncate(path),
  "cut short in its header": (path) => Deno.truncate(path, 1000),
  "nonsense": (path) => Deno.writeFile(path, new Uint8Array(10_000).fill(0xff)),
  "zeros": (path) => Deno.writeFile(path, new Uint8Array(10_000)),
  "a folder": async (path) => {
    await Deno.remove(path);
    await Deno.mkdir(path);
  },
};

for (const [what, damage] of Object.entries(DAMAGES)) {
  permitted(`a file of the cache that is ${what} costs a hashing, once`, NEEDS, async () => {
    await using dir = await tempDir();
    const cache = new ManifestCache(dir.at("cache"));
    await note(cache, { end: 100, sha256: SHA });
    await damage(await onlyFile(dir));
    assertEquals(await known(cache), NOTHING);
    await note(cache, { end: 100, sha256: SHA });
    assertEquals(await known(cache), { count: 100, isComplete: true, sha256: SHA });
  });
}

permitted("a file that was cut short in its hashes says what it has", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new ManifestCache(dir.at("cache"));
  await note(cache, { end: 100, sha256: SHA });
  await Deno.truncate(await onlyFile(dir), 4096 + 7 * 64 + 31);
  assertEquals(await known(cache), { count: 7, isComplete: false, sha256: SHA });
});

permitted("what turned out to be wrong is dropped", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new ManifestCache(dir.at("cache"));
  await note(cache, { end: 100, sha256: SHA });
  {
    await using cached = await cache.open(KEY);
    cached.drop();
    cached.drop();
  }
  assertEquals([files(dir), await known(cache)], [[], NOTHING]);
});

permitted("a folder that cannot be written costs the cache only", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new ManifestCache(dir.at("cache"));
  {
    await using cached = await cache.open(KEY);
    await Deno.writeTextFile(dir.at("cache"), "no folder");
    for (let index = 0; index < 100; index++) cached.note(pieceOf(index));
    cached.finish(SHA, 0);
  }
  assertEquals(await known(cache), NOTHING);
});

permitted("a key as long as the longest path is no harm", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new ManifestCache(dir.at("cache"));
  const key = { ...KEY, key: `/${"x".repeat(4096)}` };
  await note(cache, { key, end: 100, sha256: SHA });
  const { count } = await known(cache, key);
  assertEquals(count === 0 || count === 100, true);
  await note(cache, { end: 100, sha256: SHA });
  assertEquals((await known(cache)).isComplete, true);
});

permitted("of very many those used longest ago go", NEEDS, async () => {
  await using dir = await tempDir();
  const cache = new ManifestCache(dir.at("cache"));
  await note(cache, { end: 100, sha256: SHA });
  const young = await onlyFile(dir);
  for (let i = 1; i < MOST; i++) {
    await Deno.writeTextFile(dir.at("cache", `${i}.manifest`), "");
    await Deno.utime(dir.at("cache", `${i}.manifest`), new Date(), new Date(i * 1000));
  }
  await note(cache, { key: { ...KEY, key: "new" }, end: 100, sha256: SHA });
  const left = files(dir);
  assertEquals(left.includes(`${MOST - 1}.manifest`), true);
  assertEquals(left.includes("1.manifest"), false);
  assertEquals((await Deno.stat(young)).isFile, true);
  assertEquals(left.length, MOST / 2 + 1);
});
