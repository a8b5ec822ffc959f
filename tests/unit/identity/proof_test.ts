import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import { encodeHex } from "@std/encoding/hex";
import { type ErrorCode, P2PError } from "../../../lib/errors.ts";
import {
  checkProof,
  prove,
  transcript,
  type TranscriptFields,
} from "../../../lib/identity/proof.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import type { Role } from "../../../lib/wire/message.ts";
import { dialler, listener, network, run } from "../../testdata/worked_example.ts";

// The worked example of PROTOCOL.md: what changes here has to change there.
const secret = run(0x60, 16);
const fields: TranscriptFields = {
  version: 1,
  prover: "dialler",
  diallerRole: "peer",
  listenerRole: "peer",
  network: network.id,
  diallerNonce: encodeBase64Url(run(0x80, 32)),
  listenerNonce: encodeBase64Url(run(0xa0, 32)),
  diallerId: dialler.id,
  listenerId: listener.id,
};
const dialled = transcript(fields);
const listened = transcript({ ...fields, prover: "listener" });

Deno.test("the worked example: ids", () => {
  assertEquals(dialler.id, "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg");
  assertEquals(listener.id, "Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc");
  assertEquals(network.id, "JUO5L_EJVRFHatyDadtt3JM2ZaEZeN2hQE7hBmypVZ0");
});

Deno.test("the worked example: transcripts", () => {
  const parts = (prover: string) => [
    "7032702d68616e647368616b65", // "p2p-handshake"
    "0001", // version 1
    prover,
    "50", // the dialler's role: P, a peer
    "50", // the listener's role
    "2543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d", // network id
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", // dialler's nonce
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf", // listener's nonce
    "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8", // dialler's id
    "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7", // listener's id
  ];
  assertEquals(encodeHex(dialled), parts("44").join("")); // D
  assertEquals(encodeHex(listened), parts("4c").join("")); // L
  assertEquals(dialled.length, 178);
});

Deno.test("each role has its byte in the transcript, the dialler's before the listener's", () => {
  const bytes = { peer: "50", tracker: "54", client: "43", operator: "4f" };
  for (const [role, byte] of Object.entries(bytes) as [Role, string][]) {
    const roleBytes = (change: Partial<TranscriptFields>) =>
      encodeHex(transcript({ ...fields, ...change }).subarray(16, 18));
    assertEquals(roleBytes({ diallerRole: role }), `${byte}50`);
    assertEquals(roleBytes({ listenerRole: role }), `50${byte}`);
  }
});

Deno.test("the worked example: proofs", () => {
  assertEquals(prove(dialled, secret, dialler), {
    mac: "dsGkzW4rOmWhE3kIowupwmn4A5nEsib7mb9pVrSYvEg",
    signature:
      "-KtZgxdrdXJGzQlyn5--npD6d08xOGIz5B5YcJNEGE7386YNxgPNPskTBBaAQiVUBQpQwIQxLjQXiCEYJLTxBw",
  });
  assertEquals(prove(listened, secret, listener), {
    mac: "pBDcSLwpWoQiWrtKUCBEkMRLeLDREOTcCi-0b9r0WwA",
    signature:
      "ckFxq3gFAWSU1uIRzEFEEkhID_ra3Lnq3ON83eJuoDdoaSihKVLCT7EjoSKNZlmajUm3lQiEaFrBK6H8-9kGAA",
  });
});

Deno.test("a transcript refuses parts of another length", () => {
  for (
    const part of [
      "network",
      "diallerNonce",
      "listenerNonce",
      "diallerId",
      "listenerId",
    ] as const
  ) {
    for (const bad of ["", fields[part].slice(1), `${fields[part]}A`, `${fields[part]}=`]) {
      const error = assertThrows(() => transcript({ ...fields, [part]: bad }), P2PError);
      assertEquals(error.code, "malformed");
    }
  }
  for (const version of [-1, 0.5, 65536, NaN]) {
    assertThrows(() => transcript({ ...fields, version }), P2PError, "version");
  }
});

Deno.test("either side accepts the other's proof", () => {
  checkProof(dialled, secret, dialler.id, prove(dialled, secret, dialler));
  checkProof(listened, secret, listener.id, prove(listened, secret, listener));
});

/** What `check` throws, which has to name no secret and to have that code. */
function assertRefused(code: ErrorCode, check: () => void): void {
  const error = assertThrows(check, P2PError);
  assertEquals(error.code, code);
  assert(!error.message.includes(encodeBase64Url(secret)));
}

Deno.test("a proof that comes back to its maker is refused (reflection)", () => {
  const proof = prove(dialled, secret, dialler);
  assertRefused("wrong-secret", () => checkProof(listened, secret, listener.id, proof));
  // Also when the other side claims to be the maker.
  const own = { ...fields, listenerId: dialler.id };
  const sent = prove(transcript({ ...own, prover: "dialler" }), secret, dialler);
  assertRefused(
    "wrong-secret",
    () => checkProof(transcript({ ...own, prover: "listener" }), secret, dialler.id, sent),
  );
});

Deno.test("a proof for another peer is refused (relaying)", () => {
  const middle = Identity.generate();
  // The dialler talks to `middle`, which passes the proof on to the listener.
  const proof = prove(transcript({ ...fields, listenerId: middle.id }), secret, dialler);
  assertRefused("wrong-secret", () => checkProof(dialled, secret, dialler.id, proof));
  // `middle` is a member and makes the HMAC itself, but it has no signature over these ids.
  const mac = prove(dialled, secret, middle).mac;
  assertRefused("wrong-key", () => checkProof(dialled, secret, dialler.id, { ...proof, mac }));
});

Deno.test("a proof with either role changed is refused (relaying)", () => {
  for (const [prover, identity] of [["dialler", dialler], ["listener", listener]] as const) {
    const own = { ...fields, prover };
    const proof = prove(transcript(own), secret, identity);
    for (const changed of ["diallerRole", "listenerRole"] as const) {
      for (const role of ["tracker", "client", "operator"] as const) {
        const told = transcript({ ...own, [changed]: role });
        assertRefused("wrong-secret", () => checkProof(told, secret, identity.id, proof));
        // A member makes the HMAC itself, but it has no signature over these roles.
        const mac = prove(told, secret, Identity.generate()).mac;
        assertRefused("wrong-key", () => checkProof(told, secret, identity.id, { ...proof, mac }));
      }
    }
  }
  // Roles that changed places are changed too.
  const mixed = { ...fields, diallerRole: "client", listenerRole: "tracker" } as const;
  const swapped = { ...fields, diallerRole: "tracker", listenerRole: "client" } as const;
  const proof = prove(transcript(mixed), secret, dialler);
  assertRefused(
    "wrong-secret",
    () => checkProof(transcript(swapped), secret, dialler.id, proof),
  );
});

Deno.test("a proof of another connection is refused (replay)", () => {
  const proof = prove(dialled, secret, dialler);
  for (const nonce of ["diallerNonce", "listenerNonce"] as const) {
    const fresh = transcript({ ...fields, [nonce]: encodeBase64Url(run(1, 32)) });
    assertRefused("wrong-secret", () => checkProof(fresh, secret, dialler.id, proof));
    const mac = prove(fresh, secret, listener).mac;
    assertRefused("wrong-key", () => checkProof(fresh, secret, dialler.id, { ...proof, mac }));
  }
});

Deno.test("a proof for another network or version is refused", () => {
  for (const change of [{ network: listener.id }, { version: 2 }]) {
    const proof = prove(transcript({ ...fields, ...change }), secret, dialler);
    assertRefused("wrong-secret", () => checkProof(dialled, secret, dialler.id, proof));
  }
});

Deno.test("a proof with another secret is refused", () => {
  for (const other of [run(0x61, 16), new Uint8Array(16), secret.slice(0, 15)]) {
    const proof = prove(dialled, other, dialler);
    assertRefused("wrong-secret", () => checkProof(dialled, secret, dialler.id, proof));
  }
});

Deno.test("a proof with another key is refused", () => {
  const proof = prove(dialled, secret, listener);
  assertRefused("wrong-key", () => checkProof(dialled, secret, dialler.id, proof));
});

Deno.test("a proof that is no base64url of the right length is refused", () => {
  const { mac, signature } = prove(dialled, secret, dialler);
  const bad = ["", "!", "A".repeat(42), "A".repeat(43), "A".repeat(44), "A".repeat(86)];
  for (const text of [...bad, "\u00e9".repeat(86), `${mac} `, `${signature} `]) {
    assertRefused(
      "wrong-secret",
      () => checkProof(dialled, secret, dialler.id, { mac: text, signature }),
    );
    assertRefused(
      "wrong-key",
      () => checkProof(dialled, secret, dialler.id, { mac, signature: text }),
    );
  }
});
