import { readExactly } from "./file_bytes.ts";

/** Bytes of the longest reading that is made within the call. */
const SMALL = 256 * 1024;
/** Milliseconds that one may take, which holds up everything else in the process meanwhile. */
const SLOW = 5;

/**
 * Reads at any place of a file, within the call as long as that answers at once, as what was written a moment ago does: a
 * round through the event loop and another thread would take longer. From the first reading on that takes longer than
 * {@linkcode SLOW} all of them are asynchronous.
 */
export class FileReader implements Disposable {
  readonly #file: Deno.FsFile;
  #isSlow = false;

  /** @param file nobody else moves it. */
  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /**
   * Fills `into` from a place of the file. One call at a time.
   *
   * @param offset bytes from the start of the file.
   * @throws {Deno.errors.UnexpectedEof} when the file ends before.
   */
  async read(offset: number, into: Uint8Array): Promise<void> {
    if (this.#isSlow || into.length > SMALL) return await readExactly(this.#file, offset, into);
    const began = performance.now();
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let filled = 0; filled < into.length;) {
      const n = this.#file.readSync(into.subarray(filled));
      if (n === null) throw new Deno.errors.UnexpectedEof("the file is shorter than it was");
      filled += n;
    }
    this.#isSlow = performance.now() - began > SLOW;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
