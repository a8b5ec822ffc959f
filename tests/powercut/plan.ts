import { randomFrom } from "../helpers/random.ts";

const MIB = 1024 * 1024;
/** Largest file, in bytes. */
export const LARGEST = 20 * MIB;
/** Sizes at which something else happens: no piece, one, a full one, one more; a partial that is kept. */
const EDGES = [0, 1, 4096, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 8 * MIB, 16 * MIB, LARGEST];

/** Most files in a folder. */
const MOST_FILES = 300;

/**
 * What happens in a run; it follows from the seed. The power is cut as soon as the sender says that the
 * file, or the folder that every fifth run has, is delivered, and in every second run once before, in the middle of the transfer: after so many
 * bytes have left the sender, or as soon as the file has its final name.
 */
export interface Plan {
  seed: number;
  /** Of the file, or of all files in the folder, in bytes. */
  size: number;
  /** How many files are in the folder; null when it is a single file. */
  files: number | null;
  before: { bytes: number } | "publishing" | null;
}

/** The plan of a seed. */
export function planOf(seed: number): Plan {
  const random = randomFrom(seed);
  const edge = EDGES[Math.floor(random() * 2 * EDGES.length)];
  const size = edge ?? Math.floor(random() * LARGEST);
  const bytes = Math.floor(random() * size);
  const before = seed % 2 === 0 ? null : seed % 4 === 1 ? { bytes } : "publishing";
  const files = seed % 5 === 4 ? 1 + Math.floor(random() * MOST_FILES) : null;
  return { seed, size, files, before };
}

/** A plan in a few words. */
export function describe({ size, files, before }: Plan): string {
  const early = before === null
    ? ""
    : before === "publishing"
    ? "when it gets its name, and "
    : `after ${before.bytes} bytes, and `;
  const what = files === null ? `${size} bytes` : `${size} bytes in ${files} files`;
  return `${what}, power cut ${early}after the ACK`;
}
