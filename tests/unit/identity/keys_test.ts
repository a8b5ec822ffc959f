import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url";
import { decodeHex } from "@std/encoding/hex";
import { Buffer } from "node:buffer";
import { createPublicKey, verify } from "node:crypto";
import { P2PError } from "../../../lib/errors.ts";
import { randomToken } from "../../../lib/async/random.ts";
import { Identity, publicKeyInfo, verifySignature } from "../../../lib/identity/keys.ts";
import { SMALL_ORDER_IDS } from "../../../lib/identity/small_order.ts";
import { permitted } from "../../helpers/permissions.ts";

const data = new TextEncoder().encode("data");

Deno.test("an identity is the one of RFC 8032, 7.1, test 2", () => {
  const identity = Identity.fromSeed(
    decodeHex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
  );
  assertEquals(
    identity.publicKey,
    decodeHex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
  );
  assertEquals(
    identity.sign(Uint8Array.of(0x72)),
    decodeHex(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
  );
});

Deno.test("generated identities differ, and come back from their seed and their PEM", () => {
  const identity = Identity.generate();
  assertNotEquals(identity.id, Identity.generate().id);
  assertMatch(identity.id, /^[A-Za-z0-9_-]{43}$/);
  assertEquals(decodeBase64Url(identity.id), identity.publicKey);
  assertEquals(Identity.fromSeed(identity.seed).id, identity.id);
  assertEquals(Identity.fromPkcs8Pem(identity.pkcs8Pem()).id, identity.id);
});

Deno.test("an identity does not show its seed and does not share it", () => {
  const identity = Identity.fromSeed(new Uint8Array(32).fill(0x5a));
  assert(!Deno.inspect(identity, { showHidden: true }).includes("90, 90"));
  assertEquals(Object.keys(identity), ["publicKey", "id"]);
  const { id } = identity;
  identity.seed.fill(0);
  assertEquals(Identity.fromSeed(identity.seed).id, id);
});

Deno.test("a seed or a PEM of another kind is refused without being quoted", () => {
  assertThrows(() => Identity.fromSeed(new Uint8Array(31)), P2PError, "not 32 bytes");
  const pem = Identity.generate().pkcs8Pem();
  for (const bad of ["", "hunter2", pem.slice(0, 60), pem.replace("MC4CAQ", "MC4CBQ")]) {
    const error = assertThrows(() => Identity.fromPkcs8Pem(bad), P2PError);
    assertEquals(error.code, "invalid");
    assert(bad === "" || !Deno.inspect(error).includes(bad));
  }
});

Deno.test("verifySignature refuses another key, data or signature, and never throws", () => {
  const identity = Identity.generate();
  const signature = identity.sign(data);
  assert(verifySignature(identity.id, data, signature));
  assert(!verifySignature(Identity.generate().id, data, signature));
  assert(!verifySignature(identity.id, data.subarray(1), signature));
  const changed = signature.slice();
  changed[3] = (changed[3] as number) ^ 1;
  assert(!verifySignature(identity.id, data, changed));
  for (const bad of [new Uint8Array(), signature.subarray(1), new Uint8Array(65)]) {
    assert(!verifySignature(identity.id, data, bad));
  }
  const notCanonical = identity.id.slice(0, -1) +
    String.fromCharCode(identity.id.charCodeAt(42) + 1);
  const notAPoint = encodeBase64Url(Uint8Array.of(2, ...new Uint8Array(31)));
  const wide = "\u00e9".repeat(43);
  for (const bad of ["", "x", `${identity.id}=`, notCanonical, notAPoint, wide]) {
    assert(!verifySignature(bad, data, signature), bad);
  }
});

Deno.test("verifySignature refuses ids that anyone can sign for", () => {
  // R the neutral element and S 0: holds wherever the hash is a multiple of the point's order.
  const forged = Uint8Array.of(1, ...new Uint8Array(63));
  let accepted = 0;
  for (const id of SMALL_ORDER_IDS) {
    for (let i = 0; i < 64; i++) {
      const text = Uint8Array.of(i);
      assert(!verifySignature(id, text, forged));
      const der = Buffer.from(publicKeyInfo(decodeBase64Url(id)));
      const key = createPublicKey({ key: der, format: "der", type: "spki" });
      try {
        if (verify(null, text, key, forged)) {
          accepted++;
          break;
        }
      } catch {
        // an encoding that this implementation refuses by itself
      }
    }
  }
  assert(accepted >= 8, `only ${accepted} are of small order`);
});

Deno.test("randomToken is base64url of that many bytes", () => {
  assertMatch(randomToken(), /^[A-Za-z0-9_-]{22}$/);
  assertMatch(randomToken(32), /^[A-Za-z0-9_-]{43}$/);
  assertNotEquals(randomToken(), randomToken());
});

permitted("openssl reads the private key and makes ones that we read", ["run"], async () => {
  const identity = Identity.generate();
  const read = new Deno.Command("openssl", {
    args: ["pkey", "-pubout", "-outform", "DER"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = read.stdin.getWriter();
  await writer.write(new TextEncoder().encode(identity.pkcs8Pem()));
  await writer.close();
  assertEquals((await read.output()).stdout.slice(-32), identity.publicKey);
  const made = await new Deno.Command("openssl", { args: ["genpkey", "-algorithm", "ed25519"] })
    .output();
  const theirs = Identity.fromPkcs8Pem(new TextDecoder().decode(made.stdout));
  assert(verifySignature(theirs.id, data, theirs.sign(data)));
  const x25519 = await new Deno.Command("openssl", { args: ["genpkey", "-algorithm", "x25519"] })
    .output();
  assertThrows(() => Identity.fromPkcs8Pem(new TextDecoder().decode(x25519.stdout)), P2PError);
});
