import { assertEquals, assertMatch } from "@std/assert";
import { Manifest } from "../../../lib/pieces/manifest.ts";
import { Sha256, sha256 } from "../../../lib/pieces/hash.ts";
import { SCHEMES } from "../../../lib/pieces/scheme.ts";
import { schemeOf, type Verification, verificationOf } from "../../../lib/pieces/verification.ts";
import { throwsWith } from "../../helpers/errors.ts";
import { bytesOf } from "../../helpers/random.ts";

const PIECE = 1000;
/** Two whole pieces and a part of one. */
const CONTENT = bytesOf(2 * PIECE + 7);
const PIECES = [0, 1, 2].map((index) => CONTENT.subarray(index * PIECE, (index + 1) * PIECE));
const FILE = { isTree: false };
const TREE = { isTree: true };

/** SHA-256 of `bytes` as it travels. */
function digestOf(bytes: Uint8Array): string {
  const hash = new Sha256();
  hash.update(bytes);
  return hash.digest();
}

/** The hashes of all pieces, as the end that reads them gives them. */
function proveAll(verification: Verification): Uint8Array[] {
  return PIECES.map((piece) => verification.prove(piece));
}

/** Has the pieces checked and accepted in the given order. */
function acceptAll(verification: Verification, order: readonly number[]): void {
  const hashes = proveAll(verificationOf("independent", FILE));
  for (const index of order) {
    const [piece, hash] = [PIECES[index], hashes[index]] as [Uint8Array, Uint8Array];
    assertEquals(verification.check(index, piece, hash), true);
    verification.accept(index, piece);
  }
}

Deno.test("independent: the end that reads proves each piece by its own SHA-256", () => {
  const verification = verificationOf("independent", FILE);
  assertEquals(proveAll(verification), PIECES.map(sha256));
  assertEquals(verification.digest(3), digestOf(CONTENT));
});

Deno.test("independent: pieces that come in order have the digest of the whole", () => {
  const verification = verificationOf("independent", FILE);
  acceptAll(verification, [0, 1, 2]);
  assertEquals(verification.digest(3), digestOf(CONTENT));
});

Deno.test("independent: pieces are right in any order, but for the digest", () => {
  for (const order of [[2, 1, 0], [1, 0, 2], [0, 2, 1], [1, 2, 0]]) {
    const verification = verificationOf("independent", FILE);
    acceptAll(verification, order);
    assertEquals(verification.digest(3), null, `${order}`);
  }
});

Deno.test("independent: there is no digest of a part", () => {
  const verification = verificationOf("independent", FILE);
  acceptAll(verification, [0, 1]);
  assertEquals(verification.digest(3), null);
});

Deno.test("independent: what begins in the middle proves and checks, without a digest", () => {
  const reading = verificationOf("independent", { ...FILE, from: 1 });
  const proven = PIECES.slice(1).map((piece) => reading.prove(piece));
  assertEquals(proven, PIECES.slice(1).map(sha256));
  assertEquals(reading.digest(3), null);
  const receiving = verificationOf("independent", { ...FILE, from: 1 });
  acceptAll(receiving, [1, 2]);
  assertEquals(receiving.digest(3), null);
  const again = verificationOf("independent", { ...FILE, from: 1 });
  acceptAll(again, [0, 1, 2]);
  assertEquals(again.digest(3), null);
});

Deno.test("independent: a tree has no digest at either end", () => {
  const reading = verificationOf("independent", TREE);
  assertEquals(proveAll(reading), PIECES.map(sha256));
  assertEquals(reading.digest(3), null);
  const receiving = verificationOf("independent", TREE);
  acceptAll(receiving, [0, 1, 2]);
  assertEquals(receiving.digest(3), null);
});

Deno.test("independent: an empty file has the digest of nothing, an empty tree none", () => {
  const nothing = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
  assertEquals(verificationOf("independent", FILE).digest(0), nothing);
  assertEquals(verificationOf("independent", TREE).digest(0), null);
});

Deno.test("independent: other bytes, other lengths and other hashes are wrong", () => {
  const verification = verificationOf("independent", FILE);
  const piece = PIECES[0] as Uint8Array;
  const hash = sha256(piece);
  for (const at of [0, PIECE - 1]) {
    const spoilt = Uint8Array.from(piece);
    spoilt[at] = (spoilt[at] as number) ^ 1;
    assertEquals(verification.check(0, spoilt, hash), false);
  }
  assertEquals(verification.check(0, piece.subarray(1), hash), false);
  assertEquals(verification.check(0, new Uint8Array(0), hash), false);
  assertEquals(verification.check(0, piece, sha256(PIECES[1] as Uint8Array)), false);
  assertEquals(verification.check(0, piece, hash.subarray(0, 31)), false);
  // What was only looked at has no part in the digest.
  acceptAll(verification, [0, 1, 2]);
  assertEquals(verification.digest(3), digestOf(CONTENT));
});

Deno.test("every scheme checks what it proves, and its hashes fit a manifest", () => {
  for (const scheme of SCHEMES) {
    for (const options of [FILE, TREE]) {
      const [reading, receiving] = [
        verificationOf(scheme, options),
        verificationOf(scheme, options),
      ];
      const manifest = new Manifest(PIECE, { scheme });
      for (const [index, piece] of PIECES.entries()) {
        const hash = reading.prove(piece);
        manifest.add(index, hash);
        assertEquals(receiving.check(index, piece, hash), true, scheme);
        receiving.accept(index, piece);
      }
      assertEquals(manifest.count, PIECES.length);
      assertEquals(receiving.digest(3), reading.digest(3));
    }
  }
});

Deno.test("a scheme is known by its exact name, and others are told which there are", () => {
  for (const scheme of SCHEMES) assertEquals(schemeOf(scheme), scheme);
  for (const name of ["chained", "Independent", "independent ", "", "toString", "__proto__"]) {
    const { message } = throwsWith("invalid", () => schemeOf(name));
    assertMatch(message, /this version knows independent$/);
  }
});
