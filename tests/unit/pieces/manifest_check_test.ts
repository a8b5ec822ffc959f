import { assertEquals, assertThrows } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { Manifest } from "../../../lib/pieces/manifest.ts";
import { checkOffered, checkSize } from "../../../lib/pieces/manifest_check.ts";

const PIECE = 16 * 1024;

function manifestOf(pieces: number, size?: number): Manifest {
  const manifest = new Manifest(PIECE);
  manifest.add(0, new Uint8Array(32 * pieces));
  if (size !== undefined) manifest.finish({ size, sha256: null });
  return manifest;
}

/** The code that `check` throws; null when it passes. */
function codeOf(check: () => void): string | null {
  try {
    check();
    return null;
  } catch {
    return assertThrows(check, P2PError).code;
  }
}

Deno.test("there are no more hashes than the offered size has pieces", () => {
  const cases: [pieces: number, size: number, code: string | null][] = [
    [0, 0, null],
    [1, 0, "malformed"],
    [1, 1, null],
    [1, PIECE, null],
    [2, PIECE, "malformed"],
    [2, PIECE + 1, null],
  ];
  for (const [pieces, size, code] of cases) {
    assertEquals(codeOf(() => checkSize(manifestOf(pieces), { size })), code, `${pieces}, ${size}`);
  }
});

Deno.test("a stream is as long as its last hash and its end say", () => {
  const size = null;
  const growing = manifestOf(3);
  assertEquals(codeOf(() => checkSize(growing, { size })), null);
  // The third piece has one byte at least.
  assertEquals(codeOf(() => checkSize(growing, { size, maxSize: 2 * PIECE + 1 })), null);
  assertEquals(codeOf(() => checkSize(growing, { size, maxSize: 2 * PIECE })), "refused");
  const complete = manifestOf(3, 3 * PIECE);
  assertEquals(codeOf(() => checkSize(complete, { size, maxSize: 3 * PIECE })), null);
  assertEquals(codeOf(() => checkSize(complete, { size, maxSize: 3 * PIECE - 1 })), "refused");
  assertEquals(codeOf(() => checkSize(manifestOf(0, 0), { size, maxSize: 0 })), null);
});

Deno.test("what was offered with a size was let in with it", () => {
  assertEquals(codeOf(() => checkSize(manifestOf(3), { size: 3 * PIECE, maxSize: 1 })), null);
});

Deno.test("a complete manifest is what was offered, as far as that was said", () => {
  const manifest = manifestOf(1, 5);
  const { id } = manifest;
  const other = manifestOf(1, 6).id;
  const changed = "source-changed";
  assertEquals(codeOf(() => checkOffered(manifest, { size: null })), null);
  assertEquals(codeOf(() => checkOffered(manifest, { size: 5, manifest: id })), null);
  assertEquals(codeOf(() => checkOffered(manifest, { size: 6 })), changed);
  assertEquals(codeOf(() => checkOffered(manifest, { size: null, manifest: other })), changed);
  assertEquals(codeOf(() => checkOffered(manifestOf(0, 0), { size: 0 })), null);
  assertEquals(codeOf(() => checkOffered(manifestOf(0, 0), { size: 1 })), changed);
});
