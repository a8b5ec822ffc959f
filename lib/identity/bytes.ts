import { concat } from "@std/bytes/concat";
import { decodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";

/** Bytes of a text whose length has 16 bits. */
const MAX_SIZED = 0xffff;
const encoder = new TextEncoder();

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

/**
 * A number of bytes as eight bytes, big endian.
 *
 * @throws {P2PError} `malformed` for one that is no safe integer, or below 0.
 */
export function uint64(value: number): Uint8Array<ArrayBuffer> {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new P2PError("malformed", `Cannot sign a size: ${value} is no number of bytes`);
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

/**
 * The length in bytes of UTF-8, as 16 bits, and those bytes.
 *
 * @throws {P2PError} `malformed`, naming `what`, for a text that is too long or no UTF-8.
 */
export function sized(what: string, text: string): Uint8Array<ArrayBuffer> {
  const bytes = encoder.encode(text);
  // A lone surrogate would be signed as U+FFFD: one signature would then be good for several texts.
  if (bytes.length > MAX_SIZED || !text.isWellFormed()) {
    throw new P2PError("malformed", `Cannot sign ${what}: it is not UTF-8 of at most 65535 bytes`);
  }
  return concat([uint16(bytes.length), bytes]);
}
