import { openAtOnce, openFile, patiently } from "../disk/descriptors.ts";
import { dirname } from "node:path";
import { pooledMap } from "@std/async/pool";
import { writeAll } from "../disk/file_bytes.ts";
import { isOutOfDescriptors, P2PError } from "../errors.ts";
import type { NameOptions } from "../pieces/tree_names.ts";
import { type PlanBlock, TreePlan } from "../pieces/tree_plan.ts";
import type { FileCount, TreeFile } from "../pieces/tree_table.ts";
import { enterable, type FileAttributes, modeWithin } from "../disk/file_mode.ts";
import { FileWriter } from "../disk/file_writer.ts";
import type { BestEffort } from "../disk/best_effort.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { partsIn } from "./file_parts.ts";
import type { ContentReader, Renamed, Target } from "./target.ts";
import { TreeReader } from "./tree_reader.ts";
import { AdaptiveSync } from "../disk/adaptive_sync.ts";
import { Yielder } from "../async/yielder.ts";

/** Bytes of the largest file that is written within the call, without a round through the event loop. */
const SMALL = 256 * 1024;
/** Files or folders that are made between two turns of the event loop. */
const TURN = 16;
/** Folders that may wait to be synced: each costs the memory of its path. */
const MANY_FOLDERS = 4096;

interface OpenFile {
  file: TreeFile;
  handle: Deno.FsFile;
  writer: FileWriter;
}

/** What a {@linkcode TreeTarget} needs. */
export interface TreeTargetOptions extends NameOptions {
  /** Path in the private folder. */
  path: string;
  /** Bytes of the table. */
  head: number;
  /** Bytes in all, those of the table included, as offered. */
  size: number;
  /** Mode of a file that is not executable. */
  mode: number;
  /** What is kept of the folder itself. */
  attributes?: FileAttributes | undefined;
  disk: BestEffort;
  /** Hears how many files and folders are about to be made; what it throws is why they are not. */
  onPlanned?: ((entries: number) => Promise<void>) | undefined;
}

/**
 * A folder being received: its table, which is kept beside it so that a later run can go on, then the
 * bytes of its files one after another. Small files are made within the call: a round through the event loop costs
 * more than such a file.
 */
export class TreeTarget implements Target {
  readonly path: string;
  readonly head: number;
  readonly #options: TreeTargetOptions;
  /** Open while parts of the table are missing. */
  #table: Deno.FsFile | undefined;
  #tableLeft = 0;
  #plan: TreePlan | undefined;
  /** Ends a planning that is not wanted any more. */
  readonly #stopping = new AbortController();
  /** Files that are not complete, by their numbers, and the bytes that this run has written of each. */
  readonly #begun = new Map<number, { file: TreeFile; written: number }>();
  /** Folders that have got something new since they were last synced. */
  #changedFolders = new Set<string>();
  /** The file that was written to last and is not complete: its next bytes mostly come next. */
  #open: OpenFile | undefined;
  /** Syncs of complete files that are under way. */
  readonly #syncs = new Set<Promise<void>>();
  #failure: unknown;
  #isReopened = false;
  /** Whether the table is needed after the last write: to read what has been published. */
  #isLent = false;
  readonly #syncer = new AdaptiveSync("all");
  readonly #yielder = new Yielder(TURN);

  private constructor(options: TreeTargetOptions) {
    this.#options = options;
    this.path = options.path;
    this.head = options.head;
  }

  /** Makes an empty folder, 0700 until it is settled, which must not be there yet. */
  static async create(options: TreeTargetOptions): Promise<TreeTarget> {
    const target = new TreeTarget(options);
    try {
      await target.#make();
      return target;
    } catch (error) {
      await target.remove().catch(() => {});
      throw error;
    }
  }

  /**
   * Goes on with the folder that an earlier run left; throws NotFound when that run had not come to its files.
   */
  static async reopen(options: TreeTargetOptions): Promise<TreeTarget> {
    const { isDirectory } = await Deno.lstat(options.path);
    if (!isDirectory) throw new Deno.errors.NotFound(`${options.path} is not a folder`);
    const target = new TreeTarget(options);
    const { size } = await Deno.lstat(target.table);
    if (size !== options.head) throw new Deno.errors.NotFound("the table is cut short");
    target.#plan = await target.#planned(target.table);
    target.#isReopened = true;
    return target;
  }

  get table(): string {
    return tableOf(this.path);
  }

  get renamed(): Renamed {
    return { renamed: this.#plan?.renamed ?? 0, renames: this.#plan?.renames ?? [] };
  }

  get files(): FileCount | null {
    return this.#plan ?? null;
  }

  get entries(): number {
    const { count = 0, folders = 0 } = this.#plan ?? {};
    return 1 + count + folders;
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const head = bytes.subarray(0, Math.max(0, this.head - offset));
    if (head.length > 0) await this.#writeTable(offset, head);
    if (head.length === bytes.length) return;
    const plan = this.#plan;
    if (!plan) throw new P2PError("malformed", "A tree's files came before its table");
    for (let at = head.length; at < bytes.length;) {
      for (const { file, start, end } of partsIn(await plan.filesAt(offset + at), offset + at)) {
        const part = bytes.subarray(at, at + end - start);
        at += part.length;
        const isWhole = part.length === file.size && part.length <= SMALL;
        const waiting = isWhole ? this.#writeWhole(file, part) : this.#writePart(file, start, part);
        // An await costs a turn of the microtasks, and mostly there is nothing to wait for.
        if (waiting) await waiting;
        const turn = this.#yielder.step();
        if (turn) await turn;
        if (at === bytes.length) break;
      }
      if (this.#changedFolders.size > MANY_FOLDERS) await this.#syncFolders();
    }
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#readerAt(this.path).read(offset, into);
  }

  reader(path: string): Promise<ContentReader> {
    this.#isLent = true;
    return Promise.resolve({
      read: (offset, into) => this.#readerAt(path).read(offset, into),
      close: async () => {
        this.#isLent = false;
        await this.#removeTables();
      },
    });
  }

  async restart(): Promise<void> {
    await Promise.all(this.#syncs);
    this.close();
    this.#begun.clear();
    this.#changedFolders.clear();
    this.#plan = undefined;
    await this.remove();
    await this.#make();
  }

  async sync(): Promise<void> {
    // Files are synced through handles of their own: on the one that is written to a sync would hold up the writes.
    const begun = [...this.#begun.values()].map(({ file }) => this.#at(file));
    await Promise.all([...this.#syncs, forEach(begun, syncFile), this.#syncFolders()]);
    if (this.#failure) throw this.#failure;
  }

  async settle(): Promise<void> {
    const plan = this.#planOrThrow();
    this.close();
    // Folders get their times from the inside out: what changes in one changes the time of the one around it.
    for (let index = plan.blocks - 1; index >= 0; index--) {
      if (!this.#isReopened && !plan.hasFolders(index)) continue;
      const { folders, files } = await plan.block(index);
      if (this.#isReopened) await this.#setTimes(files);
      for (const folder of folders.toReversed()) {
        this.#changedFolders.add(this.#at(folder));
        this.#openToOthers(this.#at(folder), folder);
        this.#options.disk.setTime(this.#at(folder), folder.mtime);
      }
      if (this.#changedFolders.size > MANY_FOLDERS) await this.#syncFolders();
    }
    this.#changedFolders.add(this.path);
    this.#openToOthers(this.path, this.#options.attributes ?? {});
    await this.sync();
  }

  async moveTo(path: string): Promise<boolean> {
    try {
      await Deno.lstat(path);
      return false;
    } catch (error) {
      ignoreMissing(error);
    }
    try {
      // A folder cannot be linked; renaming one replaces nothing but an empty folder.
      await Deno.rename(this.path, path);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOTDIR") return false;
      throw error;
    }
    return true;
  }

  async takeBack(path: string): Promise<void> {
    await Deno.rename(path, this.path);
  }

  close(): void {
    this.#open?.handle.close();
    this.#open = undefined;
    this.#table?.close();
    this.#table = undefined;
  }

  stop(): void {
    this.#stopping.abort(new P2PError("cancelled", "The transfer is over"));
  }

  async remove(): Promise<void> {
    this.#table?.close();
    this.#table = undefined;
    if (!this.#isLent) await this.#removeTables();
    await Deno.remove(this.path, { recursive: true }).catch(ignoreMissing);
  }

  async #removeTables(): Promise<void> {
    for (const path of [this.table, unfinishedTableOf(this.path), rewrittenTableOf(this.path)]) {
      await Deno.remove(path).catch(ignoreMissing);
    }
  }

  #readerAt(root: string): TreeReader {
    return new TreeReader({ root, table: this.table, head: this.head, plan: this.#planOrThrow() });
  }

  async #make(): Promise<void> {
    await Deno.mkdir(this.path, { mode: 0o700 });
    const path = unfinishedTableOf(this.path);
    this.#table = await openFile(path, { read: true, write: true, createNew: true, mode: 0o600 });
    this.#tableLeft = this.head;
    if (this.head === 0) await this.#begin(this.#table);
  }

  async #writeTable(offset: number, bytes: Uint8Array): Promise<void> {
    if (!this.#table) throw new P2PError("malformed", "The table of a tree came twice");
    await this.#table.seek(offset, Deno.SeekMode.Start);
    await writeAll(this.#table, bytes);
    this.#tableLeft -= bytes.length;
    if (this.#tableLeft === 0) await this.#begin(this.#table);
  }

  /** Keeps the table, now complete, under the name that a later run looks for, and makes what has no bytes. */
  async #begin(table: Deno.FsFile): Promise<void> {
    const unfinished = unfinishedTableOf(this.path);
    const plan = await this.#planned(unfinished);
    await this.#options.onPlanned?.(1 + plan.count + plan.folders);
    await table.sync();
    table.close();
    this.#table = undefined;
    await Deno.rename(unfinished, this.table);
    plan.moved(unfinished, this.table);
    this.#plan = plan;
    this.#changedFolders.add(dirname(this.path));
    for (let index = 0; index < plan.blocks; index++) {
      if (plan.hasFolders(index, { orEmpty: true })) await this.#makeBare(await plan.block(index));
    }
  }

  /** Makes the folders of a block, and its files that have no bytes. */
  async #makeBare({ folders, files }: PlanBlock): Promise<void> {
    for (const folder of folders) {
      await this.#yielder.step();
      Deno.mkdirSync(this.#at(folder), { mode: 0o700 });
      this.#changedFolders.add(dirname(this.#at(folder)));
    }
    for (const file of files) {
      if (file.size > 0) continue;
      await this.#yielder.step();
      await this.#writeWhole(file, new Uint8Array(0));
    }
    if (this.#changedFolders.size > MANY_FOLDERS) await this.#syncFolders();
  }

  async #planned(table: string): Promise<TreePlan> {
    const { path, head, size, foldsCase, keepsNames = false } = this.#options;
    const { signal } = this.#stopping;
    const rewritten = rewrittenTableOf(path);
    const plan = await TreePlan.make({ table, head, rewritten, signal, foldsCase, keepsNames });
    if (plan.end !== size) {
      throw new P2PError("malformed", "The table of a tree does not fit its size");
    }
    return plan;
  }

  async #syncFolders(): Promise<void> {
    const folders = this.#changedFolders;
    this.#changedFolders = new Set();
    await forEach(folders, (path) => this.#options.disk.syncFolder(path));
  }

  #planOrThrow(): TreePlan {
    if (!this.#plan) throw new TypeError("the tree has no table yet");
    return this.#plan;
  }

  /** Makes a small file within the call; a promise when too many syncs are under way. */
  #writeWhole(file: TreeFile, bytes: Uint8Array): Promise<void> | undefined {
    let handle: Deno.FsFile;
    try {
      handle = this.#create(file);
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
      return patiently(() => this.#create(file)).then((handle) =>
        this.#fillWhole(file, handle, bytes)
      );
    }
    return this.#fillWhole(file, handle, bytes);
  }

  #fillWhole(file: TreeFile, handle: Deno.FsFile, bytes: Uint8Array): Promise<void> | undefined {
    try {
      for (let at = 0; at < bytes.length;) at += handle.writeSync(bytes.subarray(at));
    } catch (error) {
      handle.close();
      throw error;
    }
    return this.#finishFile(file, handle);
  }

  async #writePart(file: TreeFile, start: number, bytes: Uint8Array): Promise<void> {
    const { handle, writer } = this.#open?.file.number === file.number
      ? this.#open
      : await patiently(() => this.#openFile(file));
    await writer.write(start, bytes);
    const written = (this.#begun.get(file.number)?.written ?? 0) + bytes.length;
    if (written < file.size) {
      this.#begun.set(file.number, { file, written });
      return;
    }
    this.#open = undefined;
    await this.#finishFile(file, handle);
  }

  #openFile(file: TreeFile): OpenFile {
    // The rest of the other file comes later: its pieces come in another order.
    this.#open?.handle.close();
    this.#open = undefined;
    const handle = this.#create(file);
    return this.#open = { file, handle, writer: new FileWriter(handle) };
  }

  /** Makes the file, or opens it where a part of it is there. */
  #create(file: TreeFile): Deno.FsFile {
    const { mode } = this.#options;
    const isFirst = !this.#begun.has(file.number);
    const path = this.#at(file);
    const handle = Deno.openSync(path, {
      write: true,
      create: true,
      // In a folder that this run made nothing can be there; and for `createNew` Deno checks the path once less.
      createNew: isFirst && !this.#isReopened,
      mode: modeWithin(mode, file),
    });
    if (isFirst) this.#changedFolders.add(path.slice(0, path.lastIndexOf("/")));
    return handle;
  }

  /** Gives a file that is complete its time, and makes it durable while the next ones come. */
  #finishFile(file: TreeFile, handle: Deno.FsFile): Promise<void> | undefined {
    this.#begun.delete(file.number);
    let syncing: Promise<void> | undefined;
    try {
      this.#options.disk.setTime(handle, file.mtime);
      syncing = this.#syncer.sync(handle);
    } catch (error) {
      handle.close();
      throw error;
    }
    if (!syncing) {
      handle.close();
      return undefined;
    }
    const sync: Promise<void> = syncing
      .catch((error) => this.#failure ??= error)
      .finally(() => {
        handle.close();
        this.#syncs.delete(sync);
      });
    this.#syncs.add(sync);
    return this.#syncs.size >= openAtOnce() ? Promise.race(this.#syncs) : undefined;
  }

  /** Sets the times of files whose parts came in several runs: none of them knew that the file was complete. */
  async #setTimes(files: readonly TreeFile[]): Promise<void> {
    const changed: string[] = [];
    for (const file of files) {
      await this.#yielder.step();
      const { mtime } = Deno.statSync(this.#at(file));
      if (mtime?.getTime() === file.mtime) continue;
      this.#options.disk.setTime(this.#at(file), file.mtime);
      changed.push(this.#at(file));
    }
    await forEach(changed, syncFile);
  }

  #openToOthers(path: string, { mode }: FileAttributes): void {
    const { disk, mode: base } = this.#options;
    disk.setMode(path, enterable(modeWithin(base, { mode })));
  }

  #at({ path }: { path: string }): string {
    return `${this.path}/${path}`;
  }
}

async function forEach(
  paths: Iterable<string>,
  act: (path: string) => Promise<void>,
): Promise<void> {
  for await (const _ of pooledMap(openAtOnce(), paths, act));
}

async function syncFile(path: string): Promise<void> {
  using file = await openFile(path, { write: true });
  await file.syncData();
}

/** Where the table is while parts of it are missing; nobody goes on with such a tree. */
function unfinishedTableOf(path: string): string {
  return `${tableOf(path)}.new`;
}

/** Where the table is with the names that this side has given. */
function rewrittenTableOf(path: string): string {
  return tableOf(path).replace(/table$/, "plan");
}

/** Where the table of a partial tree is kept. */
function tableOf(path: string): string {
  return `${path.replace(/\.part$/, "")}.table`;
}
