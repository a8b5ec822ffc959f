/** Limits of {@linkcode ServeQueue}. */
export interface ServeQueueOptions {
  /** Receivers that have to complete; Infinity for as many as come. */
  wanted: number;
  /** Receivers served at a time. */
  parallel: number;
}

/**
 * Order in which receivers are served. Invariant: those under way and those complete are never more than are
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

  /** Receivers that have completed. */
  get complete(): number {
    return this.#complete;
  }

  /** Whether as many have completed as were wanted. */
  get isOver(): boolean {
    return this.#complete >= this.#options.wanted;
  }

  /** Receivers that wait for a place; none once it is closed, since no place will come. */
  get waiting(): number {
    return this.#closed ? 0 : this.#waiting.size;
  }

  /** Puts a receiver at the end; one that waits or is being served stays where it is. */
  join(id: string): void {
    if (!this.#serving.has(id)) this.#waiting.add(id);
  }

  /** Drops a receiver that waits and is gone. */
  leave(id: string): void {
    this.#waiting.delete(id);
  }

  /** Starts with the receiver that has waited longest, if there is a place. */
  next(): string | undefined {
    const { wanted, parallel } = this.#options;
    const places = Math.min(parallel, wanted - this.#complete) - this.#serving.size;
    const [id] = this.#waiting;
    if (this.#closed || places <= 0 || id === undefined) return undefined;
    this.#waiting.delete(id);
    this.#serving.add(id);
    return id;
  }

  /** Frees the place of a receiver whose service has come to its end. */
  end(id: string, { complete }: { complete: boolean }): void {
    if (this.#serving.delete(id) && complete) this.#complete++;
  }

  /** Lets nobody start any more; those under way go on. */
  close(): void {
    this.#closed = true;
  }
}
