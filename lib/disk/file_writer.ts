/** Bytes of one write. Deno copies what it writes: of larger slices into memory that is fresh each time. */
const SLICE = 256 * 1024;
/** Milliseconds that one write may hold up everything else before the others go through the event loop. */
const SLOW = 5;

/**
 * Writes to a file at any place. As long as the disk takes a slice at once, which is what its cache is for,
 * that is cheaper than a round through the event loop and another thread, by half of the time; with the
 * first write that takes long all others are asynchronous.
 */
export class FileWriter {
  readonly #file: Deno.FsFile;
  #isSlow = false;
  /** Where the file is; -1 when that is not known. */
  #position = 0;

  /** For a file that has just been opened. */
  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Writes all of `bytes`, which must stay as they are until it resolves. One call at a time. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (this.#position !== offset) this.#file.seekSync(offset, Deno.SeekMode.Start);
    this.#position = -1;
    for (let at = 0; at < bytes.length;) {
      const slice = bytes.subarray(at, at + SLICE);
      at += this.#isSlow ? await this.#file.write(slice) : this.#writeAtOnce(slice);
    }
    this.#position = offset + bytes.length;
  }

  #writeAtOnce(slice: Uint8Array): number {
    const began = performance.now();
    const written = this.#file.writeSync(slice);
    this.#isSlow = performance.now() - began > SLOW;
    return written;
  }
}
