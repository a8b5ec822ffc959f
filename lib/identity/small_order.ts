import { decodeHex } from "@std/encoding/hex";
import { encodeBase64Url } from "@std/encoding/base64url";

/** The points whose order divides 8, with their encodings that are not canonical; the sign bit is clear. */
const POINTS = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/**
 * The ids that are nobody's: under these public keys anyone can make signatures that Ed25519 as
 * implemented accepts, so they prove nothing. No key pair has one.
 */
export const SMALL_ORDER_IDS: ReadonlySet<string> = new Set(POINTS.flatMap((hex) => {
  const positive = decodeHex(hex);
  const negative = positive.slice();
  negative[31] = (negative[31] as number) | 0x80;
  return [encodeBase64Url(positive), encodeBase64Url(negative)];
}));
