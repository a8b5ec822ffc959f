/**
 * Which hash proves which bytes. Both ends use the same scheme: the offer names it, and it is part of the
 * manifest's id. Nothing outside this module knows how a scheme works; a further one is a line in `MAKERS`.
 *
 * @module
 */

import { equals } from "@std/bytes/equals";
import { P2PError } from "../errors.ts";
import { Sha256, sha256 } from "./hash.ts";
import { type Scheme, SCHEMES } from "./scheme.ts";

/** One content under one scheme, at the end that reads it or at the end that receives it. */
export interface Verification {
  /**
   * The hash (32 bytes) by which the other end will know the next piece. For the end that reads: each piece
   * once, in order, from the one on with which the verification was made.
   */
  prove(piece: Uint8Array): Uint8Array;
  /** Whether the bytes are those of piece `index` that `hash` was given for. */
  check(index: number, piece: Uint8Array, hash: Uint8Array): boolean;
  /** Takes note of a piece that has passed `check`. For the end that receives: each piece once, in any order. */
  accept(index: number, piece: Uint8Array): void;
  /**
   * The SHA-256 of a content of `count` pieces, base64url, once all have been proved or accepted; null where
   * this end has not computed it: of a tree, of what began in the middle or came out of order. To be called
   * once.
   */
  digest(count: number): string | null;
}

/** How a {@linkcode Verification} is made. */
export interface VerificationOptions {
  /** Whether the content is a tree, of which nobody can look up a hash of the whole. */
  isTree: boolean;
  /** First piece that this end will see; those before are known from an earlier run. */
  from?: number;
}

const MAKERS: { [S in Scheme]: (options: VerificationOptions) => Verification } = {
  independent: (options) => new Independent(options),
};

/** The verification of a content under a scheme. */
export function verificationOf(scheme: Scheme, options: VerificationOptions): Verification {
  return MAKERS[scheme](options);
}

/**
 * The scheme that an offer names.
 *
 * @throws {P2PError} `invalid` when it is none that this version knows.
 */
export function schemeOf(name: string): Scheme {
  const scheme = SCHEMES.find((known) => known === name);
  if (scheme !== undefined) return scheme;
  throw new P2PError(
    "invalid",
    `Cannot verify by the scheme ${name}: this version knows ${SCHEMES.join(", ")}`,
  );
}

/**
 * A SHA-256 (FIPS 180-4) for each piece, so that pieces can be checked in any order and from any source, and
 * one of the whole file beside it, as long as the pieces come in order.
 */
class Independent implements Verification {
  /** Over the pieces below `#hashed`. */
  readonly #whole: Sha256 | undefined;
  #hashed = 0;

  constructor({ isTree, from = 0 }: VerificationOptions) {
    if (!isTree && from === 0) this.#whole = new Sha256();
  }

  prove(piece: Uint8Array): Uint8Array {
    this.accept(this.#hashed, piece);
    return sha256(piece);
  }

  check(_index: number, piece: Uint8Array, hash: Uint8Array): boolean {
    return equals(sha256(piece), hash);
  }

  accept(index: number, piece: Uint8Array): void {
    if (index !== this.#hashed) return;
    this.#whole?.update(piece);
    this.#hashed++;
  }

  digest(count: number): string | null {
    return this.#hashed === count ? this.#whole?.digest() ?? null : null;
  }
}
