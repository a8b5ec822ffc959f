/** Milliseconds within which a disk has made something durable for the next to be waited for as well. */
const AT_ONCE = 0.1;
/** The same for one that was synced aside, which takes a round through the event loop: worth a trial. */
const PROMPT = 5;
/** How many are synced aside when one that was waited for took long; each time they become twice as many. */
const ASIDE = 64;

/**
 * Makes files durable, aside while others are written. Where that takes no time, as in memory, it is done at
 * once: a round through the event loop and another thread costs more than the sync.
 */
export class AdaptiveSync {
  readonly #now: () => number;
  readonly #sync: (file: Deno.FsFile) => Promise<void>;
  readonly #syncAtOnce: (file: Deno.FsFile) => void;
  #isAtOnce = false;
  /** How many are to be synced aside before one is waited for again. */
  #left = 1;
  #next = ASIDE;

  /**
   * @param what `data` leaves out what reading does not need, such as times.
   * @param now milliseconds.
   */
  constructor(what: "data" | "all", now: () => number = () => performance.now()) {
    this.#now = now;
    const isData = what === "data";
    this.#sync = (file) => isData ? file.syncData() : file.sync();
    this.#syncAtOnce = (file) => isData ? file.syncDataSync() : file.syncSync();
  }

  /** Makes durable what was written before the call; there is a promise where that takes time. */
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
