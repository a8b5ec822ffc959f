/**
 * The signatures of messages; no I/O. lib/wire/PROTOCOL.md is the normative text, and
 * tests/unit/identity/signed_text_test.ts holds its worked example.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { concat } from "@std/bytes/concat";
import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import { PROTOCOL_VERSION } from "../wire/limits.ts";
import { decodeExactly, sized, uint16 } from "./bytes.ts";
import { type Identity, KEY_BYTES, SIGNATURE_BYTES, verifySignature } from "./keys.ts";

/** Bytes of a message's id. */
export const MESSAGE_ID_BYTES = 16;

/** First bytes of what is signed, so that no signature of anything else can pass for that of a message. */
const DOMAIN = new TextEncoder().encode("p2p-message");
/** Stands in the place of the network's id with `--insecure`. */
const NO_NETWORK = new Uint8Array(KEY_BYTES);

/** The fields that a message's signature covers beside its text. */
export interface MessageSubject {
  /** The network's id; absent with `--insecure`. */
  network?: string | undefined;
  /** 16 random bytes, base64url. */
  id: string;
  /** ISO 8601. */
  time: string;
  /** The author's name. */
  name: string;
}

/**
 * The author's signature of a message, base64url.
 *
 * @throws {P2PError} `malformed` when a field does not fit its place.
 */
export function signMessage(
  identity: Identity,
  subject: MessageSubject,
  text: Uint8Array,
): string {
  return encodeBase64Url(identity.sign(messageBytes(subject, text)));
}

/** Whether the peer `from` signed this message; false too for fields that do not fit their place. */
export function verifyMessage(
  from: string,
  subject: MessageSubject,
  text: Uint8Array,
  signature: string,
): boolean {
  if (!isBase64Url(signature, SIGNATURE_BYTES)) return false;
  try {
    return verifySignature(from, messageBytes(subject, text), decodeBase64Url(signature));
  } catch (error) {
    if (error instanceof P2PError) return false;
    throw error;
  }
}

function messageBytes(subject: MessageSubject, text: Uint8Array): Uint8Array<ArrayBuffer> {
  const { network, id, time, name } = subject;
  return concat([
    DOMAIN,
    uint16(PROTOCOL_VERSION),
    network === undefined ? NO_NETWORK : decodeExactly("the network id", network, KEY_BYTES),
    decodeExactly("the message's id", id, MESSAGE_ID_BYTES),
    sized("the message's time", time),
    sized("the author's name", name),
    createHash("sha256").update(text).digest(),
  ]);
}
