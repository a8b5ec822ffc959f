import {
  malformed,
  MAX_ENTRIES,
  parseEntries,
  type TreeEntry,
  type TreeFile,
} from "./tree_table.ts";
import { type NameOptions, TreeNames } from "./tree_names.ts";

/** Bytes of a line as most are, or fewer. */
const USUAL_LINE = 48;
/** Names that became others and are told of, and UTF-16 units that one may have with its path. */
const RENAMES_TOLD = 5;
const RENAME_TOLD = 1000;

/**
 * Reads the table that somebody else made, some lines at a time, front to back. Of the entries nothing is kept but their
 * number and what {@linkcode TreeNames} keeps. Pure.
 */
export class TreePlanner {
  /** Bytes of the transfer up to here: those of the table and of the files so far. */
  end: number;
  files = 0;
  folders = 0;
  /** How many names had to become others here, not counting what is in their folders. */
  renamed = 0;
  /** Some of them, as they were offered and as they are. */
  readonly renames: { from: string; to: string }[] = [];
  readonly #names: TreeNames;

  /** @param head bytes of the table. */
  constructor(head: number, options: NameOptions) {
    this.end = head;
    this.#names = new TreeNames(options, Math.min(MAX_ENTRIES, head / USUAL_LINE));
  }

  /**
   * The entries of the next lines, with paths that are safe to create below a fresh folder.
   *
   * @param lines whole lines, each with its LF.
   * @throws {P2PError} `malformed` when they are none, `refused` when a path leads out of the tree, comes twice, or is
   * both a file and a folder; both name the path.
   */
  plan(lines: Uint8Array): (TreeEntry | TreeFile)[] {
    const entries = parseEntries(lines);
    if (this.files + this.folders + entries.length > MAX_ENTRIES) {
      throw malformed(`it has more than ${MAX_ENTRIES} entries`);
    }
    for (const entry of entries) {
      const { path: offered, size } = entry;
      entry.path = this.#names.add(offered, size === null);
      if (entry.path !== offered) this.#noteName(offered, entry.path);
      if (size === null) {
        this.folders++;
        continue;
      }
      const file = entry as TreeFile;
      file.number = this.files++;
      file.offset = this.end;
      this.end += size;
      if (!Number.isSafeInteger(this.end)) throw malformed(`'${offered}' is too large`);
    }
    return entries;
  }

  /** Notes a name that could not be kept. */
  #noteName(offered: string, path: string): void {
    const last = offered.slice(offered.lastIndexOf("/") + 1);
    if (path.slice(path.lastIndexOf("/") + 1) === last) return;
    this.renamed++;
    const isShown = this.renames.length < RENAMES_TOLD &&
      offered.length + path.length < RENAME_TOLD;
    if (isShown) this.renames.push({ from: offered, to: path });
  }
}
