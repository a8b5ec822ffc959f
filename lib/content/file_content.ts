import { openFile } from "../disk/descriptors.ts";
import { basename, resolve } from "node:path";
import { P2PError } from "../errors.ts";
import type { Content } from "./content.ts";
import { type AgeOptions, isYoung, stateOf } from "../disk/file_age.ts";
import { diskError, sourceChanged } from "../disk/disk_error.ts";

/** A regular file as a content: read through a byte stream, which reads ahead; again through a second handle. */
export class FileContent implements Content {
  readonly path: string;
  readonly name: string;
  readonly size: number;
  readonly table = null;
  readonly key: string | null;
  readonly isSeekable = true;
  readonly files = null;
  readonly skipped: readonly string[] = [];
  readonly #stat: Deno.FileInfo;
  readonly #file: Deno.FsFile;
  #skip = 0;
  #reader: ReadableStreamBYOBReader | undefined;
  #again: Promise<Deno.FsFile> | undefined;

  private constructor(
    path: string,
    { file, stat, now }: { file: Deno.FsFile; stat: Deno.FileInfo; now: number },
  ) {
    this.path = path;
    this.name = basename(path);
    this.size = stat.size;
    this.key = isYoung(stat, now)
      ? null
      : JSON.stringify(["file", resolve(path), ...stateOf(stat)]);
    this.#stat = stat;
    this.#file = file;
  }

  /**
   * Opens a file.
   *
   * @throws {P2PError} `file-not-found` or `disk`.
   */
  static async open(
    path: string,
    { now: clock = Date.now }: AgeOptions = {},
  ): Promise<FileContent> {
    try {
      // The look comes first: to open a FIFO would wait for somebody to write to it.
      const { isFile } = await Deno.stat(path);
      if (!isFile) {
        throw new P2PError("disk", `Cannot send ${path}: it is no regular file and no folder`);
      }
      const file = await openFile(path, { read: true });
      const now = clock();
      return new FileContent(path, { file, stat: await file.stat(), now });
    } catch (error) {
      throw diskError("read", path, error);
    }
  }

  skipTo(offset: number): void {
    this.#skip = offset;
  }

  async read(into: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    if (!this.#reader) {
      if (this.#skip > 0) await this.#file.seek(this.#skip, Deno.SeekMode.Start);
      this.#reader = this.#file.readable.getReader({ mode: "byob" });
    }
    // Memory that is lent to the stream comes back in another ArrayBuffer, and the first one is detached.
    const { length } = into;
    let piece = into;
    for (let filled = 0; filled < length;) {
      const { value, done } = await this.#reader.read(piece.subarray(filled));
      if (!value) return new Uint8Array(0);
      if (done) return new Uint8Array(value.buffer, 0, filled);
      filled += value.length;
      piece = new Uint8Array(value.buffer, 0, length);
    }
    return piece;
  }

  async readAt(offset: number, into: Uint8Array): Promise<number> {
    const file = await (this.#again ??= openFile(this.path, { read: true }));
    await file.seek(offset, Deno.SeekMode.Start);
    let filled = 0;
    while (filled < into.length) {
      const n = await file.read(into.subarray(filled));
      if (n === null) break;
      filled += n;
    }
    return filled;
  }

  async expectUnchanged(): Promise<void> {
    if (stateOf(await Deno.stat(this.path)).join() === stateOf(this.#stat).join()) return;
    throw sourceChanged(this.path, "its size or time is not what it was");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The end of the stream closes the file.
    if (this.#reader) await this.#reader.cancel().catch(() => {});
    else this.#file.close();
    (await this.#again?.catch(() => undefined))?.close();
  }
}
