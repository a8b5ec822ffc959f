import type { Clock } from "../../async/clock.ts";
import { encodeServed, type SwarmSigner } from "../../identity/evidence.ts";
import type { Manifest } from "../../pieces/manifest.ts";
import { MAX_SERVED } from "../../wire/limits.ts";
import type { PeerLink } from "../peer_link.ts";
import type { SignedBlocks } from "./signed_blocks.ts";

/** Milliseconds after the first piece within which those that were served to somebody are signed for. */
const TOGETHER = 1_000;

/** What a {@linkcode ServedLog} needs. */
export interface ServedLogOptions {
  transfer: string;
  /** Id of the sharer. */
  sharer: string;
  link: PeerLink;
  manifest: Manifest;
  blocks: SignedBlocks;
  signer: SwarmSigner;
  clock: Clock;
}

/**
 * Signs for the pieces that one neighbour was served, many at a time: as they stand in the manifest, so that a disk that
 * forgets does not make a liar of its owner. Pieces whose block is not complete wait for that.
 */
export class ServedLog implements Disposable {
  readonly #options: ServedLogOptions;
  readonly #served = new Set<number>();
  #cancel: (() => void) | undefined;

  constructor(options: ServedLogOptions) {
    this.#options = options;
  }

  /** A piece has been served. */
  add(index: number): void {
    this.#served.add(index);
    if (this.#served.size >= MAX_SERVED) this.#sign();
    else this.#wait();
  }

  /** Signs for what has not been signed for. */
  [Symbol.dispose](): void {
    this.#sign();
    this.#cancel?.();
  }

  #wait(): void {
    this.#cancel ??= this.#options.clock.after(TOGETHER, () => {
      this.#cancel = undefined;
      this.#sign();
      if (this.#served.size > 0) this.#wait();
    });
  }

  #sign(): void {
    const { transfer, sharer, link, manifest, blocks, signer } = this.#options;
    const known = [...this.#served].flatMap((index) => {
      const [hash, block] = [manifest.hashOf(index), blocks.of(index)];
      return hash && block ? [{ index, hash, digest: block.digest }] : [];
    });
    for (let at = 0; at < known.length; at += MAX_SERVED) {
      const part = known.slice(at, at + MAX_SERVED);
      for (const { index } of part) this.#served.delete(index);
      const entries = encodeServed(part);
      const signature = signer.signServed({ transfer, sharer, entries });
      // A session that has ended has no use for it.
      link.session.send({ verb: "SERVED", transfer, signature }, entries).catch(() => {});
    }
  }
}
