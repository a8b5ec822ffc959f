import { dirname, join } from "node:path";
import { isOutOfDescriptors, P2PError } from "../errors.ts";
import { diskError } from "./disk_error.ts";
import { Yielder } from "../async/yielder.ts";

/** Entries that are looked at before something else gets its turn. */
const TURN = 64;

/** How a folder is gone through. */
export interface VisitOptions {
  /** Whether links are taken for what they point to. */
  follow?: boolean;
  /** Whether the first entry that cannot be had ends it; else such entries are left out and told. */
  strict?: boolean;
  /** Why an entry cannot be had, beside what the walk finds out itself; null when it can. */
  problemOf?(path: string, info: Deno.FileInfo): P2PError | null;
  /** Called with the relative path of each file and folder: folders before what is in them, by their names. */
  onEntry(path: string, info: Deno.FileInfo): void;
}

/** What a walk has left out. */
export interface LeftOut {
  /** Relative paths of what is no file and no folder: links that are not followed, sockets, devices. */
  skipped: string[];
  /** Why files and folders could not be had, each with its path. */
  failed: P2PError[];
}

/**
 * Goes through all that is below a folder. Links are skipped, or with `follow` taken for what they point to. Skipped
 * all the same is one that leads back to a folder above itself, and below a link that was followed one to a folder that
 * has been listed already: folders full of links to one another would be listed in all their permutations.
 *
 * @throws {P2PError} `disk` or `file-not-found`, naming the path, when the folder itself cannot be listed; with
 * `strict` when anything cannot be had.
 */
export async function visitTree(root: string, options: VisitOptions): Promise<LeftOut> {
  const walk = new Walk(root, options);
  await walk.start();
  return walk;
}

interface Place {
  /** Relative to the root; empty for the root. */
  path: string;
  /** Path without links; the same as `path` where links are not followed. */
  real: string;
  /** Whether a link was followed on the way. */
  isLinked: boolean;
  /** Real paths of the folders in which links were followed on the way here. */
  crossed: readonly string[];
}

class Walk implements LeftOut {
  readonly skipped: string[] = [];
  readonly failed: P2PError[] = [];
  readonly #root: string;
  readonly #options: VisitOptions;
  readonly #turns = new Yielder(TURN);
  /** Real paths of the folders that have been listed. */
  readonly #listed = new Set<string>();

  constructor(root: string, options: VisitOptions) {
    this.#root = root;
    this.#options = options;
  }

  async start(): Promise<void> {
    const real = this.#options.follow ? realPath(this.#root) : "";
    const place = { path: "", real, isLinked: false, crossed: [] };
    await this.#visit(place, list(join(this.#root, "/")));
  }

  async #visit(place: Place, entries: readonly Entry[]): Promise<void> {
    const folder = join(this.#root, place.path, "/");
    this.#listed.add(place.real);
    for (const entry of entries) {
      const turn = this.#turns.step();
      if (turn) await turn;
      const path = place.path === "" ? entry.name : `${place.path}/${entry.name}`;
      const { name, isSymlink, isText } = entry;
      const found = this.#look(place, { name, isSymlink, isText, path, at: `${folder}${name}` });
      if (!found) continue;
      this.#options.onEntry(path, found.info);
      if (found.below) await this.#visit(found.below, found.entries);
    }
  }

  /** What is at a path; undefined for what is left out. */
  #look(place: Place, entry: EntryAt): Found | undefined {
    const { path, at, isText, isSymlink } = entry;
    try {
      if (!isText) throw notUtf8(at);
      const info = this.#infoOf(at, isSymlink);
      if (info === "gone") return undefined;
      const isEntry = info !== null && (info.isFile || info.isDirectory);
      const below = isEntry && info.isDirectory ? this.#below(place, entry) : null;
      if (!isEntry || (info.isDirectory && !below)) {
        this.skipped.push(path);
        return undefined;
      }
      const problem = this.#options.problemOf?.(path, info);
      if (problem) throw problem;
      // A folder that cannot be listed is left out, and does not arrive as an empty one.
      return { info, below, entries: below ? list(join(at, "/")) : [] };
    } catch (thrown) {
      const error = diskError("read", at, thrown);
      // Nothing of what is there may be left out because others have files open.
      if (this.#options.strict || isOutOfDescriptors(error.cause)) throw error;
      this.failed.push(error);
      return undefined;
    }
  }

  /** The place of a folder; null when a link leads where the walk does not go. */
  #below(place: Place, { path, at, name, isSymlink }: EntryAt): Place | null {
    const { isLinked, crossed } = place;
    if (!this.#options.follow) return { path, real: path, isLinked, crossed };
    if (!isSymlink) return { path, real: join(place.real, name), isLinked, crossed };
    const real = realPath(at);
    const above = [...crossed, place.real];
    if (above.some((folder) => isWithin(folder, real))) return null;
    if (isLinked && this.#listed.has(real)) return null;
    return { path, real, isLinked: true, crossed: above };
  }

  /** The information of a path; null for a link that is not followed, or leads nowhere. */
  #infoOf(path: string, isLink: boolean): Deno.FileInfo | null | "gone" {
    if (isLink && !this.#options.follow) return null;
    try {
      // A round through the event loop costs more than the call, and there may be a hundred thousand files.
      return Deno.statSync(path);
    } catch (error) {
      const isMissing = error instanceof Deno.errors.NotFound;
      if (isLink && (isMissing || error instanceof Deno.errors.FilesystemLoop)) return null;
      // What was deleted since the folder was listed is not there to be sent.
      if (isMissing) return "gone";
      throw diskError("read", path, error);
    }
  }
}

interface Entry {
  name: string;
  isSymlink: boolean;
  /** False for a name that is not UTF-8: Deno shows another in its place. */
  isText: boolean;
}

interface EntryAt extends Entry {
  /** Relative to the root. */
  path: string;
  /** Where it is. */
  at: string;
}

interface Found {
  info: Deno.FileInfo;
  /** Of a folder: its place, and what is in it. */
  below: Place | null;
  entries: Entry[];
}

/** The entries of a folder by their names; synchronous, as an iteration over promises takes five times as long. */
function list(folder: string): Entry[] {
  try {
    const entries = [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
    return entries.map(({ name, isSymlink }, i) => {
      if (!name.includes("\ufffd")) return { name, isSymlink, isText: name.isWellFormed() };
      return textEntry(folder, name, name === entries[i - 1]?.name);
    });
  } catch (error) {
    throw diskError("read", folder, error);
  }
}

/**
 * An entry with a replacement character, which is in its name or stands for bytes that are not UTF-8: only in the first
 * case there is something under the name that is shown, and of several that are shown alike only one is that.
 */
function textEntry(folder: string, name: string, isAgain: boolean): Entry {
  if (isAgain) return { name, isSymlink: false, isText: false };
  try {
    const { isSymlink } = Deno.lstatSync(`${folder}${name}`);
    return { name, isSymlink, isText: true };
  } catch {
    return { name, isSymlink: false, isText: false };
  }
}

/** Whether a folder is another one or below it. */
function isWithin(folder: string, other: string): boolean {
  return join(folder, "/").startsWith(join(other, "/"));
}

function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    throw diskError("read", path, error);
  }
}

function notUtf8(path: string): P2PError {
  const folder = dirname(path);
  return new P2PError("disk", `Cannot send ${path}: its name is not UTF-8; rename it in ${folder}`);
}
