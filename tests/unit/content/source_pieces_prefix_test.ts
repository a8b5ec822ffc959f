/** Sources for one recipient, whose pieces are proven by the hash of all bytes up to their end. */

import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { encodeBase64Url } from "@std/encoding/base64url";
import { ManifestCache } from "../../../lib/content/manifest_cache.ts";
import { openContent } from "../../../lib/content/open_content.ts";
import { SourcePieces } from "../../../lib/content/source_pieces.ts";
import { StreamContent } from "../../../lib/content/stream_content.ts";
import { sha256 } from "../../../lib/pieces/hash.ts";
import { pieceSizeFor } from "../../../lib/pieces/manifest.ts";
import type { Scheme } from "../../../lib/pieces/scheme.ts";
import { assertSameBytes } from "../../helpers/bytes.ts";
import { rejectsWith, throwsWith } from "../../helpers/errors.ts";
import { later } from "../../helpers/file_age.ts";
import { permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { manifestOf } from "../../helpers/raw.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const PIECE = 256 * 1024;
const COUNT = 81;
const content = bytesOf((COUNT - 1) * PIECE + 5);
const prefix = manifestOf(content, PIECE, { scheme: "prefix" });
const independent = manifestOf(content, PIECE);

/** The id of a manifest whose hashes are independent from a piece on. */
function idOf(from: number): string {
  const hash = createHash("sha256").update(
    `p2p-manifest prefix/${from} ${content.length} ${PIECE} -\n`,
  );
  hash.update(prefix.hashes.subarray(0, from * 32)).update(independent.hashes.subarray(from * 32));
  return encodeBase64Url(hash.digest());
}

async function scene(): Promise<TempDir & { cache: ManifestCache; file: string }> {
  const dir = await tempDir();
  await Deno.writeFile(dir.at("file"), content);
  return { ...dir, cache: new ManifestCache(dir.at("cache")), file: dir.at("file") };
}

async function open(file: string, cache?: ManifestCache): Promise<SourcePieces> {
  return await SourcePieces.open(await openContent(file, { now: later }), {
    scheme: "prefix",
    cache,
  });
}

/** Takes pieces up to before `end` as a recipient does, from the first on whose hash is given. */
async function take(source: SourcePieces, start = 0, end = COUNT): Promise<void> {
  using place = source.enter();
  place.advance(start);
  source.start();
  for (let next = start; next < end;) {
    const { hashes, scheme } = await source.hashesFrom(next, 2048);
    const right = scheme === "prefix" ? prefix.hashes : independent.hashes;
    assertSameBytes(hashes, right.slice(next * 32, next * 32 + hashes.length));
    for (const last = next + hashes.length / 32; next < last; next++) await lend(source, next);
  }
  // The end comes a turn after the last hash.
  if (end === COUNT) await source.hashesFrom(COUNT, 1);
}

async function lend(source: SourcePieces, index: number): Promise<void> {
  const piece = await source.lend(index);
  assertSameBytes(piece.bytes, content.subarray(index * PIECE, (index + 1) * PIECE));
  piece.release();
}

/** Puts hashes of pieces into the cache. */
async function prepare(
  { cache, file }: { cache: ManifestCache; file: string },
  pieces: Partial<Record<Scheme, number[]>>,
  change: (hash: Uint8Array, index: number) => Uint8Array = (hash) => hash,
): Promise<void> {
  await using source = await openContent(file, { now: later });
  const { key, size, isSettled } = source;
  assert(key !== null && size !== null);
  const pieceSize = pieceSizeFor(size);
  await using cached = await cache.open({ key, size, isSettled, pieceSize });
  for (const scheme of ["prefix", "independent"] as const) {
    const { hashes } = scheme === "prefix" ? prefix : independent;
    for (const index of pieces[scheme] ?? []) {
      const hash = change(hashes.slice(index * 32, (index + 1) * 32), index);
      cached.note({ index, scheme, hash });
    }
  }
  cached.finish(null, COUNT);
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

permitted("it is read once, and its last hash is the SHA-256 of the file", NEEDS, async () => {
  await using dir = await scene();
  {
    await using source = await open(dir.file, dir.cache);
    assertEquals([source.sha256, source.manifest.id], [null, undefined]);
    await take(source);
    assertEquals([source.manifest.id, source.manifest.digest], [prefix.id, prefix.last]);
    // Far behind what is in memory.
    for (const index of [0, 80, 17, 0]) await lend(source, index);
  }
  await using source = await open(dir.file, dir.cache);
  assertEquals([source.manifest.id, source.manifest.digest], [prefix.id, prefix.last]);
  assertEquals(source.sha256, encodeBase64Url(sha256(content)));
});

permitted("a piece that is read again and has changed is found out", NEEDS, async () => {
  await using dir = await scene();
  await using source = await open(dir.file);
  await take(source);
  const changed = content.slice();
  changed[3] = (changed[3] as number) ^ 1;
  await Deno.writeFile(dir.file, changed);
  await rejectsWith("source-changed", () => source.lend(0));
});

permitted(
  "from a complete cache nothing is hashed; a piece asked for twice is",
  NEEDS,
  async () => {
    await using dir = await scene();
    await prepare(dir, { prefix: range(0, COUNT) });
    await using source = await open(dir.file, dir.cache);
    assertEquals(source.manifest.id, prefix.id);
    for (const index of [30, 2, 30, 2, 30, 40]) await lend(source, index);
  },
);

permitted(
  "a wrong hash in a complete cache is found out when a piece is asked for twice",
  NEEDS,
  async () => {
    await using dir = await scene();
    await prepare(
      dir,
      { prefix: range(0, COUNT) },
      (hash, index) => index === 3 ? sha256(hash) : hash,
    );
    {
      await using source = await open(dir.file, dir.cache);
      await lend(source, 3);
      await rejectsWith("source-changed", () => source.lend(3));
    }
    await using source = await open(dir.file, dir.cache);
    assertEquals(source.manifest.count, 0);
  },
);

permitted("what was cut off goes on with hashes of its own", NEEDS, async () => {
  await using dir = await scene();
  await prepare(dir, { prefix: range(0, 20) });
  {
    await using source = await open(dir.file, dir.cache);
    assertEquals([source.manifest.count, source.manifest.independentFrom], [20, 20]);
    // A recipient that has more than this side knows: that comes again.
    source.proveApartFrom(25);
    await take(source, 20);
    assertEquals([source.manifest.id, source.sha256], [idOf(20), null]);
  }
  await using source = await open(dir.file, dir.cache);
  assertEquals(source.manifest.id, idOf(20));
});

permitted("a recipient that has less has the pieces behind proven one by one", NEEDS, async () => {
  await using dir = await scene();
  await prepare(dir, { prefix: range(0, 20) });
  {
    await using source = await open(dir.file, dir.cache);
    source.start();
    source.proveApartFrom(7);
    assertEquals([source.manifest.count, source.manifest.independentFrom], [7, 7]);
    await take(source, 7);
    assertEquals(source.manifest.id, idOf(7));
    // What is before was not read in this run.
    for (const index of [6, 0, 6, 0]) await lend(source, index);
  }
  await using source = await open(dir.file, dir.cache);
  assertEquals(source.manifest.id, idOf(7));
});

permitted("of what was cut off twice nothing is hashed a second time", NEEDS, async () => {
  await using dir = await scene();
  await prepare(dir, { prefix: range(0, 20), independent: range(7, 30) });
  await using source = await open(dir.file, dir.cache);
  // As far as the hashes go from where the first ones end.
  assertEquals([source.manifest.count, source.manifest.independentFrom], [30, 20]);
  source.proveApartFrom(7);
  assertEquals([source.manifest.count, source.manifest.independentFrom], [30, 7]);
  await take(source, 7);
  assertEquals(source.manifest.id, idOf(7));
});

permitted(
  "a recipient that asks in the middle has what has gone by proven anew",
  NEEDS,
  async () => {
    await using dir = await scene();
    await using source = await open(dir.file);
    await take(source, 0, 24);
    source.proveApartFrom(9);
    await take(source, 9);
    assertEquals(source.manifest.id, idOf(9));
  },
);

permitted("what is asked for ahead of what is read begins there", NEEDS, async () => {
  await using dir = await scene();
  await using source = await open(dir.file);
  source.start();
  source.proveApartFrom(30);
  await take(source);
  assertEquals(source.manifest.id, idOf(30));
  // All of it has been read in one run.
  assertEquals(source.sha256, prefix.last.sha256);
});

permitted(
  "a recipient that knows pieces by their own hashes only has no others",
  NEEDS,
  async () => {
    await using dir = await scene();
    await prepare(dir, { independent: range(0, 12) });
    await using source = await open(dir.file, dir.cache);
    assertEquals([source.manifest.count, source.manifest.independentFrom], [12, 0]);
    await take(source);
    assertEquals(source.manifest.id, independent.id);
  },
);

permitted("for many, hashes of all before are of no use but for the SHA-256", NEEDS, async () => {
  await using dir = await scene();
  await prepare(dir, { prefix: range(0, COUNT) });
  await using source = await SourcePieces.open(await openContent(dir.file, { now: later }), {
    scheme: "independent",
    cache: dir.cache,
  });
  assertEquals([source.manifest.count, source.sha256], [0, prefix.last.sha256]);
  await take(source);
  assertEquals(source.manifest.id, independent.id);
});

Deno.test("a stream is not proven piece by piece", async () => {
  const stream = new Blob([content]).stream();
  await using source = await SourcePieces.open(new StreamContent(stream, "log"), {
    scheme: "prefix",
  });
  throwsWith("malformed", () => source.proveApartFrom(1));
  source.proveApartFrom(Infinity);
});
