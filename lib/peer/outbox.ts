import { join, resolve } from "node:path";
import { P2PError } from "../errors.ts";
import { readPrivate, replacePrivate } from "../disk/private_file.ts";

/** Something that was to be sent and has not got to everybody. */
export interface Unsent {
  /** The transfer's id. */
  id: string;
  /** Absolute. */
  path: string;
  name: string;
  /** Bytes. */
  size: number;
  /** Ids of those who do not have it. */
  to: { id: string; name: string }[];
  follow: boolean;
  /** When it was begun, ISO 8601. */
  at: string;
}

/**
 * What this user's peers are sending, one file each until everybody has it: what is left of one that was
 * killed or gave up can be resumed.
 */
export class Outbox {
  readonly #folder: string;

  /** Below the folder of this user's peers. */
  constructor(peersFolder: string) {
    this.#folder = join(peersFolder, "outbox");
  }

  /** Keeps it, in place of what was kept of the same path for some of its recipients. */
  async put(unsent: Unsent): Promise<void> {
    const entry = { ...unsent, path: resolve(unsent.path) };
    await replacePrivate(this.#pathOf(entry.id), JSON.stringify(entry));
    await this.#forgetOthers(entry);
  }

  /** It has been sent: keeps those who are `left`, in place of what was kept of it and the same before. */
  async settle(sent: Unsent, left: Unsent["to"]): Promise<void> {
    const entry = { ...sent, path: resolve(sent.path) };
    if (left.length === 0) await this.remove(entry.id);
    else await replacePrivate(this.#pathOf(entry.id), JSON.stringify({ ...entry, to: left }));
    await this.#forgetOthers(entry);
  }

  /** Forgets the one with this id. */
  async remove(id: string): Promise<void> {
    await Deno.remove(this.#pathOf(id)).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }

  /** All of them, oldest first. */
  async list(): Promise<Unsent[]> {
    const entries: Unsent[] = [];
    try {
      for await (const { name } of Deno.readDir(this.#folder)) {
        const entry = name.endsWith(".json") && parse(await readPrivate(join(this.#folder, name)));
        if (entry) entries.push(entry);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
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
 * Those whose id begins with `prefix`; all of them for `all`.
 *
 * @throws {P2PError} `usage` when there is none, or several.
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
