/**
 * What a sender states of its content while it sends is held to what it offered, and to what this side takes.
 *
 * @module
 */

import { P2PError } from "../errors.ts";
import type { Manifest } from "./manifest.ts";
import { MAX_PIECES } from "../wire/limits.ts";

/**
 * Checks that there are no more hashes than fit the offered `size` in bytes, or `maxSize` when it was offered
 * as a stream (`size` is null).
 *
 * @throws {P2PError} `refused` when a stream is over `maxSize`, `malformed` when there are too many hashes.
 */
export function checkSize(
  { count, digest, pieceSize }: Manifest,
  { size, maxSize = Infinity }: { size: number | null; maxSize?: number | undefined },
): void {
  if (count === 0) return;
  const least = digest?.size ?? (count - 1) * pieceSize + 1;
  if (size === null && least > maxSize) {
    throw new P2PError(
      "refused",
      `Cannot receive more than ${maxSize} bytes: that is what the receiver has room for or ` +
        "takes; make room there, or raise its --max-size",
      { flag: "max-size" },
    );
  }
  if (count > MAX_PIECES || (count - 1) * pieceSize >= (size ?? Infinity)) {
    throw new P2PError("malformed", "Cannot read HASHES: there are more than the size allows");
  }
}

/**
 * Checks that a complete manifest has the size in bytes, the id and the SHA-256 that were offered, as far as they were.
 *
 * @throws {P2PError} `source-changed`.
 */
export function checkOffered(
  manifest: Manifest,
  offered: {
    size: number | null;
    manifest?: string | undefined;
    sha256?: string | undefined;
  },
): void {
  const { size, sha256 } = manifest.digest ?? {};
  const isOtherSize = offered.size !== null && offered.size !== size;
  const isOther = isOtherThan(offered.manifest, manifest.id) || isOtherThan(offered.sha256, sha256);
  if (isOtherSize || isOther) {
    throw new P2PError("source-changed", "Cannot go on: it is not what was offered");
  }
}

function isOtherThan(offered: string | undefined, stated: string | null | undefined): boolean {
  return offered !== undefined && typeof stated === "string" && offered !== stated;
}
