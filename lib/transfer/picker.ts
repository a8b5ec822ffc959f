import type { Range } from "../wire/fields.ts";
import { rangesOf } from "./ranges.ts";

/**
 * Which piece to ask for next. Invariant: every piece below `known` is in exactly one of three states:
 * waiting to be asked for, asked, or verified; only `lost` takes `verified` back. Synchronous, no I/O.
 */
export class PiecePicker {
  #known = 0;
  #next = 0;
  readonly #again: number[] = [];
  readonly #asked = new Set<number>();
  readonly #verified = new Set<number>();
  #prefix = 0;

  /** Pieces that are verified. */
  get verifiedCount(): number {
    return this.#prefix + this.#verified.size;
  }

  /** Pieces that have been asked for and have not come. */
  get askedCount(): number {
    return this.#asked.size;
  }

  /** Says that pieces below `count` may be asked for. */
  grow(count: number): void {
    this.#known = Math.max(this.#known, count);
  }

  /** The next piece to ask for, now marked as asked, or `undefined` when all known ones are. */
  take(): number | undefined {
    let index = this.#again.shift();
    if (index === undefined) {
      while (this.#next < this.#known && this.isVerified(this.#next)) this.#next++;
      if (this.#next >= this.#known) return undefined;
      index = this.#next++;
    }
    this.#asked.add(index);
    return index;
  }

  /** Whether the piece was asked for and has not come. */
  isAsked(index: number): boolean {
    return this.#asked.has(index);
  }

  /** Whether the piece came and was right. */
  isVerified(index: number): boolean {
    return index < this.#prefix || this.#verified.has(index);
  }

  /** Whether all pieces below `index` came and were right. */
  hasAllBelow(index: number): boolean {
    return this.#prefix >= index;
  }

  /** The asked piece came and is right. */
  verified(index: number): void {
    this.#asked.delete(index);
    this.#verified.add(index);
    while (this.#verified.delete(this.#prefix)) this.#prefix++;
  }

  /** The asked piece came and is wrong: it will be asked for again. */
  failed(index: number): void {
    if (this.#asked.delete(index)) this.#again.push(index);
  }

  /** A piece that was verified is of another file: it has to come again. */
  lost(index: number): void {
    if (index < this.#prefix) {
      for (let other = index + 1; other < this.#prefix; other++) this.#verified.add(other);
      this.#prefix = index;
    } else if (!this.#verified.delete(index)) {
      return;
    }
    if (index < this.#next) this.#again.push(index);
  }

  /** The connection is gone: all that was asked will be asked for again. */
  forgetAsked(): void {
    this.#again.push(...[...this.#asked].sort((a, b) => a - b));
    this.#asked.clear();
  }

  /** The verified pieces as ascending ranges. */
  ranges(): Range[] {
    const rest = rangesOf(this.#verified);
    return this.#prefix > 0 ? [[0, this.#prefix], ...rest] : rest;
  }
}
