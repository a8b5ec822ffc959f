import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../../../lib/errors.ts";
import {
  type ReceiptSubject,
  signReceipt,
  verifyReceipt,
} from "../../../lib/identity/signed_receipt.ts";
import { dialler, listener, network, run } from "../../testdata/worked_example.ts";

// The worked example of PROTOCOL.md: what changes here has to change there.
const bySha256: ReceiptSubject = {
  network: network.id,
  transfer: encodeBase64Url(run(0xc0, 16)),
  sender: dialler.id,
  // Of `hello`.
  sha256: "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ",
  size: 5,
  name: "a.txt",
  time: "2025-01-02T03:04:05.678Z",
};
const byManifest: ReceiptSubject = {
  ...bySha256,
  sha256: undefined,
  manifest: encodeBase64Url(run(0x60, 32)),
};

Deno.test("the worked example: receipts", () => {
  const signatures = [bySha256, byManifest].map((subject) => signReceipt(listener, subject));
  assertEquals(signatures, [
    "dzucGo0I32hIqlukh3rmKWv8lV9egXpS9bQ8XPrkf_8bqHlAnedU-GNMvjUsXAR_-w3SMMgFp4tJMjijFt_3Bg",
    "fU07x-uXJdFfAgQT_B3lMmJURMj-aLFARirj90NsRWtroZ51vCn47VJZdvn31NyjZhkHLJVro762E3LC-VxmAA",
  ]);
  assert(verifyReceipt(listener.id, bySha256, signatures[0] ?? ""));
  assert(verifyReceipt(listener.id, byManifest, signatures[1] ?? ""));
});

Deno.test("a receipt with any part changed is refused", () => {
  const signature = signReceipt(listener, bySha256);
  const changes: Partial<ReceiptSubject>[] = [
    { network: dialler.id },
    { network: "" },
    { transfer: encodeBase64Url(run(0xc1, 16)) },
    { transfer: "" },
    { sender: network.id },
    // The same bytes, said to be an id of a manifest.
    { sha256: undefined, manifest: bySha256.sha256 },
    { sha256: encodeBase64Url(run(0x60, 32)) },
    { sha256: "" },
    { size: 6 },
    { size: -1 },
    { size: 2 ** 53 },
    { name: "b.txt" },
    { name: "\ud800" },
    { name: `${bySha256.name}2`, time: bySha256.time.slice(1) },
    { time: "2025-01-02T03:04:05.679Z" },
    { time: "a".repeat(65536) },
  ];
  for (const change of changes) {
    assert(!verifyReceipt(listener.id, { ...bySha256, ...change }, signature));
  }
  assert(!verifyReceipt(dialler.id, bySha256, signature));
  assert(!verifyReceipt("", bySha256, signature));
  assert(!verifyReceipt(listener.id, bySha256, ""));
});

Deno.test("what does not fit its place is not signed", () => {
  for (const change of [{ network: "short" }, { size: 0.5 }, { name: "\ud800" }]) {
    assertThrows(() => signReceipt(listener, { ...bySha256, ...change }), P2PError, "Cannot");
  }
});
