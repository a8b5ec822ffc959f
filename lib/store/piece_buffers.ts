/**
 * Buffers of one piece each, used again and again: memory follows the pieces under way, not the file.
 * Not giving one back is allowed and merely costs an allocation.
 */
export class PieceBuffers {
  readonly #size: number;
  readonly #keep: number;
  readonly #free: ArrayBuffer[] = [];

  /** Buffers of `size` bytes, of which at most `keep` wait unused. */
  constructor(size: number, keep: number) {
    this.#size = size;
    this.#keep = keep;
  }

  /** A view of `length` bytes with undefined content. */
  take(length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#free.pop() ?? new ArrayBuffer(this.#size), 0, length);
  }

  /** Takes a view of {@linkcode take} back, also when its memory has moved to another ArrayBuffer. */
  give({ buffer }: Uint8Array<ArrayBuffer>): void {
    if (buffer.byteLength === this.#size && this.#free.length < this.#keep) this.#free.push(buffer);
  }
}
