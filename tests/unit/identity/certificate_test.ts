import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  BasicConstraintsExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
} from "../../helpers/x509.ts";
import { certificatePem, SERVER_NAME, trustAnchorPem } from "../../../lib/identity/certificate.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import { permitted } from "../../helpers/permissions.ts";

const peer = Identity.fromSeed(new Uint8Array(32).fill(1));
const network = Identity.fromSeed(new Uint8Array(32).fill(2));
const own = certificatePem({ subjectKey: peer.publicKey, issuer: peer });
const certified = certificatePem({ subjectKey: peer.publicKey, issuer: network });

function publicKeyOf(identity: Identity): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", identity.publicKey, "Ed25519", true, ["verify"]);
}

Deno.test("a certificate is what @peculiar/x509 reads in it", async () => {
  for (const [pem, issuer] of [[own, peer], [certified, network]] as const) {
    const certificate = new X509Certificate(pem);
    assertEquals(certificate.subject, "CN=p2p");
    assertEquals(certificate.issuer, "CN=p2p");
    assertEquals(certificate.notBefore.toISOString(), "1970-01-01T00:00:00.000Z");
    assertEquals(certificate.notAfter.toISOString(), "9999-12-31T23:59:59.000Z");
    assertEquals(new Uint8Array(certificate.publicKey.rawData).slice(-32), peer.publicKey);
    assertEquals(certificate.extensions.length, 2);
    const constraints = certificate.getExtension(BasicConstraintsExtension);
    assertEquals([constraints?.ca, constraints?.critical], [false, true]);
    const names = certificate.getExtension(SubjectAlternativeNameExtension)?.names.toJSON();
    assertEquals(names, [{ type: "dns", value: SERVER_NAME }]);
    const other = issuer === peer ? network : peer;
    const verify = async (key: Identity) =>
      await certificate.verify({ publicKey: await publicKeyOf(key), signatureOnly: true });
    assertEquals(await verify(issuer), true);
    assertEquals(await verify(other), false);
  }
});

Deno.test("an anchor has the shape and the key of the certificate, and no signature", async () => {
  const anchor = new X509Certificate(trustAnchorPem(peer.publicKey));
  const certificate = new X509Certificate(own);
  assertEquals(anchor.serialNumber, certificate.serialNumber);
  assertEquals(anchor.rawData.byteLength, certificate.rawData.byteLength);
  assertEquals(new Uint8Array(anchor.signature), new Uint8Array(64));
  const publicKey = await publicKeyOf(peer);
  assertEquals(await anchor.verify({ publicKey, signatureOnly: true }), false);
});

Deno.test("all certificates have one length", () => {
  for (let i = 0; i < 64; i++) {
    const identity = Identity.generate();
    const pem = certificatePem({ subjectKey: identity.publicKey, issuer: identity });
    assertEquals(pem.length, own.length);
  }
});

Deno.test("a key of another length gets no certificate", () => {
  const subjectKey = new Uint8Array(31);
  assertThrows(() => certificatePem({ subjectKey, issuer: peer }), RangeError, "32 bytes");
  assertThrows(() => trustAnchorPem(subjectKey), RangeError, "32 bytes");
});

Deno.test("certificates and anchors take less than a millisecond", () => {
  const start = performance.now();
  for (let i = 0; i < 100; i++) {
    certificatePem({ subjectKey: peer.publicKey, issuer: peer });
    trustAnchorPem(peer.publicKey);
  }
  const each = (performance.now() - start) / 200;
  assert(each < 1, `${each} ms`);
});

async function openssl(...args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command("openssl", { args }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

permitted("a certificate is what openssl reads in it", ["run", "read", "write"], async () => {
  const path = await Deno.makeTempFile({ suffix: ".pem" });
  try {
    for (const pem of [own, certified]) {
      await Deno.writeTextFile(path, pem);
      const text = await openssl("x509", "-in", path, "-noout", "-text");
      for (
        const line of [
          "Version: 3 (0x2)",
          "Signature Algorithm: ED25519",
          "Issuer: CN = p2p",
          "Subject: CN = p2p",
          "Not Before: Jan  1 00:00:00 1970 GMT",
          "Not After : Dec 31 23:59:59 9999 GMT",
          "DNS:peer.invalid",
        ]
      ) {
        assertStringIncludes(text.replaceAll(/CN ?= ?/g, "CN = "), line);
      }
      assertMatch(text, /X509v3 Basic Constraints: critical\s+CA:FALSE/);
    }
    await Deno.writeTextFile(path, own);
    const verify = ["verify", "-check_ss_sig", "-CAfile", path, path];
    assertStringIncludes(await openssl(...verify), ": OK");
    await Deno.writeTextFile(path, trustAnchorPem(peer.publicKey));
    assertStringIncludes(await openssl(...verify), "certificate signature failure");
  } finally {
    await Deno.remove(path);
  }
});
