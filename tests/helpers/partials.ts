import { encodeBase64Url } from "@std/encoding/base64url";

/** A hash where the test is not about hashes. */
export const HASH: Uint8Array<ArrayBuffer> = new Uint8Array(32).fill(1);

/** What an inbox is asked to begin, where the test is about its size. */
export function offerOf<S extends number | null>(size: S, pieceSize: number) {
  return {
    transfer: encodeBase64Url(HASH.subarray(16)),
    from: encodeBase64Url(HASH),
    name: "file.bin",
    size,
    pieceSize,
    scheme: "independent",
    table: null,
  };
}
