import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Manifest } from "../../../lib/pieces/manifest.ts";
import { Sha256, sha256 } from "../../../lib/pieces/hash.ts";
import { type Scheme, SCHEMES } from "../../../lib/pieces/scheme.ts";
import {
  schemeOf,
  Verification,
  type VerificationOptions,
} from "../../../lib/pieces/verification.ts";
import { throwsWith } from "../../helpers/errors.ts";
import { bytesOf } from "../../helpers/random.ts";

const PIECE = 1000;
/** Two whole pieces and a part of one. */
const CONTENT = bytesOf(2 * PIECE + 7);
const PIECES = [0, 1, 2].map((index) => CONTENT.subarray(index * PIECE, (index + 1) * PIECE));
const FILE: VerificationOptions = { hasDigest: true };
const TREE: VerificationOptions = { hasDigest: false };
/** From which piece on the hashes are independent, by the scheme. */
const FROM: Record<Scheme, number> = { independent: 0, prefix: Infinity };

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
  const hashes = proveAll(new Verification({ independentFrom: 0 }, FILE));
  for (const index of order) {
    const [piece, hash] = [PIECES[index], hashes[index]] as [Uint8Array, Uint8Array];
    assertEquals(verification.check(index, piece, hash), true);
    verification.accept(index, piece);
  }
}

Deno.test("independent: the end that reads proves each piece by its own SHA-256", () => {
  const verification = new Verification({ independentFrom: 0 }, FILE);
  assertEquals(proveAll(verification), PIECES.map(sha256));
  assertEquals(verification.digest(3), digestOf(CONTENT));
});

Deno.test("independent: pieces that come in order have the digest of the whole", () => {
  const verification = new Verification({ independentFrom: 0 }, FILE);
  acceptAll(verification, [0, 1, 2]);
  assertEquals(verification.digest(3), digestOf(CONTENT));
});

Deno.test("independent: pieces are right in any order, but for the digest", () => {
  for (const order of [[2, 1, 0], [1, 0, 2], [0, 2, 1], [1, 2, 0]]) {
    const verification = new Verification({ independentFrom: 0 }, FILE);
    acceptAll(verification, order);
    assertEquals(verification.digest(3), null, `${order}`);
  }
});

Deno.test("independent: there is no digest of a part", () => {
  const verification = new Verification({ independentFrom: 0 }, FILE);
  acceptAll(verification, [0, 1]);
  assertEquals(verification.digest(3), null);
});

Deno.test("independent: what begins in the middle proves and checks, without a digest", () => {
  const reading = new Verification({ independentFrom: 0 }, { ...FILE, from: 1 });
  const proven = PIECES.slice(1).map((piece) => reading.prove(piece));
  assertEquals(proven, PIECES.slice(1).map(sha256));
  assertEquals(reading.digest(3), null);
  const receiving = new Verification({ independentFrom: 0 }, { ...FILE, from: 1 });
  acceptAll(receiving, [1, 2]);
  assertEquals(receiving.digest(3), null);
  const again = new Verification({ independentFrom: 0 }, { ...FILE, from: 1 });
  acceptAll(again, [0, 1, 2]);
  assertEquals(again.digest(3), null);
});

Deno.test("independent: a tree has no digest at either end", () => {
  const reading = new Verification({ independentFrom: 0 }, TREE);
  assertEquals(proveAll(reading), PIECES.map(sha256));
  assertEquals(reading.digest(3), null);
  const receiving = new Verification({ independentFrom: 0 }, TREE);
  acceptAll(receiving, [0, 1, 2]);
  assertEquals(receiving.digest(3), null);
});

Deno.test("independent: an empty file has the digest of nothing, an empty tree none", () => {
  const nothing = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
  assertEquals(new Verification({ independentFrom: 0 }, FILE).digest(0), nothing);
  assertEquals(new Verification({ independentFrom: 0 }, TREE).digest(0), null);
});

Deno.test("independent: other bytes, other lengths and other hashes are wrong", () => {
  const verification = new Verification({ independentFrom: 0 }, FILE);
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

/** The SHA-256 of the content up to the end of each piece. */
const PREFIXES = [PIECE, 2 * PIECE, CONTENT.length].map((end) => sha256(CONTENT.subarray(0, end)));

Deno.test("prefix: a piece is proven by the SHA-256 of all up to its end, the last one is the whole", () => {
  for (const options of [FILE, TREE]) {
    const verification = new Verification({ independentFrom: Infinity }, options);
    assertEquals(proveAll(verification), PREFIXES);
    assertEquals(verification.digest(3), digestOf(CONTENT));
    assertEquals(verification.count, 3);
  }
});

Deno.test("prefix: pieces are checked in their order, again and again until one is right", () => {
  const receiving = new Verification({ independentFrom: Infinity }, FILE);
  for (const [index, piece] of PIECES.entries()) {
    const can = [0, 1, 2].filter((other) => receiving.canCheck(other));
    assertEquals(can, [index]);
    assertThrows(() => receiving.check(index + 1, piece, PREFIXES[index] as Uint8Array));
    const hash = PREFIXES[index] as Uint8Array;
    for (const at of [0, piece.length - 1]) {
      const spoilt = Uint8Array.from(piece);
      spoilt[at] = (spoilt[at] as number) ^ 1;
      assertEquals(receiving.check(index, spoilt, hash), false);
      assertEquals(receiving.check(index, piece, hash), true);
    }
    assertEquals(receiving.check(index, piece.subarray(1), hash), false);
    assertEquals(receiving.check(index, piece, sha256(piece)), index === 0);
    assertEquals(receiving.check(index, piece, hash), true);
    receiving.accept(index, piece);
  }
  assertEquals(receiving.digest(3), digestOf(CONTENT));
});

Deno.test("prefix: what was proved can be checked again in any order, where that was asked for", () => {
  const options = { ...FILE, checksAgain: true };
  const reading = new Verification({ independentFrom: Infinity }, options);
  proveAll(reading);
  for (const index of [2, 0, 1, 1]) {
    const piece = PIECES[index] as Uint8Array;
    assertEquals(reading.canCheck(index), true);
    assertEquals(reading.check(index, piece, PREFIXES[index] as Uint8Array), true);
    assertEquals(reading.check(index, piece.subarray(1), PREFIXES[index] as Uint8Array), false);
  }
  assertEquals(reading.digest(3), digestOf(CONTENT));
});

Deno.test("prefix: from where the hashes are independent on, pieces come in any order", () => {
  const manifest = { independentFrom: Infinity };
  const receiving = new Verification(manifest, FILE);
  const [first, second, third] = PIECES as [Uint8Array, Uint8Array, Uint8Array];
  assertEquals(receiving.check(0, first, PREFIXES[0] as Uint8Array), true);
  receiving.accept(0, first);
  manifest.independentFrom = 1;
  assertEquals([1, 2].map((index) => receiving.canCheck(index)), [true, true]);
  for (const [index, piece] of [[2, third], [1, second]] as const) {
    assertEquals(receiving.check(index, piece, PREFIXES[index] as Uint8Array), false);
    assertEquals(receiving.check(index, piece, sha256(piece)), true);
    receiving.accept(index, piece);
  }
  assertEquals(receiving.digest(3), null);
});

Deno.test("prefix: a wrong piece that was checked has no part in the digest", () => {
  const manifest = { independentFrom: Infinity };
  const receiving = new Verification(manifest, FILE);
  assertEquals(receiving.check(0, PIECES[1] as Uint8Array, PREFIXES[0] as Uint8Array), false);
  manifest.independentFrom = 0;
  acceptAll(receiving, [0, 1, 2]);
  assertEquals(receiving.digest(3), digestOf(CONTENT));
});

Deno.test("prefix: an end that has not seen the first pieces proves and checks those of its own hashes", () => {
  const reading = new Verification({ independentFrom: 1 }, { ...FILE, from: 1 });
  assertEquals(PIECES.slice(1).map((piece) => reading.prove(piece)), PIECES.slice(1).map(sha256));
  assertEquals([reading.canCheck(0), reading.digest(3)], [false, null]);
  const lost = new Verification({ independentFrom: 2 }, { ...FILE, from: 1 });
  assertThrows(() => lost.prove(PIECES[1] as Uint8Array));
});

Deno.test("every scheme checks what it proves, and its hashes fit a manifest", () => {
  for (const scheme of SCHEMES) {
    for (const options of [FILE, TREE]) {
      const [reading, receiving] = [
        new Verification({ independentFrom: FROM[scheme] }, options),
        new Verification({ independentFrom: FROM[scheme] }, options),
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
  for (
    const name of [
      "chained",
      "Prefix",
      "prefix/1",
      "Independent",
      "independent ",
      "",
      "toString",
      "__proto__",
    ]
  ) {
    const { message } = throwsWith("invalid", () => schemeOf(name));
    assertMatch(message, /this version knows independent, prefix$/);
  }
});
