/** The names of the ways to prove pieces, as they stand in offers (PROTOCOL.md, "Schemes"). */
export const SCHEMES = ["independent", "prefix"] as const;

/** One of {@linkcode SCHEMES}. */
export type Scheme = typeof SCHEMES[number];

/** A hash that a piece is known by. */
export interface PieceProof {
  scheme: Scheme;
  /** SHA-256, 32 bytes: of the piece, or under `prefix` of all bytes up to its end. */
  hash: Uint8Array;
}

/**
 * The name of a way to prove the `count` pieces of a content, those from `independentFrom` on by their own hashes, as it
 * stands in the manifest's id: a scheme, or `prefix/N` where it changes at piece N.
 */
export function proofName(independentFrom: number, count: number): string {
  if (independentFrom <= 0) return "independent";
  return independentFrom >= count ? "prefix" : `prefix/${independentFrom}`;
}

/** The piece from which on the hashes are the pieces' own, by the {@linkcode proofName}; null when that is none. */
export function independentFromOf(name: string): number | null {
  if (name === "independent") return 0;
  if (name === "prefix") return Infinity;
  const [, index] = /^prefix\/(\d{1,9})$/.exec(name) ?? [];
  return index === undefined ? null : Number(index);
}
