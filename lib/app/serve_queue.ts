/** Limits of {@linkcode ServeQueue}. */
export interface ServeQueueOptions {
  /** How many have to complete; Infinity for as many as come. */
  wanted: number;
  /** How many are served at a time. */
  parallel: number;
}

/**
 * Who is served when. Invariant: those under way and those complete are together never more than are
 * wanted, so that nobody is served half for nothing: the place of one who fails goes to the next.
 */
export class ServeQueue {
  readonly #options: ServeQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #serving = new Set<string>();
  #complete = 0;
  #closed = false;

  constructor(options: ServeQueueOptions) {
    this.#options = options;
  }

  /** How many have completed. */
  get complete(): number {
    return this.#complete;
  }

  /** Whether as many have completed as were wanted. */
  get isOver(): boolean {
    return this.#complete >= this.#options.wanted;
  }

  /** Takes somebody in; one who waits or is being served stays where it is. */
  join(id: string): void {
    if (!this.#serving.has(id)) this.#waiting.add(id);
  }

  /** Somebody who waits is gone. */
  leave(id: string): void {
    this.#waiting.delete(id);
  }

  /** Starts with the one who has waited longest, if there is a place. */
  next(): string | undefined {
    const { wanted, parallel } = this.#options;
    const places = Math.min(parallel, wanted - this.#complete) - this.#serving.size;
    const [id] = this.#waiting;
    if (this.#closed || places <= 0 || id === undefined) return undefined;
    this.#waiting.delete(id);
    this.#serving.add(id);
    return id;
  }

  /** Serving somebody has come to its end. */
  end(id: string, { complete }: { complete: boolean }): void {
    if (this.#serving.delete(id) && complete) this.#complete++;
  }

  /** Starts with nobody any more. */
  close(): void {
    this.#closed = true;
  }
}
