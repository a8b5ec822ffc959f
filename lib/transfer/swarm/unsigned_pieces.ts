import { equals } from "@std/bytes/equals";
import type { Clock } from "../../async/clock.ts";
import {
  decodeServed,
  type Evidence,
  type SwarmSigner,
  verifyServed,
} from "../../identity/evidence.ts";
import type { Manifest } from "../../pieces/manifest.ts";
import { BLOCK_PIECES } from "../../wire/limits.ts";
import type { PeerLink } from "../peer_link.ts";
import type { SignedBlocks } from "./signed_blocks.ts";

/** Milliseconds that a neighbour may take to sign for a piece, once its block is complete. */
const PATIENCE = 20_000;

/** Statements of one neighbour that may say nothing new. */
const MAX_IDLE = 64;
/** Statements of one neighbour that wait for hashes: as many as pieces can be served whose block is not complete. */
const MAX_LATER = BLOCK_PIECES;

/** What a neighbour has signed. */
export interface Statement {
  source: PeerLink;
  entries: Uint8Array;
  signature: string;
}

/** What {@linkcode UnsignedPieces} need. */
export interface UnsignedPiecesOptions {
  transfer: string;
  /** Id of the sharer. */
  sharer: string;
  pieceCount: number;
  manifest: Manifest;
  blocks: SignedBlocks;
  signer: SwarmSigner;
  clock: Clock;
}

/** What a statement of a neighbour comes to. */
export type Verdict =
  | "right"
  /** It is none, or not about this manifest: nobody needs such a neighbour, and nobody else would believe why. */
  | "useless"
  | Evidence;

/** Pieces that have come of neighbours and that these have not signed for yet. */
export class UnsignedPieces {
  readonly #options: UnsignedPiecesOptions;
  /** By neighbour and index: since when in milliseconds it could have signed for it; undefined before that. */
  readonly #pieces = new Map<PeerLink, Map<number, number | undefined>>();
  /** Statements of each neighbour that wait for hashes: what one says too much must not cost another its place. */
  readonly #later = new Map<PeerLink, Statement[]>();
  /** Statements of each neighbour that said nothing new. */
  readonly #idle = new WeakMap<PeerLink, number>();

  constructor(options: UnsignedPiecesOptions) {
    this.#options = options;
  }

  /** A piece has come of a neighbour, right or wrong. */
  add(source: PeerLink, index: number): void {
    const pieces = this.#pieces.get(source) ?? new Map<number, number | undefined>();
    this.#pieces.set(source, pieces);
    pieces.set(index, this.#options.blocks.of(index) && this.#options.clock.now());
  }

  /** Whether the neighbour has yet to sign for the piece. */
  has(source: PeerLink, index: number): boolean {
    return this.#pieces.get(source)?.has(index) ?? false;
  }

  /** Forgets a neighbour. */
  drop(source: PeerLink): void {
    this.#pieces.delete(source);
    this.#later.delete(source);
  }

  /** Neighbours that have left pieces unsigned for too long. */
  overdue(): PeerLink[] {
    const { blocks, clock } = this.#options;
    const now = clock.now();
    const late: PeerLink[] = [];
    for (const [source, pieces] of this.#pieces) {
      for (const [index, since] of pieces) {
        if (since === undefined && blocks.of(index)) pieces.set(index, now);
        if (since === undefined || now - since <= PATIENCE) continue;
        late.push(source);
        break;
      }
    }
    return late;
  }

  /** What has been signed before the hashes were here that it is about, to be judged now. */
  takeLater(): Statement[] {
    const all = [...this.#later.values()].flat();
    this.#later.clear();
    return all;
  }

  /** Judges what a neighbour has signed. */
  judge(source: PeerLink, entries: Uint8Array, signature: string): Verdict {
    const { transfer, sharer, pieceCount, manifest, blocks, signer: { network } } = this.#options;
    const pieces = this.#pieces.get(source);
    const { id: server } = source.session.remote;
    const served = decodeServed(entries);
    if (!served || served.some(({ index }) => index >= pieceCount)) return "useless";
    const subject = { network, transfer, sharer, entries };
    if (!verifyServed(server, subject, signature)) return "useless";
    if (served.some(({ index }) => !blocks.of(index))) {
      // The hashes are on their way to this side.
      const later = this.#later.get(source) ?? [];
      this.#later.set(source, later);
      later.push({ source, entries, signature });
      return later.length > MAX_LATER ? "useless" : "right";
    }
    if (!served.some(({ index }) => pieces?.has(index)) && this.#isTooMuch(source)) {
      return "useless";
    }
    let verdict: Verdict = "right";
    for (const { index, hash, digest } of served) {
      const [block, right] = [blocks.of(index), manifest.hashOf(index)];
      if (!block || !right || !equals(digest, block.digest)) return "useless";
      pieces?.delete(index);
      if (equals(hash, right)) continue;
      const number = Math.floor(index / BLOCK_PIECES);
      verdict = {
        ...{ transfer, sharer, server, block: number, index },
        hashes: blocks.hashesOf(number),
        blockSignature: block.signature,
        entries: entries.slice(),
        servedSignature: signature,
      };
    }
    return verdict;
  }

  /** Counts a statement that says nothing new: pieces that came twice have some, and looking at each takes its time. */
  #isTooMuch(source: PeerLink): boolean {
    const count = (this.#idle.get(source) ?? 0) + 1;
    this.#idle.set(source, count);
    return count > MAX_IDLE;
  }
}
