/**
 * The table of a tree: what is in a folder that is sent, one line of JSON for each file and folder, in the
 * order in which the files' bytes follow. PROTOCOL.md, "Trees", is the normative text. What becomes of a table that somebody
 * else made is in tree_planner.ts and tree_plan.ts. Pure.
 *
 * @module
 */

import { P2PError } from "../errors.ts";

/** The cap of the wire, for those who make tables and know nothing of frames. */
export { MAX_TABLE, MAX_TABLE_LINE } from "../wire/limits.ts";

/** Most entries of a table. */
export const MAX_ENTRIES = 1024 * 1024;
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
  /** Files that stand before it in the table. */
  number: number;
  /** Bytes of the transfer before the file: those of the table and of the files before it. */
  offset: number;
}

/** The files of a tree, for whoever tells how far a transfer is. */
export interface FileCount {
  readonly count: number;
  /** Files that are complete when the first `bytes` of the transfer are there. */
  within(bytes: number): number;
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

/**
 * The entries of some lines of a table, with their paths as they were offered.
 *
 * @param lines whole lines, each with its LF.
 * @throws {P2PError} `malformed` when they are none.
 */
export function parseEntries(lines: Uint8Array): TreeEntry[] {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(lines);
  } catch {
    throw malformed("it is not UTF-8");
  }
  const entries = text.split("\n");
  if (entries.pop() !== "") throw malformed("it does not end with a line");
  return entries.map(parseEntry);
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

/**
 * The names that a path consists of.
 *
 * @throws {P2PError} `refused` when it leads out of the tree, or is too deep or too long.
 */
export function componentsOf(path: string): string[] {
  const components = path.split("/");
  const isOut = components.some((name) => name === "" || name === "." || name === "..");
  if (isOut || path.includes("\0")) throw refused(path, "it leads out of the tree");
  if (isTooDeep(path, components.length)) throw refused(path, "it is too deep");
  return components;
}

/** The error of a table that is none. */
export function malformed(why: string): P2PError {
  return new P2PError("malformed", `Cannot read the table of a tree: ${why}`);
}

/** The error of a path that is not created. */
export function refused(path: string, why: string): P2PError {
  return new P2PError("refused", `Cannot receive '${path}' of a tree: ${why}`);
}
