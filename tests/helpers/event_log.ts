import { deadline } from "./deadline.ts";

const NEVER = new Promise<never>(() => {});

/** Keeps everything that is reported to it, so that a test can wait for what has been or will be. */
export class EventLog<T> {
  readonly all: T[] = [];
  readonly #waiting = new Set<(event: T) => void>();

  /** How many there were; the start of what {@linkcode until} is to look at. */
  get length(): number {
    return this.all.length;
  }

  /** Takes an event. Bound, to be handed over as a callback. */
  readonly add = (event: T): void => {
    this.all.push(event);
    for (const wake of this.#waiting) wake(event);
  };

  /** Calls back for each event from now on, until it is disposed of. */
  listen(callback: (event: T) => void): Disposable {
    this.#waiting.add(callback);
    return { [Symbol.dispose]: () => void this.#waiting.delete(callback) };
  }

  /** The first event from `from` on that matches, as soon as there is one. */
  async until<S extends T>(
    matches: ((event: T) => event is S) | ((event: T) => boolean),
    { from = 0, what = "an event", unless = NEVER, ms }: {
      from?: number;
      what?: string;
      /** Rejects when there is no use in waiting any longer. */
      unless?: Promise<never>;
      /** How long it may take, where that is not what anything may. */
      ms?: number;
    } = {},
  ): Promise<S> {
    const { promise, resolve } = Promise.withResolvers<T>();
    const look = () => {
      const found = this.all.slice(from).find(matches);
      if (found !== undefined) resolve(found);
    };
    this.#waiting.add(look);
    look();
    try {
      return await deadline(
        Promise.race([promise, unless]),
        () => `${what}; there were ${this.#text()}`,
        ms,
      ) as S;
    } finally {
      this.#waiting.delete(look);
    }
  }

  #text(): string {
    return `${this.all.length} events:\n${this.all.map((e) => JSON.stringify(e)).join("\n")}`;
  }
}
