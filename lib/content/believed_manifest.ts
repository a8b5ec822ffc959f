/**
 * What is remembered of contents that were sent before, as far as it is to be believed.
 *
 * @module
 */

import { equals } from "@std/bytes/equals";
import { stampsChanges } from "../disk/file_age.ts";
import { sha256 } from "../pieces/hash.ts";
import { Verification } from "../pieces/verification.ts";
import type { Content } from "./content.ts";
import type { CachedManifest, ManifestCache } from "./manifest_cache.ts";

/**
 * The cached manifest of a content, with what is to be believed of it; null where nothing can be kept.
 *
 * @param given.pieceSize bytes of a piece, unless the content was sent in smaller ones before.
 * @throws what `signal` is aborted with, after closing the content.
 */
export async function openBelieved(
  cache: ManifestCache,
  content: Content,
  { pieceSize, signal }: { pieceSize: number; signal: AbortSignal | undefined },
): Promise<CachedManifest | null> {
  const { key, size, isSettled } = content;
  if (key === null || size === null) return null;
  const asked = { key, size, isSettled, pieceSize };
  // A cache that cannot be used costs a hashing.
  const open = () => cache.open(asked).catch(() => null);
  const cached = await open();
  if (!cached || cached.isEmpty) return cached;
  try {
    if (await isBelievable(content, cached, signal)) return cached;
  } catch (error) {
    await cached[Symbol.asyncDispose]();
    await content[Symbol.asyncDispose]();
    throw error;
  }
  await cached.drop();
  await cached[Symbol.asyncDispose]();
  return await open();
}

/**
 * Whether cached hashes are those of the content: because it was settled when they were made, on a disk that stamps
 * every change, or because its bytes say so. To read these takes a while, but only what was cut off before has such
 * hashes, and to send it once more takes longer.
 */
async function isBelievable(
  content: Content,
  cached: CachedManifest,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (cached.wasSettled) {
    if (await stampsChanges(content.path)) return true;
    // Nobody knows whether it was cut off.
    if (cached.completeFrom("prefix") !== null) return false;
  }
  const size = content.size ?? 0;
  const { pieceSize } = cached;
  const { prefix, independent } = cached.hashes;
  const running = new Verification({ independentFrom: Infinity }, { hasDigest: false });
  const buffer = new Uint8Array(pieceSize);
  let left = prefix.size + independent.size;
  for (let index = 0; left > 0; index++) {
    signal?.throwIfAborted();
    const start = index * pieceSize;
    const piece = buffer.subarray(0, Math.min(pieceSize, size - start));
    const read = await content.readAt(start, piece).catch(() => 0);
    if (read < piece.length) return false;
    const [whole, own] = [prefix.get(index), independent.get(index)];
    // Of what was not sent by a running hash there is none to compare.
    const proven = prefix.size > 0 ? running.prove(piece) : undefined;
    if (whole && proven && !equals(whole, proven) || own && !equals(own, sha256(piece))) {
      return false;
    }
    left -= (whole ? 1 : 0) + (own ? 1 : 0);
  }
  return true;
}
