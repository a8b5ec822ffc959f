import { assert, assertEquals } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import {
  blockDigest,
  decodeServed,
  encodeServed,
  type Evidence,
  swarmSigner,
  verifyBlock,
  whyNoProof,
} from "../../../lib/identity/evidence.ts";
import { decodeEvidence, encodeEvidence } from "../../../lib/identity/evidence_frame.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import { dialler, listener, network, run } from "../../testdata/worked_example.ts";

const transfer = encodeBase64Url(run(0xc0, 16));
const sharer = swarmSigner(dialler, network.id);
const server = swarmSigner(listener, network.id);

// The worked example of PROTOCOL.md: a block of the two last pieces, of which the second was served otherwise.
const hashes = run(0x60, 64);
const digest = blockDigest(hashes);
const entries = encodeServed([
  { index: 256, hash: run(0x60, 32), digest },
  { index: 257, hash: run(0x00, 32), digest },
]);

function evidence(change: Partial<Evidence> = {}): Evidence {
  return {
    ...{ transfer, sharer: dialler.id, server: listener.id, block: 1, index: 257, hashes, entries },
    blockSignature: sharer.signBlock({ transfer, block: 1, digest }),
    servedSignature: server.signServed({ transfer, sharer: dialler.id, entries }),
    ...change,
  };
}

function why(change: Partial<Evidence> = {}, id = network.id): string | null {
  return whyNoProof(id, evidence(change));
}

Deno.test("the worked example: evidence", () => {
  const { blockSignature, servedSignature } = evidence();
  assertEquals([blockSignature, servedSignature], [
    "dY_KbaG3yUuz4zahXCVXJvN4gmssBRLeJBjzBWtyA8CKzQeKBOzs75py1xOE_14s2dmR7RUX7IphSw4r5ctlBA",
    "ZxY0qrSBaJf_vdjAWCF4_sUq929t2BlgIdfbQf4iqgLyF984BKz6VOaHjHTtStWy0nbPJe3dFGZRUJBaBLzuDQ",
  ]);
  assertEquals(why(), null);
});

Deno.test("each byte of what proves it counts", () => {
  const changed = (bytes: Uint8Array, at: number) =>
    bytes.map((byte, i) => i === at ? byte ^ 1 : byte);
  for (let at = 0; at < hashes.length; at++) assert(why({ hashes: changed(hashes, at) }));
  for (let at = 0; at < entries.length; at++) assert(why({ entries: changed(entries, at) }));
  for (
    const name of ["transfer", "sharer", "server", "blockSignature", "servedSignature"] as const
  ) {
    const text = evidence()[name];
    for (let at = 0; at < text.length; at++) {
      const other = text[at] === "A" ? "B" : "A";
      assert(why({ [name]: text.slice(0, at) + other + text.slice(at + 1) }), `${name} ${at}`);
    }
  }
  assert(why({}, dialler.id));
});

Deno.test("what is right, or is about something else, proves nothing", () => {
  // The piece that was served as it should be.
  assertEquals(why({ index: 256 }), "what it has signed is not wrong");
  assertEquals(why({ index: 255 }), "the piece is not in the block");
  assertEquals(why({ index: 258 }), "the piece is not in the block");
  assertEquals(why({ block: 0 }), "the piece is not in the block");
  assertEquals(why({ hashes: hashes.slice(0, 32) }), "the piece is not in the block");
  assertEquals(why({ hashes: new Uint8Array(257 * 32) }), "the piece is not in the block");
  assertEquals(why({ server: dialler.id }), "a sharer is judged by its manifest");
  const liar = swarmSigner(Identity.generate(), network.id);
  const sign = (signed: Uint8Array, by = server) =>
    by.signServed({ transfer, sharer: dialler.id, entries: signed });
  assertEquals(
    why({ servedSignature: sign(entries, liar) }),
    "it has not signed that it has served this",
  );
  for (const cut of [new Uint8Array(0), entries.slice(0, -1), entries.slice(1)]) {
    assertEquals(
      why({ entries: cut, servedSignature: sign(cut) }),
      "what it has signed is not wrong",
    );
  }
});

Deno.test("a sharer that signs two blocks of one number makes no liar of who believed the first", () => {
  const second = run(0x40, 64);
  const blockSignature = sharer.signBlock({ transfer, block: 1, digest: blockDigest(second) });
  const change = { hashes: second, blockSignature };
  assert(verifyBlock(dialler.id, {
    ...{ network: network.id, transfer, block: 1, digest: blockDigest(second) },
  }, blockSignature));
  assertEquals(why(change), "what it has signed is not wrong");
});

Deno.test("evidence and entries are what they were after their way", () => {
  const { message, body } = encodeEvidence(evidence());
  assertEquals(decodeEvidence({ ...message, seq: 5 }, body), evidence());
  const one = { index: 2 ** 20 - 1, hash: run(1, 32), digest: run(2, 32) };
  assertEquals(decodeServed(encodeServed([one])), [one]);
  assertEquals(decodeServed(new Uint8Array(0)), null);
  assertEquals(decodeServed(new Uint8Array(67)), null);
});
