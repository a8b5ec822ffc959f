/**
 * The table of a tree: what is in a folder that is sent, one line of JSON for each file and folder, in the
 * order in which the files' bytes follow. PROTOCOL.md, "Trees", is the normative text. Pure.
 *
 * @module
 */

import { P2PError } from "../errors.ts";
import { legalComponent, nameKey, numberedName, safeComponent } from "../disk/file_name.ts";
import { yieldTurn } from "../async/yielder.ts";

/** The cap of the wire, for those who make tables and know nothing of frames. */
export { MAX_TABLE } from "../wire/limits.ts";

/** Most entries of a table. */
export const MAX_ENTRIES = 1024 * 1024;
/** Names of one folder that may become the same safe name, before the tree is refused. */
const MAX_CLASHES = 1000;
/** Names that became others and are told of, and UTF-16 units that one may have with its path. */
const RENAMES_TOLD = 5;
const RENAME_TOLD = 1000;
/** Entries that are planned between two turns of the event loop. */
const TURN = 4096;
/** Folders inside folders at most: deeper paths are refused. */
const MAX_DEPTH = 100;
/** Bytes of one path at most. */
const MAX_PATH = 4096;

/** A folder below the one that is sent, or a file in it. */
export interface TreeEntry {
  /** Relative, with `/`. */
  path: string;
  /** Bytes; null for a folder. */
  size: number | null;
  /** Milliseconds since 1970. */
  mtime: number;
  /** Whether the owner may execute the file. */
  executable: boolean;
  /** Permissions that it must not get more than; absent when everybody may read it. */
  mode?: number | undefined;
}

const encoder = new TextEncoder();

/** A file of a tree, and where its bytes are in the transfer. */
export interface TreeFile extends TreeEntry {
  size: number;
  /** Bytes of the transfer before the file: those of the table and of the files before it. */
  offset: number;
}

/** The files of a tree, for whoever tells how far a transfer is. */
export interface FileCount {
  readonly count: number;
  /** Files that are complete when the first `bytes` of the transfer are there. */
  within(bytes: number): number;
}

/** A table as it is carried out: with paths that are safe to create below a fresh folder. */
export interface TreePlan {
  folders: TreeEntry[];
  files: TreeFile[];
  /** Bytes of the transfer: those of the table and of all files. */
  end: number;
  /** How many names had to become others here, not counting what is in their folders. */
  renamed: number;
  /** Some of them, as they were offered and as they are. */
  renames: { from: string; to: string }[];
}

/** What planning a tree depends on beside its table. */
export interface PlanOptions {
  /** Whether names that differ in case or normalisation only are one name here. */
  foldsCase: boolean;
  /** Whether names are kept that are legal here and not everywhere. */
  keepsNames?: boolean;
}

/** A table that is being made: entry by entry, a folder before what is in it. */
export class TableWriter {
  #bytes = new Uint8Array(64 * 1024);
  #length = 0;

  /** The bytes of the entries that have been added; valid until the next one is. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Adds the line of an entry. */
  add({ path, size, mtime, executable, mode }: TreeEntry): void {
    const fields: unknown[] = size === null
      ? ["folder", path, mtime]
      : ["file", path, mtime, size, executable];
    if (mode !== undefined) fields.push(mode);
    const line = `${JSON.stringify(fields)}\n`;
    const most = this.#length + 3 * line.length;
    if (most > this.#bytes.length) {
      const larger = new Uint8Array(2 * most);
      larger.set(this.bytes);
      this.#bytes = larger;
    }
    this.#length += encoder.encodeInto(line, this.#bytes.subarray(this.#length)).written;
  }
}

/** The bytes of a table. */
export function encodeTable(entries: readonly TreeEntry[]): Uint8Array<ArrayBuffer> {
  const table = new TableWriter();
  for (const entry of entries) table.add(entry);
  return table.bytes;
}

/**
 * Reads the table that somebody else made. Every component of every path becomes a safe name; names that
 * the file system would take for one are numbered.
 *
 * @throws {P2PError} `malformed` when it is no table, `refused` when a path leads out of the tree, comes
 * twice, or is both a file and a folder; both name the path.
 */
export function planTree(table: Uint8Array, options: PlanOptions): TreePlan {
  const planning = planSteps(table, options);
  while (true) {
    const { value, done } = planning.next();
    if (done) return value;
  }
}

/** Plans a tree as {@linkcode planTree} does, with turns of the event loop in between: a table may be long. */
export async function planTreeInTurns(
  table: Uint8Array,
  options: PlanOptions,
): Promise<TreePlan> {
  const planning = planSteps(table, options);
  while (true) {
    const { value, done } = planning.next();
    if (done) return value;
    await yieldTurn();
  }
}

function* planSteps(table: Uint8Array, options: PlanOptions): Generator<void, TreePlan> {
  const root = new Node("", options);
  const plan: TreePlan = { folders: [], files: [], end: table.length, renamed: 0, renames: [] };
  for (const [i, line] of decodeLines(table).entries()) {
    if (i % TURN === TURN - 1) yield;
    const { path: offered, size, mtime, executable, mode } = parseEntry(line);
    const limit = mode === undefined ? {} : { mode };
    const components = componentsOf(offered);
    const last = components.pop() as string;
    const parent = components.reduce((node, name) => node.folder(name, offered), root);
    if (size === null) {
      const { path } = parent.addFolder(last, offered);
      noteName(plan, { last, offered, path });
      plan.folders.push({ path, size, mtime, executable, ...limit });
    } else {
      const path = parent.addFile(last, offered);
      noteName(plan, { last, offered, path });
      plan.files.push({ path, size, mtime, executable, offset: plan.end, ...limit });
      plan.end += size;
      if (!Number.isSafeInteger(plan.end)) throw malformed(`'${offered}' is too large`);
    }
  }
  return plan;
}

/** Notes a name that could not be kept. */
function noteName(
  plan: TreePlan,
  { last, offered, path }: { last: string; offered: string; path: string },
): void {
  if (path === last || path.endsWith(`/${last}`)) return;
  plan.renamed++;
  const isShown = plan.renames.length < RENAMES_TOLD && offered.length + path.length < RENAME_TOLD;
  if (isShown) plan.renames.push({ from: offered, to: path });
}

/** The index of the file that has the byte at `offset` of the transfer, or else of the next file. */
export function fileAt(
  files: readonly { offset: number; size: number }[],
  offset: number,
): number {
  let [low, high] = [0, files.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const file = files[middle];
    if (file && file.offset + file.size <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A folder of the tree while it is planned. */
class Node {
  /** Safe, relative; empty for the root. */
  readonly path: string;
  readonly #options: PlanOptions;
  /** Folders by the name that the sender gave, and null for each file; made when the first entry comes. */
  #children: Map<string, Node | null> | undefined;
  /** Names that are taken, each with the number that the next one of the same name is tried with. */
  #taken: Map<string, number> | undefined;

  constructor(path: string, options: PlanOptions) {
    this.path = path;
    this.#options = options;
  }

  /** The folder of that name in this one; throws when no line has announced it. */
  folder(name: string, path: string): Node {
    const child = this.#children?.get(name);
    if (child) return child;
    throw child === null
      ? refused(path, `'${name}' is a file there as well`)
      : malformed(`'${path}' stands before its folder`);
  }

  addFolder(name: string, path: string): Node {
    this.#expectNew(name, path);
    const node = new Node(this.#takeName(name), this.#options);
    (this.#children ??= new Map()).set(name, node);
    return node;
  }

  addFile(name: string, path: string): string {
    this.#expectNew(name, path);
    (this.#children ??= new Map()).set(name, null);
    return this.#takeName(name);
  }

  #expectNew(name: string, path: string): void {
    if (this.#children?.has(name)) throw refused(path, "it comes twice");
  }

  /** Makes a safe path of the name, one that nothing else in this folder has. */
  #takeName(name: string): string {
    const safe = this.#options.keepsNames ? legalComponent(name) : safeComponent(name);
    const taken = this.#taken ??= new Map();
    const first = this.#keyOf(safe);
    for (let number = taken.get(first) ?? 0; number < MAX_CLASHES; number++) {
      const candidate = numberedName(safe, number);
      const key = this.#keyOf(candidate);
      if (taken.has(key)) continue;
      taken.set(key, 1);
      taken.set(first, number + 1);
      return this.path === "" ? candidate : `${this.path}/${candidate}`;
    }
    throw refused(safe, "too many names become this one");
  }

  #keyOf(name: string): string {
    return this.#options.foldsCase ? nameKey(name) : name;
  }
}

function decodeLines(table: Uint8Array): string[] {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(table);
  } catch {
    throw malformed("it is not UTF-8");
  }
  const lines = text.split("\n", MAX_ENTRIES + 2);
  if (lines.length > MAX_ENTRIES + 1) throw malformed(`it has more than ${MAX_ENTRIES} entries`);
  if (lines.pop() !== "") throw malformed("it does not end with a line");
  return lines;
}

function parseEntry(line: string): TreeEntry {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = null;
  }
  const fields: unknown[] = Array.isArray(value) ? value : [];
  const [kind, path, mtime, size, executable] = fields;
  if (typeof path !== "string" || !isSafeInteger(mtime)) {
    throw malformed("an entry has no path or no time");
  }
  if (kind === "folder") {
    return { path, mtime, size: null, executable: false, ...parseMode(fields[3], path) };
  }
  const isSize = isSafeInteger(size) && size >= 0;
  if (kind !== "file" || !isSize || typeof executable !== "boolean") {
    throw malformed(`the entry of '${path}' is wrong`);
  }
  return { path, mtime, size, executable, ...parseMode(fields[5], path) };
}

function parseMode(mode: unknown, path: string): { mode?: number } {
  if (mode === undefined) return {};
  if (isSafeInteger(mode) && mode >= 0 && mode <= 0o777) return { mode };
  throw malformed(`the mode of '${path}' is wrong`);
}

function isSafeInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

/** Why a path is too much for a table; null when it is not. */
export function pathProblem(path: string): string | null {
  // Nearly all paths are too short to be too deep or too long.
  if (path.length <= 2 * MAX_DEPTH) return null;
  return isTooDeep(path, path.split("/").length) ? "it is too deep" : null;
}

function isTooDeep(path: string, depth: number): boolean {
  // A UTF-16 unit has at most 3 bytes in UTF-8: most paths need not be encoded to know.
  const isLong = path.length > MAX_PATH / 3 && encoder.encode(path).length > MAX_PATH;
  return depth > MAX_DEPTH || isLong;
}

function componentsOf(path: string): string[] {
  const components = path.split("/");
  const isOut = components.some((name) => name === "" || name === "." || name === "..");
  if (isOut || path.includes("\0")) throw refused(path, "it leads out of the tree");
  if (isTooDeep(path, components.length)) throw refused(path, "it is too deep");
  return components;
}

function malformed(why: string): P2PError {
  return new P2PError("malformed", `Cannot read the table of a tree: ${why}`);
}

function refused(path: string, why: string): P2PError {
  return new P2PError("refused", `Cannot receive '${path}' of a tree: ${why}`);
}
