/**
 * Which hash proves which bytes. Both ends use the same scheme: the offer names it, and it is part of the
 * manifest's id. Nothing outside this module knows how a scheme works.
 *
 * @module
 */

import { equals } from "@std/bytes/equals";
import { P2PError } from "../errors.ts";
import { Sha256, sha256 } from "./hash.ts";
import type { Manifest } from "./manifest.ts";
import { type Scheme, SCHEMES } from "./scheme.ts";

/** How a {@linkcode Verification} is made. */
export interface VerificationOptions {
  /**
   * Whether the hash of the whole is asked for beside those of the pieces; not of a tree, of which nobody can look it up.
   * Under `prefix` it costs nothing.
   */
  hasDigest: boolean;
  /** First piece that this end will see; those before are known from an earlier run. */
  from?: number;
  /** Whether pieces that were proved can be checked again, whatever has come since: costs 400 bytes for each. */
  checksAgain?: boolean;
}

/**
 * One content at the end that reads it or at the end that receives it. A piece is proven by a SHA-256 (FIPS 180-4): under
 * `independent` its own, so that it can be checked whenever it comes and whoever sent it; under `prefix` that of all bytes
 * up to its end, so that one running hash proves every piece and the whole.
 */
export class Verification {
  readonly #manifest: Pick<Manifest, "independentFrom">;
  /** Over all pieces below `#next`; undefined where nobody needs it or they have not been seen. */
  #running: Sha256 | undefined;
  #next: number;
  /** The running hash after the piece that was checked last. */
  #checked: { index: number; running: Sha256 } | undefined;
  /** The running hash before each piece that was proved. */
  readonly #before: Sha256[] | undefined;

  /** @param manifest says which pieces are proven by their own hashes; that may be more of them later. */
  constructor(
    manifest: Pick<Manifest, "independentFrom">,
    { hasDigest, from = 0, checksAgain = false }: VerificationOptions,
  ) {
    this.#manifest = manifest;
    this.#next = from;
    const isWanted = hasDigest || manifest.independentFrom > from;
    if (isWanted && from === 0) this.#running = new Sha256();
    if (checksAgain) this.#before = [];
  }

  /** Pieces that have been proved or accepted in order. */
  get count(): number {
    return this.#next;
  }

  /**
   * The hash (32 bytes) by which the other end will know the next piece. For the end that reads: each piece
   * once, in order, from the one on with which the verification was made.
   */
  prove(piece: Uint8Array): Uint8Array {
    const index = this.#next;
    const isApart = index >= this.#manifest.independentFrom;
    if (!isApart && !this.#running) throw new TypeError(`what is before piece ${index} is missing`);
    if (!isApart && this.#running) this.#before?.push(this.#running.copy());
    this.#next++;
    this.#running?.update(piece);
    return isApart || !this.#running ? sha256(piece) : this.#running.current();
  }

  /** Whether `check` can tell: under `prefix` what comes before the piece has to be there. */
  canCheck(index: number): boolean {
    return index >= this.#manifest.independentFrom || this.#runningBefore(index) !== undefined;
  }

  /** Whether the bytes are those of piece `index`, which can be checked, that `hash` was given for. */
  check(index: number, piece: Uint8Array, hash: Uint8Array): boolean {
    if (index >= this.#manifest.independentFrom) return equals(sha256(piece), hash);
    const running = this.#runningBefore(index)?.copy();
    if (!running) throw new TypeError(`what is before piece ${index} is missing`);
    running.update(piece);
    const isRight = equals(running.current(), hash);
    this.#checked = isRight ? { index, running } : undefined;
    return isRight;
  }

  /** Takes note of a piece that has passed `check`. For the end that receives: each piece once, in any order. */
  accept(index: number, piece: Uint8Array): void {
    if (index !== this.#next) return;
    if (this.#checked?.index === index) this.#running = this.#checked.running;
    else this.#running?.update(piece);
    this.#next++;
  }

  /**
   * The SHA-256 of a content of `count` pieces, base64url, once all have been proved or accepted; null where
   * this end has not computed it: of a tree, of what began in the middle or came out of order.
   */
  digest(count: number): string | null {
    return this.#next === count ? this.#running?.copy().digest() ?? null : null;
  }

  #runningBefore(index: number): Sha256 | undefined {
    return index === this.#next ? this.#running : this.#before?.[index];
  }
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
