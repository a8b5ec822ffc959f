/**
 * Folders to be sent: as they are on disk, as the bytes of a transfer, and how to compare them.
 *
 * @module
 */

import { dirname, join } from "@std/path";
import { encodeTable, type TreeEntry } from "../../lib/pieces/tree_table.ts";
import { hexHash } from "./invariants.ts";
import { bytesOf } from "./random.ts";

/** A time in the past with milliseconds that every file system keeps. */
export const LONG_AGO = Date.UTC(2001, 1, 3, 4, 5, 6);

/** What is at one path: a folder, or a file with its bytes. */
export interface TestEntry {
  content?: Uint8Array<ArrayBuffer>;
  /** Milliseconds since 1970. */
  mtime?: number;
  executable?: boolean;
}

/** The paths of a tree, a folder before what is in it. */
export type TestTree = Record<string, TestEntry>;

/** A tree with all that is kept of one: empty files and folders, modes, times, names of any kind. */
export function sampleTree(seed = 1): TestTree {
  return {
    ".hidden": { content: bytesOf(10, seed) },
    "a": { mtime: LONG_AGO + 1000 },
    "a/deep": { mtime: LONG_AGO + 2000 },
    "a/deep/large.bin": { content: bytesOf(700_000, seed + 1), mtime: LONG_AGO + 3000 },
    "a/empty.txt": { content: bytesOf(0), mtime: LONG_AGO + 4000 },
    "a/run.sh": { content: bytesOf(100 + seed, seed + 2), executable: true },
    "nothing": { mtime: LONG_AGO + 5000 },
    "z \u00e4\u{1f600}.txt": { content: bytesOf(1, seed + 3) },
  };
}

/** The lines of the table. */
export function entriesOf(tree: TestTree): TreeEntry[] {
  return Object.entries(tree).map(([path, { content, mtime = LONG_AGO, executable = false }]) => ({
    path,
    size: content?.length ?? null,
    mtime,
    executable,
  }));
}

/** The transfer of a tree: its table, and all bytes with the table in front. */
export async function transferOf(tree: TestTree): Promise<{
  table: Uint8Array<ArrayBuffer>;
  bytes: Uint8Array<ArrayBuffer>;
}> {
  const table = encodeTable(entriesOf(tree));
  return { table, bytes: await joined([table, ...contentsOf(tree)]) };
}

/** The bytes of the files, in their order. */
export function contentsOf(tree: TestTree): Uint8Array<ArrayBuffer>[] {
  return Object.values(tree).flatMap(({ content }) => content ?? []);
}

/** One array of many. */
export async function joined(parts: Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** Writes a tree to disk, times and modes too. */
export async function plant(root: string, tree: TestTree): Promise<void> {
  await Deno.mkdir(root, { recursive: true });
  for (const [path, { content, executable }] of Object.entries(tree)) {
    if (!content) await Deno.mkdir(join(root, path), { recursive: true });
    else {
      await Deno.mkdir(join(root, dirname(path)), { recursive: true });
      await Deno.writeFile(join(root, path), content, { mode: executable ? 0o755 : 0o644 });
    }
  }
  // From the inside out: what is made in a folder changes its time.
  for (const { path, mtime } of entriesOf(tree).toReversed()) {
    await Deno.utime(join(root, path), new Date(), new Date(mtime));
  }
}

/** All that is kept of a tree, one line for each path. */
export async function pictureOf(root: string): Promise<string[]> {
  const lines: string[] = [];
  const visit = async (relative: string): Promise<void> => {
    for await (const { name } of Deno.readDir(join(root, relative))) {
      const path = relative === "" ? name : `${relative}/${name}`;
      const { isDirectory, isFile, mtime, mode } = await Deno.lstat(join(root, path));
      const what = isFile
        ? `file ${hexHash(await Deno.readFile(join(root, path)))} ${((mode ?? 0) & 0o100) !== 0}`
        : isDirectory
        ? "folder"
        : "neither";
      lines.push(`${path} ${what} ${mtime?.getTime()}`);
      if (isDirectory) await visit(path);
    }
  };
  await visit("");
  return lines.sort();
}

/** The picture of a tree that is not on disk. */
export function pictureOfTree(tree: TestTree): string[] {
  return Object.entries(tree).map(([path, { content, mtime = LONG_AGO, executable = false }]) =>
    `${path} ${content ? `file ${hexHash(content)} ${executable}` : "folder"} ${mtime}`
  ).sort();
}
