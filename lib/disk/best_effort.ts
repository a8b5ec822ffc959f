import { dateOf } from "./file_time.ts";
import { syncFolder } from "./folder.ts";
import { tellOnce } from "../tell_once.ts";
import { isUnable } from "./unable.ts";

/**
 * What is done to files and folders of ours where the disk can: modes, times, syncs of folders. A disk that refuses
 * one of them, as FAT, exFAT, CIFS and some of FUSE do, is told of once, and what arrives is kept all the same. Any
 * other failure is thrown.
 */
export class BestEffort {
  readonly #folder: string;
  readonly #tell: (text: string) => void;

  /** @param folder on the disk, which the texts name. */
  constructor(folder: string, notice: (text: string) => void = () => {}) {
    this.#folder = folder;
    this.#tell = tellOnce(notice);
  }

  /** Gives a file or folder its mode. */
  setMode(path: string, mode: number): void {
    if (Deno.build.os === "windows") return;
    try {
      Deno.chmodSync(path, mode);
    } catch (error) {
      if (!isUnable(error)) throw error;
      this.tellOfModes();
    }
  }

  /** Says that the disk keeps no modes. */
  tellOfModes(): void {
    this.#tell(
      `The disk of ${this.#folder} does not let modes be set: ` +
        "what arrives there has those that the disk gives it, and so has what is being received",
    );
  }

  /** Says that the disk has no locks. */
  tellOfLocks(): void {
    this.#tell(
      `The disk of ${this.#folder} has no locks: ` +
        "let no second peer with the same identity receive there at the same time",
    );
  }

  /** Gives a file or folder, or an open file, the time of its last write, in milliseconds since 1970. */
  setTime(of: string | Deno.FsFile, mtime: number): void {
    try {
      if (typeof of === "string") Deno.utimeSync(of, new Date(), dateOf(mtime));
      else of.utimeSync(new Date(), dateOf(mtime));
    } catch (error) {
      if (!isUnable(error)) throw error;
      this.#tell(
        `The disk of ${this.#folder} does not let times be set: ` +
          "what arrives there has the time at which it came",
      );
    }
  }

  /** Makes the names in a folder durable. */
  async syncFolder(path: string): Promise<void> {
    if (await syncFolder(path)) return;
    this.#tell(
      `The disk of ${this.#folder} cannot sync folders: ` +
        "a power cut may take the names of what has just arrived there",
    );
  }
}
