/**
 * Receipts: a recipient's signature that it has verified a content and has it on its disk; no I/O.
 * lib/wire/PROTOCOL.md is the normative text, and tests/unit/identity/signed_receipt_test.ts holds its worked example.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import { HASH_BYTES, PROTOCOL_VERSION } from "../wire/limits.ts";
import { decodeExactly, sized, uint16, uint64 } from "./bytes.ts";
import { type Identity, KEY_BYTES, SIGNATURE_BYTES, verifySignature } from "./keys.ts";

/** First bytes of what is signed, so that no signature of anything else can pass for that of a receipt. */
const DOMAIN = new TextEncoder().encode("p2p-receipt");
/** Bytes of a transfer's id. */
export const TRANSFER_BYTES = 16;
/** Says what the content is named by. */
const KIND = { manifest: 0x4d, sha256: 0x53 };

/** What a recipient confirms. Ids and hashes are base64url. */
export interface ReceiptSubject {
  /** The network's id, 32 bytes. */
  network: string;
  /** The transfer's id, 16 bytes. */
  transfer: string;
  /** The sender's id, 32 bytes. */
  sender: string;
  /** The id of the manifest, 32 bytes, unless it is the SHA-256 of a file that the content is named by. */
  manifest?: string | undefined;
  sha256?: string | undefined;
  /** Bytes of the transfer; those of a folder with its table. */
  size: number;
  /** The name it is kept under. */
  name: string;
  /** When it was verified and synced, by the recipient's clock, ISO 8601. */
  time: string;
}

/** What the recipient adds to a subject. */
export interface ReceiptSignature {
  time: string;
  /** Base64url of 64 bytes. */
  signature: string;
}

/** Signs what has just been verified and synced; as {@linkcode signReceipt}. */
export type ReceiptSigner = (
  subject: Omit<ReceiptSubject, "network" | "time">,
) => ReceiptSignature;

/** A signer for a peer in a network. */
export function receiptSigner(identity: Identity, network: string): ReceiptSigner {
  return (subject) => {
    const time = new Date().toISOString();
    return { time, signature: signReceipt(identity, { ...subject, network, time }) };
  };
}

/**
 * The recipient's signature of a receipt, base64url.
 *
 * @throws {P2PError} `malformed` when a field does not fit its place.
 */
export function signReceipt(identity: Identity, subject: ReceiptSubject): string {
  return encodeBase64Url(identity.sign(receiptBytes(subject)));
}

/** Whether the peer `recipient` signed this receipt; false too for fields that do not fit their place. */
export function verifyReceipt(
  recipient: string,
  subject: ReceiptSubject,
  signature: string,
): boolean {
  if (!isBase64Url(recipient, KEY_BYTES) || !isBase64Url(signature, SIGNATURE_BYTES)) return false;
  try {
    return verifySignature(recipient, receiptBytes(subject), decodeBase64Url(signature));
  } catch (error) {
    if (error instanceof P2PError) return false;
    throw error;
  }
}

function receiptBytes(subject: ReceiptSubject): Uint8Array<ArrayBuffer> {
  const { network, transfer, sender, manifest, sha256, size, name, time } = subject;
  return concat([
    DOMAIN,
    uint16(PROTOCOL_VERSION),
    decodeExactly("the network id", network, KEY_BYTES),
    decodeExactly("the transfer", transfer, TRANSFER_BYTES),
    decodeExactly("the sender's id", sender, KEY_BYTES),
    Uint8Array.of(sha256 === undefined ? KIND.manifest : KIND.sha256),
    decodeExactly("the content", sha256 ?? manifest ?? "", HASH_BYTES),
    uint64(size),
    sized("the name", name),
    sized("the time", time),
  ]);
}
