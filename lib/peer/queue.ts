import { join } from "node:path";
import { Gate } from "../async/gate.ts";
import { ignoreMissing, syncFolder } from "../disk/folder.ts";
import { type Lock, lock, tryLock } from "../disk/lock.ts";
import {
  FOLDER_MODE,
  readEach,
  readPrivate,
  replacePrivate,
  stateError,
} from "../disk/private_file.ts";
import { P2PError } from "../errors.ts";
import {
  bytesOf,
  entryPath,
  isEntryId,
  isExpired,
  isSameAs,
  parseQueued,
  type Queued,
} from "./queued.ts";

/** Entries that wait at most, for all recipients and networks together. */
export const MAX_QUEUED = 1000;
/** Bytes that wait at most in all: 1 TiB, which are read where they are and kept nowhere else. */
export const MAX_QUEUED_BYTES = 2 ** 40;

/** What is put into the queue, for one or several recipients. */
export type ToQueue = Pick<Queued, "network" | "what"> & {
  to: readonly Queued["to"][];
  /** How long it waits, in milliseconds. */
  age: number;
  /** Where an entry for the recipient with the id stands; waiting, if nobody has tried. */
  stateOf?: (id: string) => Pick<Queued, "tries" | "state">;
};

/** What a {@linkcode Queue} takes beside its folder. */
export interface QueueOptions {
  /** The time of day, in milliseconds since 1970. */
  now?: () => number;
  maxEntries?: number;
  maxBytes?: number;
}

/**
 * What this user's peers send when their recipients come back, one private file for each thing and recipient. Several
 * processes use it: a change waits for those of others, and whoever sends an entry holds it.
 */
export class Queue {
  readonly folder: string;
  readonly #options: Required<QueueOptions>;
  /** Changes of this process; without it each would hold a thread while it waits for the lock. */
  readonly #changes = new Gate(1);

  /** @param peersFolder of this user; the queue is below it, and is made when it is needed. */
  constructor(
    peersFolder: string,
    { now = Date.now, maxEntries = MAX_QUEUED, maxBytes = MAX_QUEUED_BYTES }: QueueOptions = {},
  ) {
    this.folder = join(peersFolder, "queue");
    this.#options = { now, maxEntries, maxBytes };
  }

  /**
   * Puts something in for each of the recipients, in the place of the same for the same one. It is on the disk when this
   * resolves.
   *
   * @throws {P2PError} `usage` when too much would wait, `disk`; nothing is put in then.
   */
  async add({ network, to, what, age, stateOf }: ToQueue): Promise<Queued[]> {
    return await this.#change(async () => {
      await this.#sweep();
      const now = this.#options.now();
      const there = await this.list();
      const batch = crypto.randomUUID().slice(0, 8);
      const entries = to.map((recipient, i): Queued => ({
        id: `${batch}-${i + 1}`,
        network,
        to: { id: recipient.id, name: recipient.name },
        at: new Date(now).toISOString(),
        until: new Date(now + age).toISOString(),
        what,
        ...stateOf?.(recipient.id) ?? { tries: 0, state: { is: "waiting" } },
      }));
      const isReplaced = (older: Queued) => entries.some((entry) => isSameAs(older, entry));
      this.#expectRoom([...there.filter((older) => !isReplaced(older)), ...entries]);
      const written: Queued[] = [];
      try {
        for (const entry of entries) {
          written.push(entry);
          await this.#write(entry);
        }
      } catch (error) {
        for (const { id } of written) await this.#delete(id).catch(() => {});
        throw error;
      }
      for (const { id } of there.filter(isReplaced)) await this.#delete(id);
      return entries;
    });
  }

  /**
   * All that waits, oldest first; files that are no entries, or no whole ones, are passed over.
   *
   * @param onLeftOut hears why one cannot be read, or all of them.
   */
  async list(onLeftOut: (message: string) => void = () => {}): Promise<Queued[]> {
    const read = async (name: string) => {
      const id = name.replace(/\.json$/, "");
      return id !== name && isEntryId(id) ? await this.get(id) : null;
    };
    const entries = await readEach(this.folder, read, onLeftOut);
    const order = ({ at, id }: Queued) => `${at} ${id.slice(0, 9)}${id.slice(9).padStart(6)}`;
    return entries.sort((a, b) => order(a) < order(b) ? -1 : 1);
  }

  /** The entry with the id, if it waits still. */
  async get(id: string): Promise<Queued | null> {
    const entry = parseQueued(await readPrivate(entryPath(this.folder, id)));
    return entry?.id === id ? entry : null;
  }

  /** Replaces an entry; false when it has been taken out meanwhile, and stays so. */
  async replace(entry: Queued): Promise<boolean> {
    return await this.#change(async () => {
      if (!await this.get(entry.id)) return false;
      await this.#write(entry);
      return true;
    });
  }

  /** Takes an entry out; false when it is not there. */
  async remove(id: string): Promise<boolean> {
    return await this.#change(() => this.#delete(id));
  }

  /**
   * Takes out what has waited for too long, but for what is just being sent.
   *
   * @param network the one whose entries these are; all of them when it is not said.
   * @returns what was taken out.
   */
  async expire(network?: string): Promise<Queued[]> {
    const expired = (await this.list()).filter((entry) =>
      (network === undefined || entry.network === network) &&
      isExpired(entry, this.#options.now())
    );
    const removed: Queued[] = [];
    for (const entry of expired) {
      using held = await this.hold(entry.id);
      if (held && await this.remove(entry.id)) removed.push(entry);
    }
    return removed;
  }

  /** Takes hold of an entry, to send it; null while another peer has it, in this process or another. */
  async hold(id: string): Promise<Lock | null> {
    return await this.#held(() => tryLock(join(this.folder, `${id}.lock`)));
  }

  /** Says that a peer of a network delivers what waits, until the lock is given back; null where another has said so. */
  async announce(network: string): Promise<Lock | null> {
    return await this.#held(() => tryLock(this.#marker(network)));
  }

  /** Whether a peer of a network is running that delivers what waits. */
  async isServed(network: string): Promise<boolean> {
    using free = await this.announce(network);
    return free === null;
  }

  #expectRoom(entries: readonly Queued[]): void {
    const { maxEntries, maxBytes } = this.#options;
    const remedy = "`peer queue` lists what waits, and `peer queue cancel` makes room";
    if (entries.length > maxEntries) {
      const what = `${entries.length} entries would wait, and at most ${maxEntries} may`;
      throw new P2PError("usage", `Cannot queue: ${what}; ${remedy}`);
    }
    const bytes = entries.reduce((sum, entry) => sum + bytesOf(entry), 0);
    if (bytes > maxBytes) {
      const what = `${bytes} bytes would wait in all, and at most ${maxBytes} may`;
      throw new P2PError("usage", `Cannot queue: ${what}; ${remedy}`);
    }
  }

  /** Removes what killed processes have left: files that were not renamed yet, and locks of what has gone. */
  async #sweep(): Promise<void> {
    const names = new Set(await Array.fromAsync(Deno.readDir(this.folder), ({ name }) => name));
    for (const name of names) {
      const id = name.replace(/\.lock$/, "");
      const isLeft = name.endsWith(".tmp") || isEntryId(id) && !names.has(`${id}.json`);
      if (isLeft) await Deno.remove(join(this.folder, name)).catch(() => {});
    }
  }

  #write(entry: Queued): Promise<void> {
    return replacePrivate(entryPath(this.folder, entry.id), JSON.stringify(entry));
  }

  async #delete(id: string): Promise<boolean> {
    const path = entryPath(this.folder, id);
    try {
      const isThere = await Deno.remove(path).then(() => true, ignoreMissing) ?? false;
      // A lock of what has gone keeps nobody out any more.
      await Deno.remove(join(this.folder, `${id}.lock`)).catch(() => {});
      await syncFolder(this.folder);
      return isThere;
    } catch (error) {
      throw stateError("write", path, error);
    }
  }

  #change<T>(change: () => Promise<T>): Promise<T> {
    return this.#changes.run(async () => {
      using _ = await this.#held(() => lock(join(this.folder, "lock")));
      return await change();
    });
  }

  async #held<T extends Lock | null>(take: () => Promise<T>): Promise<T> {
    try {
      await Deno.mkdir(this.folder, { recursive: true, mode: FOLDER_MODE });
      return await take();
    } catch (error) {
      throw stateError("use", this.folder, error);
    }
  }

  #marker(network: string): string {
    return join(this.folder, `running ${encodeURIComponent(network)}.lock`);
  }
}
