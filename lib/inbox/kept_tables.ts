import { openFile } from "../disk/descriptors.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { copyStart } from "../disk/file_bytes.ts";

/** Bytes of the tables of trees that are kept at most. */
const MOST_TABLES = 64 * 1024 * 1024;
/** How a table is written: over what is there, and only its owner may read it. */
const OWN = { write: true, create: true, truncate: true, mode: 0o600 };

/**
 * The tables of trees that have arrived, without which nobody could tell whether they are still what they were. One that
 * is missing costs that such a tree is received before it is known again.
 */
export class KeptTables {
  readonly #folder: string;

  /** @param folder of the tables, made when it is needed. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Path of the table of a content; null when it is not kept. */
  async find(manifest: string): Promise<string | null> {
    const path = this.#at(manifest);
    return (await Deno.lstat(path).catch(() => null))?.isFile ? path : null;
  }

  /** Keeps a copy of a table; those kept longest ago go when there are too many. */
  async keep(manifest: string, path: string): Promise<void> {
    try {
      await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const { size } = await Deno.lstat(path);
      using from = await openFile(path);
      using kept = await openFile(this.#at(manifest), OWN);
      await copyStart(kept, { from, bytes: size });
      await this.#makeRoom();
    } catch {
      // What it costs to have none is little.
    }
  }

  async #makeRoom(): Promise<void> {
    const tables = [];
    for (const { name } of Deno.readDirSync(this.#folder)) {
      const path = `${this.#folder}/${name}`;
      const { size, mtime } = await Deno.lstat(path);
      tables.push({ path, size, at: mtime?.getTime() ?? 0 });
    }
    tables.sort((a, b) => b.at - a.at);
    let bytes = 0;
    for (const { path, size } of tables) {
      bytes += size;
      if (bytes > MOST_TABLES) await Deno.remove(path, { recursive: true }).catch(ignoreMissing);
    }
  }

  #at(manifest: string): string {
    return `${this.#folder}/${manifest}.table`;
  }
}
