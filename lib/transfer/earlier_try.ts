import type { PieceProof, Scheme } from "../pieces/scheme.ts";

/**
 * What of the pieces that an earlier try left can be gone on with under a scheme: under `prefix` those that have a hash
 * of all before them, without a gap, and whatever has its own. Those that follow have to be independent then: the running
 * hash is gone.
 */
export function usableOf(
  left: ReadonlyMap<number, PieceProof>,
  scheme: Scheme,
): { known: Map<number, PieceProof>; lost: number[]; independentFrom: number } {
  let prefix = 0;
  while (scheme === "prefix" && left.get(prefix)?.scheme === "prefix") prefix++;
  const pieces = [...left];
  const isUsable = ([index, proof]: [number, PieceProof]) =>
    index < prefix || proof.scheme === "independent";
  const known = new Map(pieces.filter(isUsable));
  return {
    known,
    lost: pieces.filter((piece) => !isUsable(piece)).map(([index]) => index),
    independentFrom: known.size > 0 ? prefix : Infinity,
  };
}
