import type { Range } from "../wire/fields.ts";
import { rangesOf } from "./ranges.ts";

/** Whoever pieces are asked of. */
export type SourceKey = object;

/** The one source of a download that knows no other. */
const ONLY: SourceKey = {};

/**
 * The state of each piece, and which to ask for next. Invariant: every piece below `known` is in exactly one of
 * four states: wanted, asked of one source, verified and not yet written, or stored; only `lost` takes what is
 * verified back. Synchronous, no I/O.
 */
export class PiecePicker {
  #known = 0;
  #next = 0;
  readonly #again: number[] = [];
  /** Pieces that were asked for, and of whom. */
  readonly #asked = new Map<number, SourceKey>();
  /** How many of these each source was asked for. */
  readonly #askedOf = new Map<SourceKey, number>();
  /** Verified pieces from `#prefix` on. */
  readonly #verified = new Set<number>();
  /** Pieces below are verified. */
  #prefix = 0;
  /** Verified pieces that are being written. */
  readonly #unwritten = new Set<number>();

  /** Pieces that are verified, written or not. */
  get verifiedCount(): number {
    return this.#prefix + this.#verified.size;
  }

  /** Pieces that have been asked for and have not come. */
  get askedCount(): number {
    return this.#asked.size;
  }

  /** Pieces that this source has been asked for and that have not come from it. */
  askedOf(source: SourceKey): number {
    return this.#askedOf.get(source) ?? 0;
  }

  /** Pieces that are verified and not yet written. */
  get unwrittenCount(): number {
    return this.#unwritten.size;
  }

  /** Says that pieces below `count` may be asked for. */
  grow(count: number): void {
    this.#known = Math.max(this.#known, count);
  }

  /** The next piece to ask `source` for, now marked as asked, or `undefined` when all known ones are. */
  take(source: SourceKey = ONLY): number | undefined {
    let index = this.#takeAgain();
    if (index === undefined) {
      while (this.#next < this.#known && this.isVerified(this.#next)) this.#next++;
      if (this.#next >= this.#known) return undefined;
      index = this.#next++;
    }
    this.#asked.set(index, source);
    this.#askedOf.set(source, this.askedOf(source) + 1);
    return index;
  }

  /** The first of those that have to come again: those behind it may need it to be verified. */
  #takeAgain(): number | undefined {
    if (this.#again.length === 0) return undefined;
    const first = this.#again.reduce((least, index) => Math.min(least, index));
    this.#again.splice(this.#again.indexOf(first), 1);
    return first;
  }

  /** Whether the piece was asked for, of `source` where one is named, and has not come. */
  isAsked(index: number, source?: SourceKey): boolean {
    const asked = this.#asked.get(index);
    return asked !== undefined && (source === undefined || asked === source);
  }

  /** Whether the piece came and was right. */
  isVerified(index: number): boolean {
    return index < this.#prefix || this.#verified.has(index);
  }

  /** Whether the piece is verified and written: it can be read. */
  isStored(index: number): boolean {
    return this.isVerified(index) && !this.#unwritten.has(index);
  }

  /** Whether all pieces below `index` came and were right. */
  hasAllBelow(index: number): boolean {
    return this.#prefix >= index;
  }

  /** The asked piece came and is right; it is about to be written. */
  verified(index: number): void {
    this.#unwritten.add(index);
    this.adopt(index);
  }

  /** The piece is verified and written: it was, in an earlier run. */
  adopt(index: number): void {
    this.#settle(index);
    this.#verified.add(index);
    while (this.#verified.delete(this.#prefix)) this.#prefix++;
  }

  /** The verified piece is written. */
  stored(index: number): void {
    this.#unwritten.delete(index);
  }

  /** The asked piece came and is wrong: it will be asked for again. */
  failed(index: number): void {
    if (this.#settle(index)) this.#again.push(index);
  }

  /** A piece that was verified is of another file: it has to come again. */
  lost(index: number): void {
    if (index < this.#prefix) {
      for (let other = index + 1; other < this.#prefix; other++) this.#verified.add(other);
      this.#prefix = index;
    } else if (!this.#verified.delete(index)) {
      return;
    }
    this.#unwritten.delete(index);
    if (index < this.#next) this.#again.push(index);
  }

  /** The source is gone: all that it was asked for, or without one all that was asked, is wanted again. */
  forgetAsked(source?: SourceKey): void {
    const asked = [...this.#asked].filter(([, other]) => source === undefined || other === source)
      .map(([index]) => index);
    for (const index of asked) this.#settle(index);
    this.#again.push(...asked.sort((a, b) => a - b));
  }

  /** The piece is not asked for any more; false when it was not. */
  #settle(index: number): boolean {
    const source = this.#asked.get(index);
    if (source === undefined) return false;
    this.#asked.delete(index);
    const left = this.askedOf(source) - 1;
    if (left > 0) this.#askedOf.set(source, left);
    else this.#askedOf.delete(source);
    return true;
  }

  /** The verified pieces as ascending ranges. */
  ranges(): Range[] {
    const rest = rangesOf(this.#verified);
    return this.#prefix > 0 ? [[0, this.#prefix], ...rest] : rest;
  }
}
