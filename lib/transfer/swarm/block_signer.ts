import type { SourcePieces } from "../../content/source_pieces.ts";
import { blockDigest, type SwarmSigner } from "../../identity/evidence.ts";
import { BLOCK_PIECES } from "../../wire/limits.ts";
import { completedBlock } from "./signed_blocks.ts";

/** What a {@linkcode BlockSigner} needs. */
export interface BlockSignerOptions {
  transfer: string;
  source: Pick<SourcePieces, "manifest" | "pieceCount">;
  signer: SwarmSigner;
}

/** Signs the hashes of a sharer's pieces, each block once for all recipients. */
export class BlockSigner {
  readonly #options: BlockSignerOptions;
  readonly #signatures = new Map<number, string>();

  constructor(options: BlockSignerOptions) {
    this.#options = options;
  }

  /** The signature of the block that the hashes below `end` complete; undefined where they complete none. */
  signatureOf(end: number): string | undefined {
    const { transfer, source: { manifest, pieceCount }, signer } = this.#options;
    const block = completedBlock(end, pieceCount);
    if (block === undefined) return undefined;
    const made = this.#signatures.get(block);
    if (made !== undefined) return made;
    const digest = blockDigest(manifest.slice(block * BLOCK_PIECES, end));
    const signature = signer.signBlock({ transfer, block, digest });
    this.#signatures.set(block, signature);
    return signature;
  }
}
