import { blockDigest, type SwarmSigner, verifyBlock } from "../../identity/evidence.ts";
import { P2PError } from "../../errors.ts";
import type { Manifest } from "../../pieces/manifest.ts";
import { BLOCK_PIECES } from "../../wire/limits.ts";

/** The number of the block that the hashes below `end` complete; undefined where they complete none. */
export function completedBlock(end: number, pieceCount: number): number | undefined {
  const isComplete = end > 0 && (end % BLOCK_PIECES === 0 || end === pieceCount);
  return isComplete ? Math.ceil(end / BLOCK_PIECES) - 1 : undefined;
}

/** A block whose hashes its sharer has signed. */
export interface SignedBlock {
  digest: Uint8Array;
  signature: string;
}

/** What {@linkcode SignedBlocks} are about. */
export interface SignedBlocksOptions {
  transfer: string;
  /** Id of the sharer. */
  sharer: string;
  pieceCount: number;
  manifest: Manifest;
  signer: SwarmSigner;
}

/** The blocks of a manifest that are complete here, with the sharer's signatures. */
export class SignedBlocks {
  readonly #options: SignedBlocksOptions;
  readonly #blocks: SignedBlock[] = [];

  constructor(options: SignedBlocksOptions) {
    this.#options = options;
  }

  /** The block of the piece, if it is complete. */
  of(index: number): SignedBlock | undefined {
    return this.#blocks[Math.floor(index / BLOCK_PIECES)];
  }

  /** The hashes of the pieces of a block. */
  hashesOf(block: number): Uint8Array<ArrayBuffer> {
    return this.#options.manifest.slice(block * BLOCK_PIECES, (block + 1) * BLOCK_PIECES);
  }

  /**
   * Takes the signature that came with the hashes up to `end`, which complete a block or not.
   *
   * @returns whether another block is complete.
   * @throws {P2PError} `integrity` when it is wrong, or missing.
   */
  take(end: number, signature: string | undefined): boolean {
    const { transfer, sharer, pieceCount, signer: { network } } = this.#options;
    const block = completedBlock(end, pieceCount);
    if (block === undefined || this.#blocks[block]) return false;
    const digest = blockDigest(this.hashesOf(block));
    if (
      block !== this.#blocks.length || signature === undefined ||
      !verifyBlock(sharer, { network, transfer, block, digest }, signature)
    ) {
      throw new P2PError("integrity", `Cannot receive: block ${block} of the hashes is not signed`);
    }
    this.#blocks.push({ digest, signature });
    return true;
  }
}
