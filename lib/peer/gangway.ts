/** Lets only so many through at a time; the others wait for their turn, in their order. */
export class Gangway {
  readonly #width: number;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;

  /** @param width how many at a time. */
  constructor(width: number) {
    this.#width = width;
  }

  /** Runs `action` when it is its turn. */
  async through<T>(action: () => Promise<T>): Promise<T> {
    if (this.#inside < this.#width) this.#inside++;
    // Whoever leaves hands the place over.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await action();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#inside--;
    }
  }

  /** Whether nobody is inside or waits. */
  get isIdle(): boolean {
    return this.#inside === 0;
  }
}
