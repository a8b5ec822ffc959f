/** The part of a {@linkcode MemoryBudget} that one member has; disposing of it gives it to the others. */
export interface MemoryShare extends Disposable {
  /** Bytes of the part now: fewer when another member joins, more when one leaves. */
  readonly bytes: number;
}

/**
 * Memory that is split evenly among its members, so that many at work take no more together than one alone. A number
 * to keep to, and not a cap on a single allocation: nothing is allocated here, and nothing enforced. What one frame may
 * make this process allocate is bounded in readFrame (wire/frame.ts).
 */
export class MemoryBudget {
  readonly #total: number;
  #members = 0;

  /** @param total bytes for all members together. */
  constructor(total: number) {
    this.#total = total;
  }

  /** Makes the caller a member, until the share is disposed of. */
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
