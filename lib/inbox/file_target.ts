import { openFile } from "../disk/descriptors.ts";
import { Gate } from "../async/gate.ts";
import type { BestEffort } from "../disk/best_effort.ts";
import { P2PError } from "../errors.ts";
import { type FileAttributes, modeWithin } from "../disk/file_mode.ts";
import { FileReader } from "../disk/file_reader.ts";
import { FileWriter } from "../disk/file_writer.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { linkOrReserve } from "../disk/take_name.ts";
import type { ContentReader, Target } from "./target.ts";
import { AdaptiveSync } from "../disk/adaptive_sync.ts";

/** What a {@linkcode FileTarget} needs to know of its disk. */
export interface FileTargetOptions {
  /** Mode of the file when it is settled. */
  mode: number;
  /** Whether a file keeps its inode when it gets another name. */
  keepsInodes: boolean;
  disk: BestEffort;
  /** What is kept of the file beside its bytes. */
  attributes?: FileAttributes | undefined;
}

/** A single file being received. */
export class FileTarget implements Target {
  readonly path: string;
  readonly head = 0;
  readonly table = null;
  readonly files = null;
  readonly entries = 1;
  readonly #file: Deno.FsFile;
  readonly #options: FileTargetOptions;
  readonly #writer: FileWriter;
  /** Second handle of the file, for syncs: on the first one they would hold up the writes. */
  #again: Deno.FsFile | undefined;
  /** A handle for reading, whose position the writes do not move; one reading at a time. */
  #reader: FileReader | undefined;
  readonly #reading = new Gate(1);
  #closed = false;
  readonly #syncer = new AdaptiveSync("data");

  private constructor(path: string, file: Deno.FsFile, options: FileTargetOptions) {
    this.path = path;
    this.#file = file;
    this.#options = options;
    this.#writer = new FileWriter(file);
  }

  /** Creates an empty file, 0600 until it is settled; a link in its place is an error. */
  static async create(path: string, options: FileTargetOptions): Promise<FileTarget> {
    const file = await openFile(path, { read: true, write: true, createNew: true, mode: 0o600 });
    return new FileTarget(path, file, options);
  }

  /** Opens the file that an earlier run left; throws NotFound when there is none, or something else. */
  static async reopen(path: string, options: FileTargetOptions): Promise<FileTarget> {
    const { isFile } = await Deno.lstat(path);
    if (!isFile) throw new Deno.errors.NotFound(`${path} is not a regular file`);
    return new FileTarget(path, await openFile(path, { read: true, write: true }), options);
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#writer.write(offset, bytes);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#reading.run(async () => {
      if (this.#closed) throw new Deno.errors.BadResource("the file is closed");
      this.#reader ??= new FileReader(await openFile(this.path, { read: true }));
      await this.#reader.read(offset, into);
    });
  }

  async reader(path: string): Promise<ContentReader> {
    const reader = new FileReader(await openFile(path, { read: true }));
    const reading = new Gate(1);
    return {
      read: (offset, into) => reading.run(() => reader.read(offset, into)),
      close: () => reading.run(() => Promise.resolve(reader[Symbol.dispose]())),
    };
  }

  async restart(): Promise<void> {
    await this.#file.truncate();
  }

  async sync(): Promise<void> {
    this.#again ??= await openFile(this.path, { write: true });
    await this.#syncer.sync(this.#again);
  }

  async settle(): Promise<void> {
    await this.#expectOurs(this.path);
    const { disk, mode, attributes = {} } = this.#options;
    if (attributes.mtime !== undefined) disk.setTime(this.#file, attributes.mtime);
    disk.setMode(this.path, modeWithin(mode, attributes));
    await this.#file.sync();
  }

  async moveTo(path: string): Promise<boolean> {
    if (!await linkOrReserve(this.path, path)) return false;
    try {
      await this.#expectOurs(path);
    } catch (error) {
      await Deno.remove(path).catch(ignoreMissing);
      throw error;
    }
    return true;
  }

  async takeBack(path: string): Promise<void> {
    await Deno.remove(path).catch(ignoreMissing);
  }

  close(): void {
    this.#closed = true;
    this.#file.close();
    this.#again?.close();
    this.#reader?.[Symbol.dispose]();
  }

  async remove(): Promise<void> {
    await Deno.remove(this.path).catch(ignoreMissing);
  }

  /** Throws when another file is at the path: whoever can write into the inbox may have exchanged ours. */
  async #expectOurs(path: string): Promise<void> {
    const [ours, there] = [await this.#file.stat(), await Deno.lstat(path)];
    const isSame = this.#options.keepsInodes
      ? there.ino === ours.ino && there.dev === ours.dev
      : there.size === ours.size && there.mtime?.getTime() === ours.mtime?.getTime();
    if (there.isFile && isSame) return;
    throw new P2PError("integrity", `Cannot save the file: ${path} was exchanged for another`);
  }
}
