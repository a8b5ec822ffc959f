import { decodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";

/** `value` as two bytes, big endian. */
export function uint16(value: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(value >>> 8, value & 0xff);
}

/**
 * The `length` bytes that `text` is the canonical base64url of.
 *
 * @throws {P2PError} `malformed`, naming `what` and not the text.
 */
export function decodeExactly(
  what: string,
  text: string,
  length: number,
): Uint8Array<ArrayBuffer> {
  if (!isBase64Url(text, length)) {
    throw new P2PError("malformed", `Cannot read ${what}: it is not ${length} bytes in base64url`);
  }
  return decodeBase64Url(text);
}
