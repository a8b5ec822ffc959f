import { join } from "node:path";
import { patiently } from "./descriptors.ts";
import { nameKey, numberedName } from "./file_name.ts";
import { timeOf } from "./file_time.ts";
import { isThere } from "./folder.ts";

/**
 * The names in a folder that many things are put into, one after another. The folder is listed at first, and again
 * when its time says that somebody else has changed it: with 100 000 entries a listing for each new file would take
 * longer than the file. A change that its time does not show costs nothing that was there, as {@linkcode take} never
 * replaces anything.
 */
export class FreeNames {
  readonly #folder: string;
  /** Keys of the names that are there. */
  readonly #taken = new Set<string>();
  /** Number of the next free name, and the name that was taken last, by the key of the name without a number. */
  readonly #next = new Map<string, { number: number; last: string }>();
  /** Time of the folder's last change when the names were those, milliseconds; null before they were listed. */
  #asOf: number | null = null;
  /** Names that are being taken: each changes the folder's time. */
  #taking = 0;
  /** Resolves when the names are known; the first of several that are taken at once sees to it. */
  #known: Promise<void> = Promise.resolve();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Calls `take` with one free name after another, `name`, `name (1)` ..., until it says that it could have
   * it. Names that differ from one that is there in case or normalisation only are not free: elsewhere they
   * would be one file.
   */
  async take(
    name: string,
    take: (name: string, path: string) => Promise<boolean>,
  ): Promise<{ name: string; path: string }> {
    if (this.#taking++ === 0) this.#known = this.#refresh(name);
    try {
      await this.#known;
      while (true) {
        const candidate = this.#reserve(name);
        const path = join(this.#folder, candidate);
        if (await take(candidate, path)) return { name: candidate, path };
      }
    } catch (error) {
      // The name that it failed with may be free.
      this.#asOf = null;
      throw error;
    } finally {
      if (--this.#taking === 0 && this.#asOf !== null) this.#asOf = changedAt(this.#folder);
    }
  }

  /** The first free name, which is not free from now on. */
  #reserve(name: string): string {
    const key = nameKey(name);
    for (let number = this.#next.get(key)?.number ?? 0;; number++) {
      const candidate = numberedName(name, number);
      const candidateKey = nameKey(candidate);
      if (this.#taken.has(candidateKey)) continue;
      this.#taken.add(candidateKey);
      this.#next.set(key, { number: number + 1, last: candidate });
      return candidate;
    }
  }

  async #refresh(name: string): Promise<void> {
    const time = changedAt(this.#folder);
    const last = this.#next.get(nameKey(name))?.last;
    // What goes within the tick of the clock in which it came leaves the folder's time as it is.
    const isGone = last !== undefined && !await isThere(join(this.#folder, last));
    if (this.#asOf !== null && time === this.#asOf && !isGone) return;
    // Within the call: an iteration over promises takes five times as long.
    const entries = await patiently(() => [...Deno.readDirSync(this.#folder)]);
    this.#taken.clear();
    this.#next.clear();
    for (const { name } of entries) this.#taken.add(nameKey(name));
    this.#asOf = time;
  }
}

/** The time of a folder's last change in milliseconds; null where it has none, or is gone. */
function changedAt(folder: string): number | null {
  try {
    return timeOf(Deno.statSync(folder).mtime);
  } catch {
    return null;
  }
}
