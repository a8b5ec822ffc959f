import { equals } from "@std/bytes/equals";
import { patiently } from "../disk/descriptors.ts";
import { basename, join, resolve } from "node:path";
import { Gate } from "../async/gate.ts";
import { isOutOfDescriptors, P2PError } from "../errors.ts";
import type { Content, SuspectPart } from "./content.ts";
import { type AgeOptions, isYoung } from "../disk/file_age.ts";
import { diskError, sourceChanged } from "../disk/disk_error.ts";
import { timeOf } from "../disk/file_time.ts";
import { type FileAttributes, isExecutable, limitOf } from "../disk/file_mode.ts";
import { notRegular, openRegular } from "../disk/open_regular.ts";
import { type OpenQuickly, type QuickFile, quickOpener } from "../disk/quick_file.ts";
import { Sha256 } from "../pieces/hash.ts";
import { Yielder } from "../async/yielder.ts";
import {
  fileAt,
  type FileCount,
  MAX_ENTRIES,
  MAX_TABLE,
  pathProblem,
  TableWriter,
  type TreeEntry,
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
  /** Time of the last change of any kind then, which nobody can put back; null where there is none. */
  ctime: number | null;
  /** Bytes of the content before the file. */
  offset: number;
}

/** How a folder is listed. */
export interface TreeOptions {
  /** Whether links are taken for what they point to. */
  follow?: boolean;
  /** Whether anything that cannot be sent is an error; else it is left out and told. */
  strict?: boolean;
}

/** A folder with all that is in it: its table, then the bytes of its files one after another. */
export class TreeContent implements Content {
  readonly path: string;
  readonly name: string;
  readonly size: number;
  readonly table: number;
  readonly key: string;
  readonly isSettled: boolean;
  readonly isSeekable = true;
  readonly skipped: readonly string[];
  readonly follows: boolean;
  readonly failed: readonly P2PError[];
  readonly grown: string[] = [];
  readonly attributes: FileAttributes;
  readonly files: FileCount;
  /** The folder's path, with a separator at the end. */
  readonly #folder: string;
  readonly #table: Uint8Array;
  readonly #files: SourceFile[];
  readonly #openQuickly: OpenQuickly;
  readonly #suspects: SuspectPart[] = [];
  readonly #yielder = new Yielder(TURN);
  #position = 0;
  /** One reading after another: they share {@linkcode #open}. */
  readonly #readings = new Gate(1);
  /** The file that was read last, unless it was read to its end. */
  #open: { file: SourceFile; handle: Deno.FsFile } | undefined;

  private constructor(
    path: string,
    { table, attributes, files, skipped, follows, failed, size, key, isSettled, openQuickly }: {
      table: Uint8Array;
      attributes: FileAttributes;
      files: SourceFile[];
      skipped: string[];
      follows: boolean;
      failed: P2PError[];
      size: number;
      key: string;
      isSettled: boolean;
      openQuickly: OpenQuickly;
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
    this.isSettled = isSettled;
    this.attributes = attributes;
    this.#openQuickly = openQuickly;
    this.skipped = skipped;
    this.follows = follows;
    this.failed = failed;
    this.files = { count: files.length, within: (bytes) => fileAt(files, bytes) };
  }

  /**
   * Lists the folder and all that is below it; no file is read yet.
   *
   * @throws {P2PError} `file-not-found` or `disk`.
   */
  static async open(
    path: string,
    { now: clock = Date.now, ...options }: TreeOptions & AgeOptions = {},
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
    const root = join(path, "/");
    const { dev: device, mode } = statOf(path);
    const { skipped, failed } = await visitTree(path, {
      ...options,
      problemOf: (path, info) => problemOf(root, { path, info, isElsewhere: info.dev !== device }),
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
          files.push({ path: relative, size, mtime, ctime: timeOf(ctime), offset: 0 });
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
    const key = JSON.stringify(["tree", resolve(path), state.digest()]);
    const attributes = { mode: limitOf(mode) };
    const openQuickly = await quickOpener();
    return new TreeContent(path, {
      table,
      attributes,
      files,
      skipped,
      follows: options.follow === true,
      failed,
      size,
      key,
      isSettled: !hasYoung,
      openQuickly,
    });
  }

  skipTo(offset: number): void {
    this.#position = offset;
  }

  async read(into: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const filled = await this.#readings.run(() => this.#readNow(this.#position, into, true));
    this.#position += filled;
    return into.subarray(0, filled);
  }

  readAt(offset: number, into: Uint8Array): Promise<number> {
    return this.#readings.run(() => this.#readNow(offset, into, false));
  }

  suspects(): Promise<readonly SuspectPart[]> {
    return Promise.resolve(this.#suspects);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closeFile();
    return Promise.resolve();
  }

  /** @param isFirst whether it is the reading from front to back, at which files are checked for changes. */
  async #readNow(offset: number, into: Uint8Array, isFirst: boolean): Promise<number> {
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
      const waiting = part.length === file.size && part.length < LARGE
        ? this.#readWhole(file, part, isFirst)
        : this.#readPart(file, start, { into: part, isFirst });
      if (waiting) await waiting;
      filled += part.length;
    }
    return filled;
  }

  /**
   * Reads a small file within the call: a round through the event loop costs more than the read. A promise while the
   * process may open no more files.
   */
  #readWhole(file: SourceFile, into: Uint8Array, isFirst: boolean): Promise<void> | undefined {
    try {
      this.#readAtOnce(file, into, isFirst);
      return undefined;
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw diskError("read", this.#at(file), error);
    }
    return patiently(() => this.#readAtOnce(file, into, isFirst)).catch((error) => {
      throw diskError("read", this.#at(file), error);
    });
  }

  #readAtOnce(file: SourceFile, into: Uint8Array, isFirst: boolean): void {
    const path = this.#at(file);
    using quick = this.#openQuickly(path);
    const isWhole = readQuickly(quick, path, into) === into.length;
    if (isWhole && (!isFirst || isSameAt(file, path))) return;
    const { isFile, size } = quick.look();
    if (!isFile) throw notRegular(path);
    if (!isWhole) throw sourceChanged(path, "it became shorter");
    // What reads the same twice was not written to in between.
    const again = new Uint8Array(into.length);
    const isSame = readQuickly(quick, path, again) === again.length && equals(into, again);
    if (!isSame) throw sourceChanged(path, "its content differs");
    if (size > file.size) this.grown.push(path);
  }

  async #readPart(
    file: SourceFile,
    start: number,
    { into, isFirst }: { into: Uint8Array; isFirst: boolean },
  ): Promise<void> {
    const path = this.#at(file);
    try {
      if (this.#open?.file !== file) this.#closeFile();
      const handle = this.#open?.handle ?? await openRegular(path);
      this.#open = { file, handle };
      if (start > 0) await handle.seek(start, Deno.SeekMode.Start);
      for (let filled = 0; filled < into.length;) {
        const n = await handle.read(into.subarray(filled));
        if (n === null) throw sourceChanged(path, "it became shorter");
        filled += n;
      }
      if (start + into.length < file.size) return;
      if (isFirst) this.#suspect(file, await handle.stat());
      this.#closeFile();
    } catch (error) {
      this.#closeFile();
      throw diskError("read", path, error);
    }
  }

  /** Notes a large file to be compared at the end, if it does not look as it did when it was listed. */
  #suspect(file: SourceFile, info: Deno.FileInfo): void {
    if (isSame(file, info)) return;
    const path = this.#at(file);
    if (info.size > file.size) this.grown.push(path);
    this.#suspects.push({ path, start: file.offset, end: file.offset + file.size });
  }

  #at({ path }: SourceFile): string {
    return `${this.#folder}${path}`;
  }

  #closeFile(): void {
    this.#open?.handle.close();
    this.#open = undefined;
  }
}

/** The entry of a path below a folder, as its line in the table will say. */
export function treeEntryOf(path: string, { isFile, size, mtime, mode }: Deno.FileInfo): TreeEntry {
  const entry: TreeEntry = {
    path,
    size: isFile ? size : null,
    mtime: timeOf(mtime) ?? 0,
    executable: isFile && isExecutable(mode),
  };
  const limit = limitOf(mode);
  if (limit !== undefined) entry.mode = limit;
  return entry;
}

/** Whether a file looks as it did when it was listed. */
function isSame(file: SourceFile, { size, mtime, ctime }: Deno.FileInfo): boolean {
  return size === file.size && (timeOf(mtime) ?? 0) === file.mtime && timeOf(ctime) === file.ctime;
}

/** Reads a file from its beginning and returns how many bytes it has for `into`. */
function readQuickly(quick: QuickFile, path: string, into: Uint8Array): number {
  try {
    return quick.read(into, 0);
  } catch (error) {
    // A pipe cannot be read from a position.
    throw quick.look().isFile ? error : notRegular(path);
  }
}

/** Whether what is at the path now looks as the file did; asking the handle costs twice as much. */
function isSameAt(file: SourceFile, path: string): boolean {
  try {
    return isSame(file, Deno.statSync(path));
  } catch {
    return false;
  }
}

/** Why the table cannot have an entry, or the file cannot be read: found out before anything is sent. */
function problemOf(
  root: string,
  { path, info: { isFile, mode }, isElsewhere }: {
    path: string;
    info: Deno.FileInfo;
    isElsewhere: boolean;
  },
): P2PError | null {
  const why = pathProblem(path);
  if (why !== null) {
    return new P2PError("disk", `Cannot send ${root}${path}: ${why}; move it further up`);
  }
  // To open each file would take as long as to read a small one; nearly all are for everybody to read. What is on
  // another disk, as where a link leads to, may be below /dev or /proc, which Deno opens for nobody.
  if (!isFile || (limitOf(mode) === undefined && !isElsewhere)) return null;
  const at = `${root}${path}`;
  try {
    Deno.openSync(at, { read: true }).close();
    return null;
  } catch (error) {
    // Whoever reads it waits until it may be opened.
    return isOutOfDescriptors(error) ? null : diskError("read", at, error);
  }
}

function statOf(folder: string): Deno.FileInfo {
  try {
    return Deno.statSync(folder);
  } catch (error) {
    throw diskError("read", folder, error);
  }
}
