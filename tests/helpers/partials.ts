import { encodeBase64Url } from "@std/encoding/base64url";
import { sha256 } from "../../lib/pieces/hash.ts";
import type { PieceProof } from "../../lib/pieces/scheme.ts";

const BYTES = new Uint8Array(32).fill(1);

/** A proof where the test is not about proofs. */
export const PROOF: PieceProof = { scheme: "independent", hash: BYTES };

/** What proves a piece by itself. */
export function proofOf(piece: Uint8Array): PieceProof {
  return { scheme: "independent", hash: sha256(piece) };
}

/** What an inbox is asked to begin, where the test is about its size. */
export function offerOf<S extends number | null>(size: S, pieceSize: number) {
  return {
    transfer: encodeBase64Url(BYTES.subarray(16)),
    from: encodeBase64Url(BYTES),
    name: "file.bin",
    size,
    pieceSize,
    table: null,
  };
}
