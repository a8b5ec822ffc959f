/** A stream that gives what the test lets it give. */
export class HeldStream {
  readonly stream: ReadableStream<Uint8Array>;
  /** Bytes that have been taken. */
  taken = 0;
  #gate = Promise.resolve();

  /** Gives the content, up to `holdAt` bytes at once and the rest after {@linkcode release}. */
  constructor(content: Uint8Array, holdAt = Infinity) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.release = resolve;
    this.#gate = promise;
    this.stream = new ReadableStream({
      pull: async (controller) => {
        if (this.taken >= holdAt) await this.#gate;
        if (this.taken >= content.length) return controller.close();
        const chunk = content.slice(this.taken, this.taken + 100_000);
        this.taken += chunk.length;
        controller.enqueue(chunk);
      },
      cancel: () => this.release(),
    }, { highWaterMark: 0 });
  }

  /** Lets the rest come. */
  release: () => void;
}
