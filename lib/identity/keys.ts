/**
 * Who we are: an Ed25519 key pair (RFC 8032). The public key in base64url is the id.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from "node:crypto";
import { concat } from "@std/bytes/concat";
import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import { pem } from "./pem.ts";
import { loadOrCreatePrivate } from "../disk/private_file.ts";
import { randomBytes } from "../async/random.ts";
import { SMALL_ORDER_IDS } from "./small_order.ts";

/** Bytes of a public key, and of the seed that a private key is made of. */
export const KEY_BYTES = 32;
/** Bytes of a signature. */
export const SIGNATURE_BYTES = 64;

// The bytes before the 32 of the key in DER (RFC 8410, sections 4 and 7); no part of them varies.
const SPKI_PREFIX = Uint8Array.of(0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0);
// deno-fmt-ignore
const PKCS8_PREFIX = Uint8Array.of(
  0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
);

/** The SubjectPublicKeyInfo of a raw Ed25519 public key, in DER. */
export function publicKeyInfo(publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat([SPKI_PREFIX, publicKey]);
}

/** An Ed25519 key pair. What it holds is private to it: it can be logged without harm. */
export class Identity {
  readonly #seed: Uint8Array<ArrayBuffer>;
  readonly #key: KeyObject;
  /** The public key, 32 raw bytes. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  /** The public key in base64url, 43 characters. */
  readonly id: string;

  private constructor(seed: Uint8Array) {
    this.#seed = new Uint8Array(seed);
    const der = Buffer.from(concat([PKCS8_PREFIX, seed]));
    this.#key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    const spki = createPublicKey(this.#key).export({ format: "der", type: "spki" });
    this.publicKey = new Uint8Array(spki.subarray(SPKI_PREFIX.length));
    this.id = encodeBase64Url(this.publicKey);
  }

  /** A new random identity. */
  static generate(): Identity {
    return new Identity(randomBytes(KEY_BYTES));
  }

  /**
   * The identity of a 32-byte seed (the private key of RFC 8032).
   *
   * @throws {P2PError} `invalid` when it has another length.
   */
  static fromSeed(seed: Uint8Array): Identity {
    if (seed.length !== KEY_BYTES) {
      throw new P2PError("invalid", `Cannot make a key: its seed is not ${KEY_BYTES} bytes`);
    }
    return new Identity(seed);
  }

  /**
   * The identity of an Ed25519 private key in PKCS#8 PEM, as this class and `openssl genpkey` write it.
   *
   * @throws {P2PError} `invalid` when it is anything else; the text does not quote it.
   */
  static fromPkcs8Pem(text: string): Identity {
    let jwk: { crv?: string | undefined; d?: string | undefined };
    try {
      jwk = createPrivateKey({ key: text, format: "pem" }).export({ format: "jwk" });
    } catch {
      jwk = {};
    }
    if (jwk.crv !== "Ed25519" || !isBase64Url(jwk.d, KEY_BYTES)) {
      throw new P2PError("invalid", "Cannot read a key: it is not an Ed25519 key in PKCS#8 PEM");
    }
    return new Identity(decodeBase64Url(jwk.d));
  }

  /** A copy of the private seed, 32 bytes; only for storing it. */
  get seed(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#seed);
  }

  /** The signature of `data`, 64 bytes. */
  sign(data: Uint8Array): Uint8Array<ArrayBuffer> {
    return new Uint8Array(signBytes(null, data, this.#key));
  }

  /** The private key in PKCS#8 PEM, for storing it and for `Deno.listenTls`. */
  pkcs8Pem(): string {
    return pem("PRIVATE KEY", concat([PKCS8_PREFIX, this.#seed]));
  }
}

/**
 * Whether `signature` was made over `data` with the key of `id`. False too for what is no id or signature,
 * and for the ids that anyone could sign for.
 */
export function verifySignature(id: string, data: Uint8Array, signature: Uint8Array): boolean {
  if (!isBase64Url(id, KEY_BYTES) || signature.length !== SIGNATURE_BYTES) return false;
  if (SMALL_ORDER_IDS.has(id)) return false;
  try {
    const der = Buffer.from(publicKeyInfo(decodeBase64Url(id)));
    return verifyBytes(
      null,
      data,
      createPublicKey({ key: der, format: "der", type: "spki" }),
      signature,
    );
  } catch {
    return false; // 32 bytes that are not a point of the curve
  }
}

/**
 * The identity that is kept in `path` (PKCS#8 PEM, 0600). Where there is none it is made, by exactly one of the
 * processes that ask at once.
 *
 * @throws {P2PError} `disk` when the file cannot be read or written, or holds no key.
 */
export async function loadOrCreateIdentity(path: string): Promise<Identity> {
  const text = await loadOrCreatePrivate(path, () => Identity.generate().pkcs8Pem());
  try {
    return Identity.fromPkcs8Pem(text);
  } catch (cause) {
    throw new P2PError(
      "disk",
      `Cannot read the identity: ${path} is not an Ed25519 key in PKCS#8 PEM; ` +
        "restore it from a backup, or move it away to start with a new identity",
      { cause },
    );
  }
}
