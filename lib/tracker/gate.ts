/** Runs at most `limit` tasks at once; the others wait their turn. */
export class Gate {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(limit: number) {
    this.#free = limit;
  }

  /** Runs `task` when there is room. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
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

/** Dial-backs at once for one address. */
const MAX_PER_HOST = 16;

/**
 * Lets each address have a few dials under way: whoever registers peers that never answer delays those of
 * its own address only.
 */
export class DialGate {
  readonly #gates = new Map<string, { gate: Gate; users: number }>();

  /** Runs `task` when there is room for the address. */
  async run<T>(host: string, task: () => Promise<T>): Promise<T> {
    const entry = this.#gates.get(host) ?? { gate: new Gate(MAX_PER_HOST), users: 0 };
    this.#gates.set(host, entry);
    entry.users++;
    try {
      return await entry.gate.run(task);
    } finally {
      if (--entry.users === 0) this.#gates.delete(host);
    }
  }
}
