/** Sources that can be read once: standard input, of which nobody knows the end. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import type { FileDigest } from "../../../lib/pieces/manifest.ts";
import { SourcePieces } from "../../../lib/content/source_pieces.ts";
import { StreamContent } from "../../../lib/content/stream_content.ts";
import { assertSameBytes, assertShared } from "../../helpers/bytes.ts";
import { deadline, turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { bytesOf } from "../../helpers/random.ts";
import { manifestOf } from "../../helpers/raw.ts";

const PIECE = 1024 * 1024;
/** Pieces between what is read and the slowest recipient. */
const WINDOW = 32;

/** A stream that gives a content in chunks of a length that fits nothing. */
function streamOf(content: Uint8Array, chunk = 70_001): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at < content.length) controller.enqueue(content.slice(at, at += chunk));
      else controller.close();
    },
  }, { highWaterMark: 0 });
}

async function sourceOf(stream: ReadableStream<Uint8Array>): Promise<SourcePieces> {
  return await SourcePieces.open(new StreamContent(stream, "log.txt"), { scheme: "prefix" });
}

/** Takes every piece as one recipient would; resolves with the end. */
async function readAll(source: SourcePieces, content: Uint8Array): Promise<FileDigest> {
  using place = source.enter();
  source.start();
  for (let next = 0;;) {
    const { hashes, digest } = await source.hashesFrom(next, 2048);
    for (const end = next + hashes.length / 32; next < end; next++) {
      const piece = await source.lend(next);
      assertSameBytes(piece.bytes, content.subarray(next * PIECE, (next + 1) * PIECE));
      piece.release();
      place.advance(next + 1);
    }
    if (digest) return digest;
  }
}

for (const size of [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 80 * PIECE + 7]) {
  Deno.test(`a stream of ${size} bytes is read and hashed once`, async () => {
    const content = bytesOf(size);
    const { id, last } = manifestOf(content, PIECE, { scheme: "prefix" });
    await using source = await sourceOf(streamOf(content));
    assertEquals([source.name, source.size, source.offeredSize], ["log.txt", null, null]);
    assertEquals(await readAll(source, content), last);
    assertEquals([source.manifest.id, source.size, source.offeredSize], [id, size, null]);
    assertEquals(source.pieceCount, Math.ceil(size / PIECE));
  });
}

/** A stream without end that counts its chunks, each one piece with its number in it. */
function endless(): { stream: ReadableStream<Uint8Array>; taken: () => number } {
  let taken = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new Uint8Array(PIECE).fill(taken++));
    },
  }, { highWaterMark: 0 });
  return { stream, taken: () => taken };
}

/** Waits for so many hashes; more than that may not come. */
async function readsUpTo(source: SourcePieces, count: number): Promise<void> {
  await deadline(source.hashesFrom(count - 1, 1), `piece ${count}`);
  for (let i = 0; i < 5; i++) await turn();
  assertEquals(source.manifest.count, count);
}

Deno.test("the slowest recipient sets the pace, and one that is gone holds up nobody", async () => {
  const { stream, taken } = endless();
  await using source = await sourceOf(stream);
  using quick = source.enter();
  using slow = source.enter();
  source.start();
  await readsUpTo(source, WINDOW);
  quick.advance(WINDOW);
  await readsUpTo(source, WINDOW);
  slow.advance(1);
  await readsUpTo(source, WINDOW + 1);
  assertEquals(taken(), WINDOW + 1);
  slow.advance(0);
  slow[Symbol.dispose]();
  await readsUpTo(source, 2 * WINDOW);
  assertEquals(taken(), 2 * WINDOW);
});

Deno.test("what not all have stays in memory and is never read again; the rest is gone", async () => {
  const { stream, taken } = endless();
  await using source = await sourceOf(stream);
  using quick = source.enter();
  using slow = source.enter();
  source.start();
  await readsUpTo(source, WINDOW);
  const first = await source.lend(3);
  const again = await source.lend(3);
  assertShared(first.bytes, again.bytes, true);
  again.release();
  quick.advance(WINDOW);
  slow.advance(5);
  await readsUpTo(source, WINDOW + 5);
  for (let index = 5; index < WINDOW + 5; index++) {
    const piece = await source.lend(index);
    assertEquals([piece.bytes.length, piece.bytes[0]], [PIECE, index]);
    piece.release();
  }
  assertEquals(taken(), WINDOW + 5);
  await rejectsWith("disk", () => source.lend(2));
  // What is on loan stays as it is.
  assertEquals([first.bytes[0], first.bytes.at(-1)], [3, 3]);
  first.release();
});

Deno.test("a stream that breaks is an error with its name", async () => {
  let sent = false;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent) controller.error(new Deno.errors.BrokenPipe("Broken pipe (os error 32)"));
      else controller.enqueue(bytesOf(PIECE));
      sent = true;
    },
  }, { highWaterMark: 0 });
  await using source = await sourceOf(stream);
  using _place = source.enter();
  source.start();
  await source.hashesFrom(0, 1);
  const error = await rejectsWith("disk", () => source.hashesFrom(1, 1));
  assert(error.message.includes("log.txt") && error.message.includes("the other side has gone"));
});

Deno.test("a source that is closed while it waits for bytes ends the stream", async () => {
  const asked = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  const stream = new ReadableStream<Uint8Array>({
    pull: () => (asked.resolve(), cancelled.promise),
    cancel: () => cancelled.resolve(),
  }, { highWaterMark: 0 });
  const source = await sourceOf(stream);
  source.start();
  await asked.promise;
  await deadline(source[Symbol.asyncDispose](), "the end of the source");
  await deadline(cancelled.promise, "the end of the stream");
});

Deno.test("a stream cannot be sought", async () => {
  await using content = new StreamContent(streamOf(bytesOf(10)), "x");
  assertThrows(() => content.skipTo(1), TypeError);
  await content.readAt(0, new Uint8Array(1)).then(() => assert(false), (error) => {
    assert(error instanceof TypeError);
  });
});
