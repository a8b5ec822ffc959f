import { legalComponent, nameKey, numberedName, safeComponent } from "../disk/file_name.ts";
import type { NameRules } from "../disk/name_rules.ts";
import { NameTable } from "./name_table.ts";
import { componentsOf, malformed, refused } from "./tree_table.ts";

/** Names of one folder that may become the same safe name, before the tree is refused. */
const MAX_CLASHES = 1000;

/** Marks of what is listed, beside the number of a folder: a file, and a name that has stayed as it was offered. */
const FILE = 1 << 30;
const KEPT = 1 << 31;
const NUMBER = FILE - 1;

/** What the file system does with names; where it is not said that it keeps them, they are made legal everywhere. */
export type NameOptions = Pick<NameRules, "foldsCase"> & Partial<NameRules>;

/** A folder that is on the way to others. */
interface Place {
  /** As it was offered. */
  name: string;
  /** Safe path; empty for the root. */
  path: string;
  number: number;
}

/**
 * The paths that the entries of a tree get: every component becomes a safe name, and names that the file system would
 * take for one are numbered. Of each entry a few numbers are kept and no text, as there may be a million.
 */
export class TreeNames {
  readonly #options: NameOptions;
  /** Folders (by their number) and files that have been added, by the names that the sender gave. */
  readonly #listed: NameTable;
  /**
   * Names that are taken, each with the number that the next one of the same name is tried with; not those of entries
   * that are listed under this very name.
   */
  readonly #taken = new NameTable();
  /** The number in the name of each folder, by the folder's own: 1 for `a (1)`, 0 for `a`. */
  #numbers = new Uint16Array(64);
  #folders = 0;
  /** The folders around the entry that was added last: mostly those around the next one as well. */
  readonly #way: Place[] = [{ name: "", path: "", number: 0 }];

  /** @param expected entries that there will be, more or less. */
  constructor(options: NameOptions, expected = 0) {
    this.#options = options;
    this.#listed = new NameTable(expected);
  }

  /**
   * Adds a folder, or a file; returns its safe path.
   *
   * @throws {P2PError} `malformed` when its folder has not been added; `refused` when the path leads out of the tree,
   * comes twice, or is both a file and a folder.
   */
  add(offered: string, isFolder: boolean): string {
    const components = componentsOf(offered);
    const name = components.pop() as string;
    const parent = this.#placeOf(components, offered);
    if (this.#listed.get(parent.number, name) !== 0) throw refused(offered, "it comes twice");
    const { safe, number, isKept } = this.#take(parent.number, name);
    const what = isFolder ? this.#addFolder(number) : FILE;
    this.#listed.set(parent.number, name, isKept ? what | KEPT : what);
    return below(parent, safe);
  }

  #addFolder(number: number): number {
    const folder = ++this.#folders;
    if (folder === this.#numbers.length) {
      const larger = new Uint16Array(2 * folder);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[folder] = number;
    return folder;
  }

  /** The folder with these components. */
  #placeOf(components: readonly string[], offered: string): Place {
    const way = this.#way;
    let depth = 0;
    while (depth < components.length && way[depth + 1]?.name === components[depth]) depth++;
    way.length = depth + 1;
    let place = way[depth] as Place;
    for (const name of components.slice(depth)) {
      const found = this.#listed.get(place.number, name);
      if (found === 0) throw malformed(`'${offered}' stands before its folder`);
      if ((found & FILE) !== 0) throw refused(offered, `'${name}' is a file there as well`);
      const number = found & NUMBER;
      const safe = numberedName(this.#safe(name), this.#numbers[number] as number);
      place = { name, path: below(place, safe), number };
      way.push(place);
    }
    return place;
  }

  /** Makes a safe name of one, which nothing else in this folder has. */
  #take(folder: number, name: string): { safe: string; number: number; isKept: boolean } {
    const first = this.#safe(name);
    const firstKey = this.#keyOf(first);
    for (let number = this.#next(folder, firstKey); number < MAX_CLASHES; number++) {
      const safe = numberedName(first, number);
      const key = number === 0 ? firstKey : this.#keyOf(safe);
      if (number > 0 && this.#next(folder, key) > 0) continue;
      const isKept = key === name;
      if (!isKept) this.#taken.set(folder, key, 1);
      if (number > 0) this.#taken.set(folder, firstKey, number + 1);
      return { safe, number, isKept };
    }
    throw refused(first, "too many names become this one");
  }

  /** The number that a name is tried with: 0 when it is free. */
  #next(folder: number, key: string): number {
    const next = this.#taken.get(folder, key);
    if (next !== 0) return next;
    return (this.#listed.get(folder, key) & KEPT) === 0 ? 0 : 1;
  }

  #safe(name: string): string {
    return this.#options.keepsNames ? legalComponent(name) : safeComponent(name);
  }

  #keyOf(name: string): string {
    return this.#options.foldsCase ? nameKey(name) : name;
  }
}

function below({ path }: Place, name: string): string {
  return path === "" ? name : `${path}/${name}`;
}
