import { encodeBase64Url } from "@std/encoding/base64url";

/** Fresh random bytes, fit for keys. */
export function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** Fresh random bytes in base64url: nonces (32), transfer and message ids (16). */
export function randomToken(bytes = 16): string {
  return encodeBase64Url(randomBytes(bytes));
}
