/** Slots of a table at the least; always a power of two. */
const SLOTS = 1024;
/** Part of the slots that may be taken: beyond it a search takes long. */
const FULL = 0.7;

/**
 * Numbers by a folder and a name in it. A million of them take 24 MiB: of each name 64 bits of a hash are kept, with a key
 * that nobody else knows. That two different names of a million have the same happens once in 30 million such trees; the
 * second is taken for the first then.
 */
export class NameTable {
  readonly #key = crypto.getRandomValues(new Int32Array(2));
  #slots: Int32Array<ArrayBuffer>;
  #count = 0;
  /** Words of the hash that {@linkcode #find} has computed last. */
  #low = 0;
  #high = 0;

  /** @param expected names that there will be: when there are more the table grows, which takes a while at once. */
  constructor(expected = 0) {
    let slots = SLOTS;
    while (FULL * slots < expected) slots *= 2;
    this.#slots = new Int32Array(3 * slots);
  }

  /** The number that is kept of the name in the folder; 0 when there is none. */
  get(folder: number, name: string): number {
    return this.#slots[this.#find(folder, name) + 2] as number;
  }

  /** Keeps a number, which must not be 0 and has 32 bits with its sign. */
  set(folder: number, name: string, value: number): void {
    let at = this.#find(folder, name);
    if (this.#slots[at + 2] === 0 && ++this.#count > FULL * this.#slots.length / 3) {
      this.#grow();
      at = this.#find(folder, name);
    }
    this.#slots[at] = this.#low;
    this.#slots[at + 1] = this.#high;
    this.#slots[at + 2] = value;
  }

  /** Where the name is, or would be. */
  #find(folder: number, name: string): number {
    const [k0 = 0, k1 = 0] = this.#key;
    let low = k0 ^ Math.imul(folder, 0x9e3779b1);
    let high = k1 ^ Math.imul(folder, 0x85ebca77);
    for (let i = 0; i < name.length; i++) {
      const c = name.charCodeAt(i);
      low = Math.imul(low ^ c, 0x9e3779b1);
      low ^= low >>> 15;
      high = Math.imul(high ^ c, 0x5f356495);
      high ^= high >>> 13;
    }
    // Each word has its part in the place, so that whoever makes one of them alike gains nothing.
    low ^= Math.imul(high ^ (high >>> 16), 0x85ebca6b);
    high ^= Math.imul(low ^ (low >>> 13), 0xc2b2ae35);
    this.#low = low;
    this.#high = high;
    return this.#place(low, high);
  }

  #place(low: number, high: number): number {
    const slots = this.#slots;
    const mask = slots.length / 3 - 1;
    let at = 3 * ((low ^ (high >>> 7)) & mask);
    while (slots[at + 2] !== 0 && (slots[at] !== low || slots[at + 1] !== high)) {
      at = at + 3 === slots.length ? 0 : at + 3;
    }
    return at;
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Int32Array(2 * before.length);
    for (let from = 0; from < before.length; from += 3) {
      if (before[from + 2] === 0) continue;
      const to = this.#place(before[from] as number, before[from + 1] as number);
      this.#slots.set(before.subarray(from, from + 3), to);
    }
  }
}
