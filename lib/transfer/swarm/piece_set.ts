/** Bits of a word. */
const WORD = 32;

/** A set of piece indices below a fixed count, one bit each: 128 KiB for a million pieces. */
export class PieceSet {
  readonly #words: Uint32Array;
  #size = 0;

  /** @param count pieces that there can be. */
  constructor(count: number) {
    this.#words = new Uint32Array(Math.ceil(count / WORD));
  }

  /** How many pieces are in it. */
  get size(): number {
    return this.#size;
  }

  /** Whether the piece is in it. */
  has(index: number): boolean {
    return (this.#wordAt(index) & bitOf(index)) !== 0;
  }

  /** Takes a piece in; false when it was in it. */
  add(index: number): boolean {
    if (this.has(index)) return false;
    this.#words[index >>> 5] = this.#wordAt(index) | bitOf(index);
    this.#size++;
    return true;
  }

  /** Takes a piece out; false when it was not in it. */
  delete(index: number): boolean {
    if (!this.has(index)) return false;
    this.#words[index >>> 5] = this.#wordAt(index) & ~bitOf(index);
    this.#size--;
    return true;
  }

  /**
   * Pieces that are in both, in ascending order from `start` on and then from the beginning; the pieces of the word of
   * `start` that are below it come first.
   *
   * @param most how many at most, rounded up to whole words.
   */
  common(other: PieceSet, { start = 0, most = Infinity } = {}): number[] {
    const words = this.#words;
    const found: number[] = [];
    const first = start >>> 5;
    for (let i = 0; i < words.length && found.length < most; i++) {
      const at = first + i < words.length ? first + i : first + i - words.length;
      let both = (words[at] ?? 0) & (other.#words[at] ?? 0);
      while (both !== 0) {
        const lowest = both & -both;
        found.push(at * WORD + (WORD - 1 - Math.clz32(lowest)));
        both ^= lowest;
      }
    }
    return found;
  }

  /** All of them, in ascending order. */
  *[Symbol.iterator](): Generator<number> {
    for (const index of this.common(this)) yield index;
  }

  #wordAt(index: number): number {
    return this.#words[index >>> 5] ?? 0;
  }
}

function bitOf(index: number): number {
  return 1 << (index & (WORD - 1));
}
