import { isOutOfDescriptors, openFile, patiently } from "../disk/descriptors.ts";
import { basename, join, resolve } from "node:path";
import { Gate } from "../async/gate.ts";
import { P2PError } from "../errors.ts";
import type { Content } from "./content.ts";
import { type AgeOptions, isYoung } from "../disk/file_age.ts";
import { diskError, sourceChanged } from "../disk/disk_error.ts";
import { Sha256 } from "../pieces/hash.ts";
import { Yielder } from "../async/yielder.ts";
import { treeEntryOf } from "../pieces/tree_list.ts";
import {
  fileAt,
  type FileCount,
  MAX_ENTRIES,
  MAX_TABLE,
  TableWriter,
} from "../pieces/tree_table.ts";
import { visitTree } from "../disk/tree_walk.ts";

/** Bytes from which on a file is read asynchronously: a smaller one takes less than a round through the event loop. */
const LARGE = 128 * 1024;

/** Files that are read between two turns of the event loop. */
const TURN = 16;

/** Characters of stamps that are hashed together: a call for each file would take longer than the hash. */
const STAMPS = 16 * 1024;

const encoder = new TextEncoder();

interface SourceFile {
  /** Relative to the folder. */
  path: string;
  /** Bytes. */
  size: number;
  /** Time of the last write when the folder was listed, milliseconds since 1970. */
  mtime: number;
  /** Bytes of the content before the file. */
  offset: number;
}

/** A folder with all that is in it: its table, then the bytes of its files one after another. */
export class TreeContent implements Content {
  readonly path: string;
  readonly name: string;
  readonly size: number;
  readonly table: number;
  readonly key: string | null;
  readonly isSeekable = true;
  readonly skipped: readonly string[];
  readonly files: FileCount;
  /** The folder's path, with a separator at the end. */
  readonly #folder: string;
  readonly #table: Uint8Array;
  readonly #files: SourceFile[];
  readonly #yielder = new Yielder(TURN);
  #position = 0;
  /** One reading after another: they share {@linkcode #open}. */
  readonly #readings = new Gate(1);
  /** The file that was read last, unless it was read to its end. */
  #open: { file: SourceFile; handle: Deno.FsFile } | undefined;

  private constructor(
    path: string,
    { table, files, skipped, size, key }: {
      table: Uint8Array;
      files: SourceFile[];
      skipped: string[];
      size: number;
      key: string | null;
    },
  ) {
    this.path = path;
    this.#folder = join(path, "/");
    this.name = basename(resolve(path));
    this.#table = table;
    this.#files = files;
    this.table = table.length;
    this.size = size;
    this.key = key;
    this.skipped = skipped;
    this.files = { count: files.length, within: (bytes) => fileAt(files, bytes) };
  }

  /**
   * Lists the folder and all that is below it; no file is read yet.
   *
   * @throws {P2PError} `file-not-found` or `disk`.
   */
  static async open(
    path: string,
    { now: clock = Date.now, ...options }: { follow?: boolean } & AgeOptions = {},
  ): Promise<TreeContent> {
    const writer = new TableWriter();
    const files: SourceFile[] = [];
    // Beside the table: which file each is and when it was changed last, so that nothing can be written unseen.
    const state = new Sha256();
    let stamps = "";
    let count = 0;
    // The time before the first file is looked at: whatever is written to from here on is younger than that.
    const now = clock();
    let hasYoung = false;
    const device = await deviceOf(path);
    const skipped = await visitTree(path, {
      ...options,
      onEntry: (path, info) => {
        const entry = treeEntryOf(path, info);
        const { ino, dev, ctime } = info;
        writer.add(entry);
        stamps += `${ino} ${dev} ${ctime?.getTime()}\n`;
        if (stamps.length > STAMPS) {
          state.update(encoder.encode(stamps));
          stamps = "";
        }
        const { path: relative, size, mtime } = entry;
        if (size !== null) {
          files.push({ path: relative, size, mtime, offset: 0 });
          // Another disk below this one may say less of its files.
          hasYoung ||= isYoung(info, now) || info.dev !== device;
        }
        if (++count > MAX_ENTRIES || writer.bytes.length > MAX_TABLE) {
          throw new P2PError(
            "disk",
            `Cannot send ${path}: it has too many files; send parts of it`,
          );
        }
      },
    });
    const table = writer.bytes;
    state.update(encoder.encode(stamps));
    state.update(table);
    let size = table.length;
    for (const file of files) {
      file.offset = size;
      size += file.size;
    }
    const key = hasYoung ? null : JSON.stringify(["tree", resolve(path), state.digest()]);
    return new TreeContent(path, { table, files, skipped, size, key });
  }

  skipTo(offset: number): void {
    this.#position = offset;
  }

  async read(into: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const filled = await this.readAt(this.#position, into);
    this.#position += filled;
    return into.subarray(0, filled);
  }

  readAt(offset: number, into: Uint8Array): Promise<number> {
    return this.#readings.run(() => this.#readNow(offset, into));
  }

  async expectUnchanged(): Promise<void> {}

  [Symbol.asyncDispose](): Promise<void> {
    this.#closeFile();
    return Promise.resolve();
  }

  async #readNow(offset: number, into: Uint8Array): Promise<number> {
    let filled = 0;
    if (offset < this.table) {
      const part = this.#table.subarray(offset, offset + into.length);
      into.set(part);
      filled = part.length;
    }
    for (let i = fileAt(this.#files, offset + filled); filled < into.length; i++) {
      const file = this.#files[i];
      if (!file) break;
      const start = offset + filled - file.offset;
      const part = into.subarray(filled, filled + file.size - start);
      if (part.length === 0) continue;
      const turn = this.#yielder.step();
      if (turn) await turn;
      if (part.length === file.size && part.length < LARGE) {
        const waiting = this.#readWhole(file, part);
        if (waiting) await waiting;
      } else await this.#readPart(file, start, part);
      filled += part.length;
    }
    return filled;
  }

  /**
   * Reads a small file within the call: a round through the event loop costs more than the read. A promise while the
   * process may open no more files.
   */
  #readWhole(file: SourceFile, into: Uint8Array): Promise<void> | undefined {
    try {
      this.#readAtOnce(file, into);
      return undefined;
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw diskError("read", this.#at(file), error);
    }
    return patiently(() => this.#readAtOnce(file, into)).catch((error) => {
      throw diskError("read", this.#at(file), error);
    });
  }

  #readAtOnce(file: SourceFile, into: Uint8Array): void {
    const path = this.#at(file);
    using handle = Deno.openSync(path, { read: true });
    for (let filled = 0; filled < into.length;) {
      const n = handle.readSync(into.subarray(filled));
      if (n === null) throw sourceChanged(path, "it became shorter");
      filled += n;
    }
    expectSame(file, path);
  }

  async #readPart(file: SourceFile, start: number, into: Uint8Array): Promise<void> {
    const path = this.#at(file);
    try {
      if (this.#open?.file !== file) this.#closeFile();
      const handle = this.#open?.handle ?? await openFile(path, { read: true });
      this.#open = { file, handle };
      if (start > 0) await handle.seek(start, Deno.SeekMode.Start);
      for (let filled = 0; filled < into.length;) {
        const n = await handle.read(into.subarray(filled));
        if (n === null) throw sourceChanged(path, "it became shorter");
        filled += n;
      }
      if (start + into.length < file.size) return;
      this.#closeFile();
      expectSame(file, path);
    } catch (error) {
      this.#closeFile();
      throw diskError("read", path, error);
    }
  }

  #at({ path }: SourceFile): string {
    return `${this.#folder}${path}`;
  }

  #closeFile(): void {
    this.#open?.handle.close();
    this.#open = undefined;
  }
}

/** Throws when the file has been written to since it was listed. */
function expectSame(file: SourceFile, path: string): void {
  const { size, mtime } = Deno.statSync(path);
  if (size === file.size && (mtime?.getTime() ?? 0) === file.mtime) return;
  throw sourceChanged(path, "its size or time is not what it was");
}

/** The device that a folder is on; null when that is not known, or the folder not there. */
async function deviceOf(path: string): Promise<number | null> {
  return await Deno.stat(path).then(({ dev }) => dev, () => null);
}
