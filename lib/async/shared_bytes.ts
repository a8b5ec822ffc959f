/** Bytes that several hold at the same time, and so many of them that they are too many. */
export class SharedBytes {
  readonly #most: number;
  #bytes = 0;
  #waiting: PromiseWithResolvers<void> | undefined;

  /** @param most bytes of all together that are not too many. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Whether they are too many now. */
  get areTooMany(): boolean {
    return this.#bytes > this.#most;
  }

  /** Notes that somebody holds `bytes` more. */
  add(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Notes that somebody holds `bytes` less. */
  remove(bytes: number): void {
    this.#bytes -= bytes;
    if (this.areTooMany) return;
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  /** Resolves when they are not too many any more; undefined when they are not now. */
  room(): Promise<void> | undefined {
    if (!this.areTooMany) return undefined;
    this.#waiting ??= Promise.withResolvers();
    return this.#waiting.promise;
  }
}
