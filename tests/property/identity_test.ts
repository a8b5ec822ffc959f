import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import fc from "../helpers/fast_check.ts";
import { P2PError } from "../../lib/errors.ts";
import { checkProof, prove, transcript, type TranscriptFields } from "../../lib/identity/proof.ts";
import { redactInvite } from "../../lib/cli/output/redact.ts";
import { formatInvite, parseInvite } from "../../lib/identity/invite.ts";
import { Identity, verifySignature } from "../../lib/identity/keys.ts";
import type { Role } from "../../lib/wire/message.ts";

// fast-check prints the seed and the path of what fails.
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const text = (length: number) => bytes(length).map((value) => encodeBase64Url(value));
const invites = fc.record({
  host: fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()).filter((host) => host.length <= 253),
  port: fc.integer({ min: 1, max: 65535 }),
  network: text(32),
  secret: bytes(16).map((value) => new Uint8Array(value)),
});

Deno.test("property: any invite comes back from its line", () => {
  fc.assert(fc.property(invites, (invite) => {
    assertEquals(parseInvite(formatInvite(invite)), invite);
  }));
});

Deno.test("property: a damaged invite is read as one or refused as usage, its secret unquoted", () => {
  const damage = fc.record({
    at: fc.nat(120),
    remove: fc.nat(3),
    insert: fc.string({ unit: "binary" }),
  });
  fc.assert(fc.property(invites, damage, (invite, { at, remove, insert }) => {
    const line = formatInvite(invite);
    const damaged = line.slice(0, at) + insert + line.slice(at + remove);
    try {
      parseInvite(damaged);
    } catch (error) {
      assert(error instanceof P2PError && error.code === "usage");
      assert(!error.message.includes(encodeBase64Url(invite.secret).slice(4, -4)));
    }
  }));
});

Deno.test("property: no secret is left of an invite in a text", () => {
  fc.assert(fc.property(fc.string(), invites, fc.string(), (before, invite, after) => {
    const redacted = redactInvite(before + formatInvite(invite) + after);
    assert(!redacted.includes(encodeBase64Url(invite.secret)));
    assert(redacted.includes("p2p://\u2026"));
  }));
});

Deno.test("property: anything as an invite, an id or a signature is refused and no crash", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), bytes(64), (any, signature) => {
    assertThrows(() => parseInvite(any), P2PError);
    redactInvite(any);
    assert(!verifySignature(any, new Uint8Array(1), signature));
  }));
});

Deno.test("property: a signature holds for its key and data, and for no changed bit", () => {
  fc.assert(
    fc.property(bytes(32), fc.uint8Array({ minLength: 1 }), fc.nat(511), (seed, data, bit) => {
      const identity = Identity.fromSeed(seed);
      const signature = identity.sign(data);
      assert(verifySignature(identity.id, data, signature));
      flip(signature, bit);
      assert(!verifySignature(identity.id, data, signature));
      flip(signature, bit);
      flip(data, bit % (data.length * 8));
      assert(!verifySignature(identity.id, data, signature));
    }),
  );
});

Deno.test("property: a proof holds for its own transcript and for no other", () => {
  const roles = fc.constantFrom<Role[]>("peer", "tracker", "client", "operator");
  const record = fc.record<TranscriptFields>({
    version: fc.integer({ min: 0, max: 65535 }),
    prover: fc.constantFrom("dialler", "listener"),
    diallerRole: roles,
    listenerRole: roles,
    network: text(32),
    diallerNonce: text(32),
    listenerNonce: text(32),
    diallerId: text(32),
    listenerId: text(32),
  });
  const identity = Identity.generate();
  fc.assert(fc.property(record, record, bytes(16), (fields, others, secret) => {
    const proof = prove(transcript(fields), secret, identity);
    checkProof(transcript(fields), secret, identity.id, proof);
    for (const key of Object.keys(fields) as (keyof TranscriptFields)[]) {
      if (fields[key] === others[key]) continue;
      const other = transcript({ ...fields, [key]: others[key] });
      assertThrows(() => checkProof(other, secret, identity.id, proof), P2PError);
    }
  }));
});

function flip(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
}
