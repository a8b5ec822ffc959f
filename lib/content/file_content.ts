import { basename, resolve } from "node:path";
import { P2PError } from "../errors.ts";
import type { Content, SuspectPart } from "./content.ts";
import { type AgeOptions, isYoung, stateOf } from "../disk/file_age.ts";
import { diskError, sourceChanged } from "../disk/disk_error.ts";
import { type FileAttributes, isExecutable, limitOf } from "../disk/file_mode.ts";
import { timeOf } from "../disk/file_time.ts";
import { openRegular } from "../disk/open_regular.ts";

/** A regular file as a content: read through a byte stream, which reads ahead; again through a second handle. */
export class FileContent implements Content {
  readonly path: string;
  readonly name: string;
  readonly size: number;
  readonly table = null;
  readonly key: string;
  readonly isSettled: boolean;
  readonly isSeekable = true;
  readonly attributes: FileAttributes;
  readonly files = null;
  readonly skipped: readonly string[] = [];
  readonly failed: readonly P2PError[] = [];
  readonly grown: string[] = [];
  readonly #stat: Deno.FileInfo;
  readonly #file: Deno.FsFile;
  #skip = 0;
  /** Second handle, for what is read again; of the file that was opened, also when another takes its place. */
  readonly #again: Deno.FsFile;
  #reader: ReadableStreamBYOBReader | undefined;

  private constructor(
    path: string,
    { file, again, stat, now }: {
      file: Deno.FsFile;
      again: Deno.FsFile;
      stat: Deno.FileInfo;
      now: number;
    },
  ) {
    this.path = path;
    this.name = basename(path);
    this.size = stat.size;
    this.key = JSON.stringify(["file", resolve(path), ...stateOf(stat)]);
    this.isSettled = !isYoung(stat, now);
    this.attributes = {
      mtime: timeOf(stat.mtime) ?? undefined,
      executable: isExecutable(stat.mode),
      mode: limitOf(stat.mode),
    };
    this.#stat = stat;
    this.#file = file;
    this.#again = again;
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
      using stack = new DisposableStack();
      const file = stack.use(await openRegular(path));
      const now = clock();
      const stat = await file.stat();
      const again = stack.use(await openRegular(path));
      const { ino, dev } = await again.stat();
      if (ino !== stat.ino || dev !== stat.dev) {
        throw sourceChanged(path, "another file took its place");
      }
      stack.move();
      return new FileContent(path, { file, again, stat, now });
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
    const file = this.#again;
    await file.seek(offset, Deno.SeekMode.Start);
    let filled = 0;
    while (filled < into.length) {
      const n = await file.read(into.subarray(filled));
      if (n === null) break;
      filled += n;
    }
    return filled;
  }

  async suspects(): Promise<readonly SuspectPart[]> {
    const { path, size } = this;
    const now = await this.#again.stat();
    if (stateOf(now).join() === stateOf(this.#stat).join()) return [];
    if (now.size < size) throw sourceChanged(path, "it became shorter");
    if (now.size > size) this.grown.push(path);
    return [{ path, start: 0, end: size }];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The end of the stream closes the file.
    if (this.#reader) await this.#reader.cancel().catch(() => {});
    else this.#file.close();
    this.#again.close();
  }
}
