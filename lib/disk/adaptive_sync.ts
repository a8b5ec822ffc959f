/** Milliseconds that a sync within the call may take for the next one to be made within the call as well. */
const AT_ONCE = 0.1;
/**
 * Milliseconds that a sync aside may take, its round through the event loop included, for the next one to be tried
 * within the call.
 */
const PROMPT = 5;
/** Syncs that are made aside after one within the call took too long; twice as many after each further one. */
const ASIDE = 64;

/**
 * Syncs of files in whichever of two ways is cheaper on the disk that they are on. Aside, on another thread while other
 * files are written, is right where a sync takes milliseconds. Within the call is right where it takes none, as in
 * memory or behind a write cache: there the round through the event loop costs more than the sync. Which of them it is
 * shows as it goes on.
 */
export class AdaptiveSync {
  readonly #now: () => number;
  readonly #sync: (file: Deno.FsFile) => Promise<void>;
  readonly #syncAtOnce: (file: Deno.FsFile) => void;
  #isAtOnce = false;
  /** Syncs that are still to be made aside before one may be tried within the call. */
  #left = 1;
  /** What {@linkcode #left} becomes the next time that one within the call takes too long. */
  #next = ASIDE;

  /**
   * @param what `data` leaves out what reading the file does not need, such as its times.
   * @param now milliseconds since an arbitrary start.
   */
  constructor(what: "data" | "all", now: () => number = () => performance.now()) {
    this.#now = now;
    const isData = what === "data";
    this.#sync = (file) => isData ? file.syncData() : file.sync();
    this.#syncAtOnce = (file) => isData ? file.syncDataSync() : file.syncSync();
  }

  /** Makes durable what was written to the file before the call; a promise where that is done aside. */
  sync(file: Deno.FsFile): Promise<void> | undefined {
    if (!this.#isAtOnce) return this.#syncAside(file);
    const began = this.#now();
    this.#syncAtOnce(file);
    if (this.#now() - began < AT_ONCE) return undefined;
    this.#isAtOnce = false;
    this.#left = this.#next;
    this.#next *= 2;
    return undefined;
  }

  async #syncAside(file: Deno.FsFile): Promise<void> {
    const began = this.#now();
    await this.#sync(file);
    this.#left--;
    if (this.#left <= 0 && this.#now() - began < PROMPT) this.#isAtOnce = true;
  }
}
