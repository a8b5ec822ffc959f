/** The part of a {@linkcode MemoryBudget} that one member has, until it is disposed of. */
export interface MemoryShare extends Disposable {
  /** How much that is now: it changes as others come and go. */
  readonly bytes: number;
}

/** Memory that is split evenly among those who are at work. */
export class MemoryBudget {
  readonly #total: number;
  #members = 0;

  /** @param total bytes. */
  constructor(total: number) {
    this.#total = total;
  }

  /** Takes part from now on. */
  join(): MemoryShare {
    this.#members++;
    let left = false;
    const share = () => this.#total / this.#members;
    return {
      get bytes() {
        return share();
      },
      [Symbol.dispose]: () => {
        if (!left) this.#members--;
        left = true;
      },
    };
  }
}
