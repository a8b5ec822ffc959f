import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { sha256 } from "../../../lib/pieces/hash.ts";
import type { FileDigest } from "../../../lib/pieces/manifest.ts";
import { openContent } from "../../../lib/content/open_content.ts";
import { SourcePieces } from "../../../lib/content/source_pieces.ts";
import { assertSameBytes, assertShared } from "../../helpers/bytes.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { NO_LINUX, permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { hashesOf } from "../../helpers/raw.ts";
import { manifestOf } from "../../helpers/raw.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const NEEDS_RUN: Deno.PermissionName[] = [...NEEDS, "run"];
const PIECE = 256 * 1024;
/** Pieces that are read ahead of the recipient that is furthest; as many stay behind it. */
const AHEAD = 32;
/** The same where that is not enough. */
const FURTHER = 4 * AHEAD;
/** The same before anybody has asked for a piece. */
const EARLY = 4;
const MOST = 2048;

/** A source of what is at a path, without a cache. */
async function sourceOf(path: string): Promise<SourcePieces> {
  return await SourcePieces.open(await openContent(path), { scheme: "independent" });
}

/** Waits until the source has read all that it will read without being asked for more. */
async function hashesUpTo(source: SourcePieces, count: number): Promise<void> {
  await source.hashesFrom(count - 1, 1);
}

async function digestOf(source: SourcePieces): Promise<FileDigest> {
  for (let start = 0;;) {
    const segment = await source.hashesFrom(start, MOST);
    if (segment.digest) return segment.digest;
    start += segment.hashes.length / 32;
    (await source.lend(start - 1)).release();
  }
}

for (const size of [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7]) {
  permitted(`a file of ${size} bytes is read and hashed once`, NEEDS, async () => {
    await using dir = await tempDir();
    const content = bytesOf(size);
    await Deno.writeFile(dir.at("file.bin"), content);
    await using source = await sourceOf(dir.at("file.bin"));
    source.start();
    assertEquals(await digestOf(source), hashesOf([], content).last);
    assertEquals([source.name, source.size], ["file.bin", size]);
    assertEquals(source.pieceCount, source.manifest.count);
    for (let index = 0; index < source.pieceCount; index++) {
      const piece = await source.lend(index);
      assertEquals(new Uint8Array(sha256(piece.bytes)), source.manifest.slice(index, index + 1));
      assertSameBytes(piece.bytes, content.subarray(index * PIECE, (index + 1) * PIECE));
      piece.release();
    }
  });
}

permitted("only what is there can be sent, and no device", NEEDS, async () => {
  await using dir = await tempDir();
  await rejectsWith("usage", () => sourceOf(""));
  await rejectsWith("file-not-found", () => sourceOf(dir.at("nothing")));
  const { message } = await rejectsWith("file-not-found", () => sourceOf(dir.at("caf\ufffd.txt")));
  assertStringIncludes(message, "or its name is not UTF-8; rename it");
  if (Deno.build.os === "linux") await rejectsWith("disk", () => sourceOf("/dev/zero"));
});

permitted("reading keeps a window before the recipient that is furthest", NEEDS, async () => {
  await using dir = await tempDir();
  const size = 3 * AHEAD * PIECE;
  await Deno.writeFile(dir.at("big"), bytesOf(size));
  await using source = await sourceOf(dir.at("big"));
  source.start();
  await hashesUpTo(source, EARLY);
  assertEquals(source.manifest.count, EARLY);
  (await source.lend(0)).release();
  await hashesUpTo(source, AHEAD + 1);
  assertEquals(source.manifest.count, AHEAD + 1);
  (await source.lend(AHEAD)).release();
  await hashesUpTo(source, 2 * AHEAD + 1);
  assertEquals([source.manifest.count, source.manifest.digest], [2 * AHEAD + 1, undefined]);
});

permitted(
  "for a recipient that is far away more is read ahead, once all is read that may be",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await Deno.writeFile(dir.at("big"), bytesOf(6 * AHEAD * PIECE));
    await using source = await sourceOf(dir.at("big"));
    source.start();
    await hashesUpTo(source, EARLY);
    (await source.lend(0)).release();
    // It waits for the disk, and not for a recipient.
    source.readFurther();
    await hashesUpTo(source, AHEAD + 1);
    await turn();
    assertEquals(source.manifest.count, AHEAD + 1);
    source.readFurther();
    await hashesUpTo(source, FURTHER + 1);
    await turn();
    source.readFurther();
    await turn();
    assertEquals(source.manifest.count, FURTHER + 1);
  },
);

permitted("a piece that has left the window is read again", NEEDS, async () => {
  await using dir = await tempDir();
  const content = bytesOf(3 * AHEAD * PIECE);
  await Deno.writeFile(dir.at("big"), content);
  await using source = await sourceOf(dir.at("big"));
  source.start();
  await hashesUpTo(source, 1);
  const kept = await source.lend(0);
  await digestOf(source);
  for (const index of [0, 5, 1]) {
    const again = await source.lend(index);
    assertSameBytes(again.bytes, content.subarray(index * PIECE, (index + 1) * PIECE));
    assertShared(again.bytes, kept.bytes, false);
    again.release();
  }
  // What is on loan stays as it is, whatever is read meanwhile.
  assertSameBytes(kept.bytes, content.subarray(0, PIECE));
  kept.release();
});

permitted("many recipients share one reading", NEEDS, async () => {
  await using dir = await tempDir();
  const content = bytesOf(4 * PIECE);
  await Deno.writeFile(dir.at("file"), content);
  await using source = await sourceOf(dir.at("file"));
  source.start();
  await digestOf(source);
  // Nothing is read any more: the bytes come from memory.
  await Deno.truncate(dir.at("file"));
  const lent = await Promise.all(Array.from({ length: 20 }, (_, i) => source.lend(i % 4)));
  for (const [i, piece] of lent.entries()) {
    assertSameBytes(piece.bytes, content.subarray((i % 4) * PIECE, (i % 4 + 1) * PIECE));
    assertShared(piece.bytes, lent[i % 4]?.bytes, true);
    piece.release();
  }
});

/** A file larger than the window, read as far as it goes by itself. */
async function halfRead(path: string): Promise<SourcePieces> {
  await Deno.writeFile(path, bytesOf(3 * AHEAD * PIECE));
  const source = await sourceOf(path);
  source.start();
  await hashesUpTo(source, 1);
  (await source.lend(0)).release();
  await hashesUpTo(source, AHEAD + 1);
  return source;
}

const HARMLESS: Record<string, (path: string) => Promise<void>> = {
  "grows": (path) => Deno.writeFile(path, new Uint8Array(1), { append: true }),
  "gets another time": (path) => Deno.utime(path, new Date(), new Date(1e12)),
  "gets another mode": (path) => Deno.chmod(path, 0o600),
  "gets a second name": (path) => Deno.link(path, `${path}.2`),
  "is replaced by another": async (path) => {
    await Deno.writeTextFile(`${path}.new`, "another");
    await Deno.rename(`${path}.new`, path);
  },
  "is deleted": (path) => Deno.remove(path),
  "is replaced by a pipe": async (path) => {
    await Deno.remove(path);
    await new Deno.Command("mkfifo", { args: [path] }).output();
  },
};

for (const [what, change] of Object.entries(HARMLESS)) {
  permitted(
    `a file that ${what} while it is read is sent as it was opened`,
    NEEDS_RUN,
    async () => {
      await using dir = await tempDir();
      await using source = await halfRead(dir.at("file"));
      const before = bytesOf(3 * AHEAD * PIECE);
      await change(dir.at("file"));
      const digest = await digestOf(source);
      assertEquals(digest, manifestOf(before, PIECE).last);
      assertEquals(source.grown, what === "grows" ? [dir.at("file")] : []);
      // A recipient that lags behind gets the same.
      const piece = await source.lend(0);
      assertEquals(piece.bytes, before.subarray(0, PIECE));
      piece.release();
    },
    { ignore: NO_LINUX },
  );
}

const HARMFUL: Record<string, (path: string) => Promise<void>> = {
  "becomes shorter": (path) => Deno.truncate(path, (AHEAD + 1) * PIECE + 1),
  "is written to at its start": async (path) => {
    using file = await Deno.open(path, { write: true });
    await file.write(new Uint8Array(10));
  },
  "is written to in the middle and put back in time": async (path) => {
    const { mtime } = await Deno.stat(path);
    {
      using file = await Deno.open(path, { write: true });
      await file.seek(PIECE + 7, Deno.SeekMode.Start);
      await file.write(new Uint8Array(10));
    }
    // The time of the change is told in seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_001));
    await Deno.utime(path, new Date(), mtime ?? 0);
  },
};

for (const [what, change] of Object.entries(HARMFUL)) {
  permitted(`a file that ${what} while it is read is not sent`, NEEDS, async () => {
    await using dir = await tempDir();
    await using source = await halfRead(dir.at("file"));
    await change(dir.at("file"));
    const error = await rejectsWith("source-changed", () => digestOf(source));
    assert(error.message.includes(dir.at("file")));
    assertEquals(source.manifest.digest, undefined);
  });
}

permitted("a piece that is read again has to be what it was", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await halfRead(dir.at("file"));
  await digestOf(source);
  using file = await Deno.open(dir.at("file"), { write: true });
  await file.write(new Uint8Array(1));
  await rejectsWith("source-changed", () => source.lend(0));
  (await source.lend(1)).release();
  await Deno.truncate(dir.at("file"), PIECE + 1);
  await rejectsWith("source-changed", () => source.lend(1));
});

permitted("closing while it reads leaves no file open", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.writeFile(dir.at("file"), bytesOf(2 * AHEAD * PIECE));
  const source = await sourceOf(dir.at("file"));
  source.start();
  await source[Symbol.asyncDispose]();
  const unread = await sourceOf(dir.at("file"));
  await unread[Symbol.asyncDispose]();
});
