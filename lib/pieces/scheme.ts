/** The names of the ways to prove pieces, as they stand in offers (PROTOCOL.md, "Schemes"). */
export const SCHEMES = ["independent"] as const;

/** One of {@linkcode SCHEMES}. */
export type Scheme = typeof SCHEMES[number];
