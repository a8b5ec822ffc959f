import { visitTree } from "../disk/tree_walk.ts";
import { isExecutable, limitOf } from "../disk/file_mode.ts";
import { timeOf } from "../disk/file_time.ts";
import type { TreeEntry } from "./tree_table.ts";

/** All that is below a folder. */
export interface TreeList {
  /** Folders before what is in them, in the order of their names. */
  entries: TreeEntry[];
  /** Relative paths of what is no file and no folder: links that are not followed, sockets, devices. */
  skipped: string[];
}

/**
 * Lists all that is below a folder, as {@linkcode visitTree} says.
 *
 * @throws {P2PError} `disk` or `file-not-found`, naming the path.
 */
export async function listTree(
  root: string,
  { follow = false }: { follow?: boolean } = {},
): Promise<TreeList> {
  const entries: TreeEntry[] = [];
  const onEntry = (path: string, info: Deno.FileInfo) => void entries.push(treeEntryOf(path, info));
  const { skipped } = await visitTree(root, { follow, strict: true, onEntry });
  return { entries, skipped };
}

/** The entry of a path below a folder, as its line in the table will say. */
export function treeEntryOf(path: string, { isFile, size, mtime, mode }: Deno.FileInfo): TreeEntry {
  const entry: TreeEntry = {
    path,
    size: isFile ? size : null,
    mtime: timeOf(mtime) ?? 0,
    executable: isFile && isExecutable(mode),
  };
  const limit = limitOf(mode);
  if (limit !== undefined) entry.mode = limit;
  return entry;
}
