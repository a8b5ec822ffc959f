import { join } from "node:path";
import { Gate } from "../async/gate.ts";
import { P2PError } from "../errors.ts";

/** Names of what this program keeps beside the files, journals, tables and receipts: they do not count. */
const NOTES = /^(?:[0-9a-f-]{36}\.(?:journal|table|table\.new)|receipts\.jsonl)$/;

/** Bytes of a block in `Deno.FileInfo.blocks`, whatever the file system's own are. */
const BLOCK = 512;

/**
 * The bytes that a folder may hold in all, hidden files and partials included. The folder is counted at the start, and
 * again before anything is turned down, as somebody may have made room; a count of each request would take too long.
 */
export class Quota {
  readonly #folder: string;
  readonly #limit: number;
  /** Bytes that the folder holds at most: those that were counted last, and those that were granted since. */
  #used: number;
  /** One request after another: each counts on what the one before it was granted. */
  readonly #requests = new Gate(1);

  private constructor(folder: string, limit: number, used: number) {
    this.#folder = folder;
    this.#limit = limit;
    this.#used = used;
  }

  /** Counts what is in the folder, which has to be there. */
  static async open(folder: string, limit: number): Promise<Quota> {
    return new Quota(folder, limit, await bytesIn(folder));
  }

  /**
   * Grants `bytes` more, beside the `promised` ones that were granted earlier and are still to come.
   *
   * @param promised is asked when the folder is counted, which is later than the call.
   * @param onGranted takes note that they are promised from now on, before anybody else is granted something.
   * @throws {P2PError} `quota` when they do not fit.
   */
  grant(bytes: number, promised: () => number, onGranted: () => void = () => {}): Promise<void> {
    return this.#requests.run(async () => {
      if (this.#used + bytes > this.#limit) await this.#count(promised);
      if (this.#used + bytes > this.#limit) throw this.#exceeded(bytes);
      this.#used += bytes;
      onGranted();
    });
  }

  /** Bytes that may come beside the `promised` ones: the most that a stream, whose size nobody knows, may bring. */
  room(promised: () => number): Promise<number> {
    return this.#requests.run(async () => {
      await this.#count(promised);
      return Math.max(0, this.#limit - this.#used);
    });
  }

  async #count(promised: () => number): Promise<void> {
    this.#used = await bytesIn(this.#folder) + promised();
  }

  #exceeded(bytes: number): P2PError {
    const room = Math.max(0, this.#limit - this.#used);
    return new P2PError(
      "quota",
      `Cannot receive ${bytes} bytes: the receiver's quota of ${this.#limit} leaves ${room}; ` +
        "make room in its inbox and send again",
    );
  }
}

/** Bytes of all files below a folder; links are not followed, and a file with two names counts once. */
async function bytesIn(folder: string, seen = new Set<string>()): Promise<number> {
  let bytes = 0;
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    if (NOTES.test(name)) continue;
    const path = join(folder, name);
    if (isDirectory) bytes += await bytesIn(path, seen).catch(ignoreMissing);
    else if (isFile) bytes += await bytesOf(path, seen).catch(ignoreMissing);
  }
  return bytes;
}

async function bytesOf(path: string, seen: Set<string>): Promise<number> {
  const { size, blocks, nlink, dev, ino } = await Deno.lstat(path);
  if ((nlink ?? 1) > 1) {
    const key = `${dev} ${ino}`;
    if (seen.has(key)) return 0;
    seen.add(key);
  }
  // A file with holes, as a partial may be, takes less room than its size says.
  return blocks === null ? size : Math.min(size, blocks * BLOCK);
}

/** For `catch`: nothing for a file that was published or removed meanwhile; the next count has it right. */
function ignoreMissing(error: unknown): number {
  if (error instanceof Deno.errors.NotFound) return 0;
  throw error;
}
