/** Bytes of one write. Deno copies what it writes, and slices above this into fresh memory each time. */
const SLICE = 256 * 1024;
/** Milliseconds that a write within the call may take, which holds up everything else in the process meanwhile. */
const SLOW = 5;

/**
 * Writes at any place of a file, within the call as long as the disk takes a slice at once, which is what its cache is
 * for: a round through the event loop and another thread would take twice the time. From the first write on that takes
 * longer than {@linkcode SLOW} all of them are asynchronous, so that a full cache does not stop the network.
 */
export class FileWriter {
  readonly #file: Deno.FsFile;
  #isSlow = false;
  /** Offset at which the handle stands, in bytes; -1 when a write failed and nobody knows. */
  #position = 0;

  /** @param file has just been opened, and nobody else moves it. */
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
