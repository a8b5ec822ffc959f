/** Runs at most `limit` tasks at once; the others wait for their turn, in their order. */
export class Gate {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(limit: number) {
    this.#free = limit;
  }

  /** Runs `task` when there is room. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    // Whoever is done hands the place over.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

/** A {@linkcode Gate} for each key, as long as somebody uses it: what waits for one key delays no other. */
export class KeyedGate {
  readonly #limit: number;
  readonly #gates = new Map<string, { gate: Gate; users: number }>();

  /** @param limit tasks of one key at once. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Keys with a task that runs or waits. */
  get size(): number {
    return this.#gates.size;
  }

  /** Runs `task` when there is room for the key. */
  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const entry = this.#gates.get(key) ?? { gate: new Gate(this.#limit), users: 0 };
    this.#gates.set(key, entry);
    entry.users++;
    try {
      return await entry.gate.run(task);
    } finally {
      if (--entry.users === 0) this.#gates.delete(key);
    }
  }
}
