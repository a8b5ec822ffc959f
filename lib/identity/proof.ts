/**
 * The proofs inside TLS; no I/O. lib/wire/PROTOCOL.md is the normative text, and
 * tests/unit/identity/proof_test.ts holds its worked example.
 *
 * Either side of a connection proves that it knows the network's secret (an HMAC) and that it has the key
 * of its id (a signature), both over a transcript. The role of the prover in it stops a proof from being
 * sent back to its maker, the ids stop relaying, the nonces stop replay.
 *
 * @module
 */

import { createHmac } from "node:crypto";
import { concat } from "@std/bytes/concat";
import { timingSafeEqual } from "@std/crypto/timing-safe-equal";
import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { Role } from "../wire/message.ts";
import { HASH_BYTES } from "../wire/limits.ts";
import { decodeExactly, uint16 } from "./bytes.ts";
import { type Identity, KEY_BYTES, SIGNATURE_BYTES, verifySignature } from "./keys.ts";

/** Bytes of a nonce in HELLO. */
export const NONCE_BYTES = 32;

/** First bytes of a transcript, so that no signature of anything else can pass for a proof. */
const DOMAIN = new TextEncoder().encode("p2p-handshake");
const PROVER_BYTE: Record<Prover, number> = { dialler: 0x44, listener: 0x4c };
const ROLE_BYTE: Record<Role, number> = { peer: 0x50, tracker: 0x54, client: 0x43, operator: 0x4f };
const MAX_UINT16 = 0xffff;

/** The end of a connection that makes a proof. */
export type Prover = "dialler" | "listener";

/** The facts that a proof is about. Ids and nonces are base64url of 32 bytes. */
export interface TranscriptFields {
  /** The protocol version in HELLO. */
  version: number;
  /** The side that makes the proof. */
  prover: Prover;
  /** The role in the dialler's HELLO. */
  diallerRole: Role;
  /** The role in the listener's HELLO. */
  listenerRole: Role;
  /** The network's public key. */
  network: string;
  /** The nonce in the dialler's HELLO. */
  diallerNonce: string;
  /** The nonce in the listener's HELLO. */
  listenerNonce: string;
  /** The id of the side that dialled. */
  diallerId: string;
  /** The id of the side that listened: of a peer the one that was pinned, whatever its HELLO says. */
  listenerId: string;
}

/** The two parts of a proof, which AUTH carries. */
export interface Proof {
  /** HMAC-SHA-256 of the transcript under the network's secret, base64url. */
  mac: string;
  /** Ed25519 signature of the transcript by the prover's key, base64url. */
  signature: string;
}

/**
 * The bytes that both proofs of one side are over: 178, each part of a fixed length. The prover stops
 * reflection; ids and roles stop a member from passing the proofs of two others on as its own, or those of
 * a peer as a tracker's.
 *
 * @throws {P2PError} `malformed` when a part has another length.
 */
export function transcript(fields: TranscriptFields): Uint8Array<ArrayBuffer> {
  const { version, prover, diallerRole, listenerRole } = fields;
  if (!Number.isInteger(version) || version < 0 || version > MAX_UINT16) {
    throw new P2PError("malformed", `Cannot make a transcript: version is not 0 to ${MAX_UINT16}`);
  }
  return concat([
    DOMAIN,
    uint16(version),
    Uint8Array.of(PROVER_BYTE[prover], ROLE_BYTE[diallerRole], ROLE_BYTE[listenerRole]),
    decodeExactly("the network id", fields.network, KEY_BYTES),
    decodeExactly("the dialler's nonce", fields.diallerNonce, NONCE_BYTES),
    decodeExactly("the listener's nonce", fields.listenerNonce, NONCE_BYTES),
    decodeExactly("the dialler's id", fields.diallerId, KEY_BYTES),
    decodeExactly("the listener's id", fields.listenerId, KEY_BYTES),
  ]);
}

/** The proof of `identity` over a transcript in which it has its own role. */
export function prove(transcript: Uint8Array, secret: Uint8Array, identity: Identity): Proof {
  return {
    mac: encodeBase64Url(macOf(transcript, secret)),
    signature: encodeBase64Url(identity.sign(transcript)),
  };
}

/**
 * Checks the other side's proof over a transcript that has its role.
 *
 * @throws {P2PError} `wrong-secret` or `wrong-key`.
 */
export function checkProof(
  transcript: Uint8Array,
  secret: Uint8Array,
  id: string,
  proof: Proof,
): void {
  const who = id.slice(0, 8);
  if (
    !isBase64Url(proof.mac, HASH_BYTES) ||
    !timingSafeEqual(decodeBase64Url(proof.mac), macOf(transcript, secret))
  ) {
    throw new P2PError(
      "wrong-secret",
      `Cannot trust ${who}: its secret is not the one of this network; one of the two has an old ` +
        "invite, join again with the one that `tracker invite` prints now",
    );
  }
  if (
    !isBase64Url(proof.signature, SIGNATURE_BYTES) ||
    !verifySignature(id, transcript, decodeBase64Url(proof.signature))
  ) {
    throw new P2PError(
      "wrong-key",
      `Cannot trust ${who}: its proof is not signed by its key; another program answers at this ` +
        "address, look at `peer peers` for the present one",
    );
  }
}

function macOf(transcript: Uint8Array, secret: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHmac("sha256", secret).update(transcript).digest());
}
