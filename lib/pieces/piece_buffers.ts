/** Bytes that all unused buffers of this process may take together; what is given back beyond that is freed. */
const MAX_FREE = 8 * 1024 * 1024;

/** Unused buffers of this process by their size. */
const free = new Map<number, ArrayBuffer[]>();
/** Bytes of all buffers in {@linkcode free}. */
let freeBytes = 0;

/**
 * Buffers of one piece each, used again and again, by whichever transfer has pieces of that size: memory
 * follows the pieces under way, not the files. A buffer that is never given back merely costs an allocation.
 */
export class PieceBuffers {
  readonly #size: number;

  /** @param size bytes of a buffer. */
  constructor(size: number) {
    this.#size = size;
  }

  /** Takes a buffer: a view of its first `length` bytes, with whatever they held before. */
  take(length: number): Uint8Array<ArrayBuffer> {
    const buffer = free.get(this.#size)?.pop();
    if (buffer) freeBytes -= this.#size;
    return new Uint8Array(buffer ?? new ArrayBuffer(this.#size), 0, length);
  }

  /** Takes the buffer of a view back, also when its memory has moved to another ArrayBuffer meanwhile. */
  give({ buffer }: Uint8Array<ArrayBuffer>): void {
    const size = this.#size;
    if (buffer.byteLength !== size) return;
    if (freeBytes + size > MAX_FREE) forgetOthers(size);
    if (freeBytes + size > MAX_FREE) return void release(buffer);
    const same = free.get(size) ?? [];
    free.set(size, same);
    same.push(buffer);
    freeBytes += size;
  }
}

/** Frees the memory at once: whoever had the buffer last, as a session that waits for its next frame, may still hold it. */
function release(buffer: ArrayBuffer): void {
  buffer.transfer(0);
}

/** Drops the unused buffers of other sizes, which may be those of transfers long ended. */
function forgetOthers(size: number): void {
  for (const [other, buffers] of free) {
    if (other === size) continue;
    freeBytes -= other * buffers.length;
    free.delete(other);
    buffers.forEach(release);
  }
}
