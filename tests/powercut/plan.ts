import { randomFrom } from "../helpers/random.ts";

const MIB = 1024 * 1024;
/** Largest file, in bytes. */
export const LARGEST = 20 * MIB;
/** Sizes at which something else happens: no piece, one, a full one, one more; a partial that is kept. */
const EDGES = [0, 1, 4096, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 8 * MIB, 16 * MIB, LARGEST];

/**
 * What happens in a run; it follows from the seed. The power is cut as soon as the sender says that the
 * file is delivered, and in every second run once before, in the middle of the transfer: after so many
 * bytes have left the sender, or as soon as the file has its final name.
 */
export interface Plan {
  seed: number;
  /** Of the file, in bytes. */
  size: number;
  before: { bytes: number } | "publishing" | null;
}

/** The plan of a seed. */
export function planOf(seed: number): Plan {
  const random = randomFrom(seed);
  const edge = EDGES[Math.floor(random() * 2 * EDGES.length)];
  const size = edge ?? Math.floor(random() * LARGEST);
  const bytes = Math.floor(random() * size);
  const before = seed % 2 === 0 ? null : seed % 4 === 1 ? { bytes } : "publishing";
  return { seed, size, before };
}

/** A plan in a few words. */
export function describe({ size, before }: Plan): string {
  const early = before === null
    ? ""
    : before === "publishing"
    ? "when it gets its name, and "
    : `after ${before.bytes} bytes, and `;
  return `${size} bytes, power cut ${early}after the ACK`;
}
