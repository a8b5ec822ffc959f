import { join, resolve } from "node:path";
import { P2PError, reasonOf } from "../errors.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { readPrivate, replacePrivate, stateError } from "../disk/private_file.ts";

/** Something that was to be sent and has not got to everybody. */
export interface Unsent {
  /** Id of this entry, for `peer resume` and `peer forget`; each try on the wire has an id of its own. */
  id: string;
  /** Path of the file or folder; absolute in what is kept. */
  path: string;
  name: string;
  /** Bytes. */
  size: number;
  /** Ids and names of those who do not have it. */
  to: { id: string; name: string }[];
  follow: boolean;
  /** Time at which the sending was begun, ISO 8601. */
  at: string;
}

/**
 * Transfers that this user's peers have not brought to everybody yet, one file each, so that what is left of one that
 * was killed or gave up can be resumed.
 */
export class Outbox {
  readonly #folder: string;

  /** @param peersFolder of this user; the outbox is below it, and is made when it is needed. */
  constructor(peersFolder: string) {
    this.#folder = join(peersFolder, "outbox");
  }

  /** Keeps a transfer, in place of those of the same path whose recipients are all among its own. */
  async put(unsent: Unsent): Promise<void> {
    const entry = { ...unsent, path: resolve(unsent.path) };
    await replacePrivate(this.#pathOf(entry.id), JSON.stringify(entry));
    await this.#forgetOthers(entry);
  }

  /** Keeps of a transfer that has ended the recipients that are `left`, and nothing when there are none. */
  async settle(sent: Unsent, left: Unsent["to"]): Promise<void> {
    const entry = { ...sent, path: resolve(sent.path) };
    if (left.length === 0) await this.remove(entry.id);
    else await replacePrivate(this.#pathOf(entry.id), JSON.stringify({ ...entry, to: left }));
    await this.#forgetOthers(entry);
  }

  /** Forgets the transfer with this id, if it is there. */
  async remove(id: string): Promise<void> {
    const path = this.#pathOf(id);
    try {
      await Deno.remove(path).catch(ignoreMissing);
    } catch (error) {
      throw stateError("write", path, error);
    }
  }

  /**
   * All transfers that are kept, oldest first; files that are not whole are passed over.
   *
   * @param onLeftOut hears why one cannot be read, or all of them.
   */
  async list(onLeftOut: (message: string) => void = () => {}): Promise<Unsent[]> {
    const entries: Unsent[] = [];
    try {
      for await (const { name } of Deno.readDir(this.#folder)) {
        if (!name.endsWith(".json")) continue;
        try {
          const entry = parse(await readPrivate(join(this.#folder, name)));
          if (entry) entries.push(entry);
        } catch (error) {
          onLeftOut(reasonOf(error));
        }
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        onLeftOut(stateError("read", this.#folder, error).message);
      }
    }
    return entries.sort((a, b) => a.at < b.at ? -1 : 1);
  }

  async #forgetOthers(entry: Unsent): Promise<void> {
    for (const other of await this.list()) {
      if (other.id !== entry.id && isCovered(other, entry)) await this.remove(other.id);
    }
  }

  #pathOf(id: string): string {
    return join(this.#folder, `${id}.json`);
  }
}

/**
 * Ends a command that could not read all notes, after it has done what it could.
 *
 * @throws {P2PError} `disk`, with the first reason.
 */
export function expectAllRead([reason]: readonly string[]): void {
  if (reason !== undefined) throw new P2PError("disk", reason);
}

/**
 * The entry whose id begins with `prefix`; all entries for `all`.
 *
 * @throws {P2PError} `usage` when no entry has it, or several have.
 */
export function chooseById<T extends { id: string }>(
  entries: readonly T[],
  prefix: string,
): readonly T[] {
  if (prefix === "all") return entries;
  const fitting = entries.filter(({ id }) => id.startsWith(prefix));
  if (fitting.length === 1) return fitting;
  const what = fitting.length === 0 ? "there is no unfinished transfer" : "there are several";
  throw new P2PError(
    "usage",
    `Cannot find ${prefix}: ${what} with that id; \`peer history\` lists them`,
    { candidates: (fitting.length === 0 ? entries : fitting).map(({ id }) => id) },
  );
}

/** Whether whoever gets `entry` has got `older` by that. */
function isCovered(older: Unsent, entry: Unsent): boolean {
  return older.path === entry.path &&
    older.to.every(({ id }) => entry.to.some((recipient) => recipient.id === id));
}

function parse(text: string | null): Unsent | null {
  try {
    const { id, path, name, size, to, follow, at } = JSON.parse(text ?? "");
    const isWhole = [id, path, name, at].every((value) => typeof value === "string") &&
      Number.isSafeInteger(size) && Array.isArray(to) &&
      to.every((entry) => typeof entry?.id === "string" && typeof entry?.name === "string");
    return isWhole ? { id, path, name, size, to, follow: follow === true, at } : null;
  } catch {
    return null;
  }
}
