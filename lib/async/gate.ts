/**
 * Runs at most `limit` tasks at once; the others wait for their turn, in the order in which they came. With a limit of
 * 1 it keeps tasks that share something, as a handle or a file, one after the other. One that fails tells its caller
 * only, and the next one begins.
 */
export class Gate {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  /** @param limit tasks at once. */
  constructor(limit: number) {
    this.#free = limit;
  }

  /** Runs `task` when there is room: where nobody is before it, within the call. */
  run<T>(task: () => T | Promise<T>): Promise<T> {
    if (this.#free === 0) return this.#queue(task);
    this.#free--;
    return this.#enter(task);
  }

  async #queue<T>(task: () => T | Promise<T>): Promise<T> {
    // Whoever is done hands its place over, so that nobody who comes later can take it.
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return await this.#enter(task);
  }

  async #enter<T>(task: () => T | Promise<T>): Promise<T> {
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
