import { assertEquals } from "@std/assert";
import { decodeHex } from "@std/encoding/hex";
import { Manifest, pieceCountOf, pieceSizeFor } from "../../../lib/pieces/manifest.ts";
import { MAX_PIECE, MAX_PIECES, MIN_PIECE } from "../../../lib/wire/limits.ts";
import { Sha256 } from "../../../lib/pieces/hash.ts";
import { throwsWith } from "../../helpers/errors.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** `count` hashes, the first of which is all `first`. */
function hashes(first: number, count: number): Uint8Array {
  return Uint8Array.from({ length: 32 * count }, (_, i) => first + Math.floor(i / 32));
}

Deno.test("pieces grow with the file, within what a receiver takes", () => {
  assertEquals(pieceSizeFor(0), 256 * KIB);
  assertEquals(pieceSizeFor(64 * MIB - 1), 256 * KIB);
  assertEquals(pieceSizeFor(64 * MIB), MIB);
  assertEquals(pieceSizeFor(4 * GIB), MIB);
  assertEquals(pieceSizeFor(4 * GIB + 1), 2 * MIB);
  assertEquals(pieceSizeFor(16 * GIB + 1), 4 * MIB);
  assertEquals(pieceSizeFor(null), MIB);
  for (const size of [0, 1, MIB, GIB, 100 * GIB, 4 * 1024 * GIB]) {
    const pieceSize = pieceSizeFor(size);
    assertEquals(pieceSize >= MIN_PIECE && pieceSize <= MAX_PIECE, true);
    assertEquals(pieceCountOf(size, pieceSize) <= MAX_PIECES, true);
  }
});

Deno.test("what several receive has enough pieces to pass on, and none too small", () => {
  const sizes = [MIB, 8 * MIB, 64 * MIB, 256 * MIB, GIB, 10 * GIB];
  const forFew = sizes.map((size) => pieceSizeFor(size, 8) / KIB);
  assertEquals(forFew, [32, 32, 256, 1024, 1024, 4096]);
  const forMany = sizes.map((size) => pieceSizeFor(size, 50) / KIB);
  assertEquals(forMany, [32, 32, 128, 512, 1024, 4096]);
});

Deno.test("a file has as many pieces as it takes, an empty one none", () => {
  assertEquals([0, 1, 10, 11, 20].map((size) => pieceCountOf(size, 10)), [0, 1, 1, 2, 2]);
});

Deno.test("a manifest gives back what was added, in any segments", () => {
  const manifest = new Manifest(10);
  for (const [start, count] of [[0, 1], [1, 100], [50, 200]] as const) {
    manifest.add(start, hashes(start, count));
  }
  assertEquals(manifest.count, 250);
  assertEquals(manifest.hashOf(249), new Uint8Array(32).fill(249));
  assertEquals(manifest.hashOf(250), undefined);
  assertEquals(manifest.slice(248, 300), hashes(248, 2));
});

Deno.test("a slice is a copy", () => {
  const manifest = new Manifest(10);
  manifest.add(0, hashes(1, 1));
  manifest.slice(0, 1).fill(9);
  assertEquals(manifest.hashOf(0), hashes(1, 1));
});

Deno.test("gaps, broken hashes and changed hashes are refused", () => {
  const manifest = new Manifest(10);
  manifest.add(0, hashes(0, 3));
  throwsWith("malformed", () => manifest.add(4, hashes(4, 1)));
  throwsWith("malformed", () => manifest.add(3, new Uint8Array(31)));
  throwsWith("source-changed", () => manifest.add(2, hashes(7, 1)));
  throwsWith("source-changed", () => manifest.add(0, hashes(1, 5)));
  manifest.add(1, hashes(1, 2));
  assertEquals(manifest.count, 3);
});

Deno.test("a manifest ends with a size that fits, once", () => {
  const manifest = new Manifest(10);
  manifest.add(0, hashes(0, 3));
  for (const size of [0, 20, 31]) {
    throwsWith("malformed", () => manifest.finish({ size, sha256: "a" }));
  }
  manifest.finish({ size: 21, sha256: "a" });
  manifest.finish({ size: 21, sha256: "a" });
  throwsWith("source-changed", () => manifest.finish({ size: 21, sha256: "b" }));
  throwsWith("malformed", () => manifest.add(3, hashes(3, 1)));
  manifest.add(0, hashes(0, 3));
  assertEquals(manifest.digest, { size: 21, sha256: "a" });
});

/** The manifest of three pieces of 10 bytes and less, 21 bytes together. */
function complete(options: ConstructorParameters<typeof Manifest>[1] = {}): Manifest {
  const manifest = new Manifest(10, options);
  manifest.add(0, hashes(0, 3));
  manifest.finish({ size: 21, sha256: null });
  return manifest;
}

/** The id that the page gives it, with the line before its hashes. */
function idOf(line: string): string {
  const hash = new Sha256();
  hash.update(new TextEncoder().encode(line));
  hash.update(hashes(0, 3));
  return hash.digest();
}

Deno.test("a manifest has an id when it is complete, of its scheme, sizes, table and hashes", () => {
  const manifest = new Manifest(10);
  manifest.add(0, hashes(0, 3));
  assertEquals(manifest.id, undefined);
  manifest.finish({ size: 21, sha256: "a" });
  assertEquals(manifest.scheme, "independent");
  assertEquals(manifest.id, idOf("p2p-manifest independent 21 10 -\n"));
  // Not of the hash of the whole, which not every sender knows.
  assertEquals(complete().id, manifest.id);
  assertEquals(complete({ scheme: "independent" }).id, manifest.id);
  assertEquals(complete({ table: 7 }).id, idOf("p2p-manifest independent 21 10 7\n"));
  assertEquals(complete({ table: 0 }).id, idOf("p2p-manifest independent 21 10 0\n"));
});

Deno.test("the manifest ids of the worked examples are those of the page", () => {
  const example = new Manifest(262144);
  example.add(0, decodeHex("a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"));
  example.finish({ size: 12, sha256: null });
  assertEquals(example.id, "N3Tjr2lKcigMzX6lojPdMeUbUToZWiwEMNhM5pQf7sw");
  const tree = new Manifest(262144, { table: 149 });
  tree.add(0, decodeHex("ed09c66a6f0f8157f54f86d3aee9c564029d2b60b0de92d16627c372e0cfb7bf"));
  tree.finish({ size: 171, sha256: null });
  assertEquals(tree.id, "-dRrxMdhx4KRhAKR1KHg8Y2lBfYInObk-5EXAq0jCKE");
});

Deno.test("an empty file's manifest is the digest alone", () => {
  const manifest = new Manifest(10);
  manifest.add(0, new Uint8Array());
  manifest.finish({ size: 0, sha256: "a" });
  assertEquals([manifest.count, manifest.digest?.size], [0, 0]);
});

Deno.test("hashes are of the scheme that has its place there, whether they are known or not", () => {
  const manifest = new Manifest(10, { scheme: "prefix" });
  manifest.add(0, hashes(0, 3));
  // They say what is known, and yet that it is something else.
  throwsWith("malformed", () => manifest.add(0, hashes(0, 3), "independent"));
  throwsWith("malformed", () => manifest.add(2, hashes(2, 5), "independent"));
  assertEquals([manifest.count, manifest.independentFrom], [3, Infinity]);
  manifest.add(3, hashes(3, 2), "independent");
  assertEquals([manifest.count, manifest.independentFrom], [5, 3]);
  for (const start of [2, 3, 5]) {
    throwsWith("malformed", () => manifest.add(start, hashes(start, 2), "prefix"));
  }
  manifest.add(0, hashes(0, 3), "prefix");
  manifest.add(3, hashes(3, 2), "independent");
  manifest.finish({ size: 50, sha256: null });
  const { id } = manifest;
  throwsWith("malformed", () => manifest.add(5, hashes(5, 1), "independent"));
  assertEquals([manifest.id, manifest.count, manifest.independentFrom], [id, 5, 3]);
});

Deno.test("a first hash that has to be independent is no other", () => {
  const manifest = new Manifest(10, { scheme: "prefix", independentFrom: 2 });
  throwsWith("malformed", () => manifest.add(0, hashes(0, 3), "prefix"));
  manifest.add(0, hashes(0, 1), "prefix");
  manifest.add(1, hashes(1, 4), "independent");
  assertEquals([manifest.count, manifest.independentFrom, manifest.proof], [5, 1, "prefix/1"]);
});
