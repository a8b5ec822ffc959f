import { openFile } from "../disk/descriptors.ts";
import { Gate } from "../async/gate.ts";
import { readExactly } from "../disk/read_exactly.ts";
import { P2PError } from "../errors.ts";
import { type FileAttributes, modeWithin } from "../disk/file_mode.ts";
import { dateOf } from "../disk/file_time.ts";
import { FileWriter } from "../disk/file_writer.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { linkOrReserve } from "../disk/take_name.ts";
import type { FileStamp, Target } from "./target.ts";
import { AdaptiveSync } from "../disk/adaptive_sync.ts";

/** A single file being received. */
export class FileTarget implements Target {
  readonly path: string;
  readonly head = 0;
  readonly files = null;
  readonly entries = 1;
  readonly #file: Deno.FsFile;
  readonly #mode: number;
  readonly #attributes: FileAttributes;
  readonly #writer: FileWriter;
  /** Second handle of the file, for syncs: on the first one they would hold up the writes. */
  #again: Deno.FsFile | undefined;
  /** A handle for reading, whose position the writes do not move; one reading at a time. */
  #reader: Deno.FsFile | undefined;
  readonly #reading = new Gate(1);
  #closed = false;
  readonly #syncer = new AdaptiveSync("data");

  private constructor(
    path: string,
    file: Deno.FsFile,
    { mode, attributes }: { mode: number; attributes: FileAttributes },
  ) {
    this.path = path;
    this.#file = file;
    this.#mode = mode;
    this.#attributes = attributes;
    this.#writer = new FileWriter(file);
  }

  /** Creates an empty file, 0600 until it is settled with `mode`; a link in its place is an error. */
  static async create(
    path: string,
    mode: number,
    attributes: FileAttributes = {},
  ): Promise<FileTarget> {
    const file = await openFile(path, { read: true, write: true, createNew: true, mode: 0o600 });
    return new FileTarget(path, file, { mode, attributes });
  }

  /** Opens the file that an earlier run left; throws NotFound when there is none, or something else. */
  static async reopen(
    path: string,
    mode: number,
    attributes: FileAttributes = {},
  ): Promise<FileTarget> {
    const { isFile } = await Deno.lstat(path);
    if (!isFile) throw new Deno.errors.NotFound(`${path} is not a regular file`);
    const file = await openFile(path, { read: true, write: true });
    return new FileTarget(path, file, { mode, attributes });
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#writer.write(offset, bytes);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#reading.run(async () => {
      if (this.#closed) throw new Deno.errors.BadResource("the file is closed");
      const file = this.#reader ??= await openFile(this.path, { read: true });
      await readExactly(file, offset, into);
    });
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
    const { mtime } = this.#attributes;
    if (mtime !== undefined) await this.#file.utime(new Date(), dateOf(mtime));
    if (Deno.build.os !== "windows") {
      await Deno.chmod(this.path, modeWithin(this.#mode, this.#attributes));
    }
    await this.#file.sync();
  }

  async stamp(): Promise<FileStamp> {
    const { ino, mtime } = await this.#file.stat();
    return { ino, mtime: mtime?.getTime() ?? null };
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
    this.#reader?.close();
  }

  async remove(): Promise<void> {
    await Deno.remove(this.path).catch(ignoreMissing);
  }

  /** Throws when another file is at the path: whoever can write into the inbox may have exchanged ours. */
  async #expectOurs(path: string): Promise<void> {
    const [ours, there] = [await this.#file.stat(), await Deno.lstat(path)];
    if (there.isFile && there.ino === ours.ino && there.dev === ours.dev) return;
    throw new P2PError("integrity", `Cannot save the file: ${path} was exchanged for another`);
  }
}
