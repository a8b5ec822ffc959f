import { join } from "node:path";
import { ignoreMissing } from "../disk/folder.ts";
import { reasonOf } from "../errors.ts";

/** Bytes of a block in `Deno.FileInfo.blocks`, whatever the file system's own are. */
const STAT_BLOCK = 512;
/**
 * Bytes that an entry takes at least, whatever is in it: a block of most file systems, so that neither blocks nor
 * inodes are to be had for nothing.
 */
export const ENTRY = 4096;
/**
 * Bytes of overhead (what blocks round up, folders, and this program's own notes) that do not count, so that the quota
 * is about the bytes of files as people see them; less than a piece.
 */
const FREE_OVERHEAD = 64 * 1024;

/** Names of what this program keeps beside the files, journals, tables and receipts: they are overhead. */
const NOTES =
  /^(?:[0-9a-f-]{36}\.(?:journal|plan|table|table\.new)|[\w-]{43}\.table|receipts\.jsonl)$/;

/** What is in a folder, or is to come. */
export interface Usage {
  /** Bytes of files, holes left out. */
  bytes: number;
  /** Bytes that the files and folders take beside those. */
  overhead: number;
}

/** The bytes of a quota that a usage takes. */
export function countedBytes({ bytes, overhead }: Usage): number {
  return bytes + Math.max(0, overhead - FREE_OVERHEAD);
}

/**
 * Counts what is below a folder; links are not followed, and a file with two names counts once.
 *
 * @param skip paths without their endings (`.part`, `.journal`) of what is not to be counted.
 * @param onLeftOut hears of what cannot be looked into: it is left out.
 */
export async function usageOf(
  folder: string,
  { skip, onLeftOut }: {
    skip: ReadonlySet<string>;
    onLeftOut: (path: string, reason: string) => void;
  },
): Promise<Usage> {
  const usage: Usage = { bytes: 0, overhead: 0 };
  const seen = new Set<string>();
  const folders = [folder];
  for (let path = folders.pop(); path !== undefined; path = folders.pop()) {
    const within = path;
    const leftOut = (path: string) => (error: unknown) => {
      // What was published or removed meanwhile is right with the next count.
      try {
        ignoreMissing(error);
      } catch {
        onLeftOut(path, reasonOf(error));
      }
    };
    try {
      for await (const { name, isDirectory, isFile } of Deno.readDir(within)) {
        const path = join(within, name);
        if (skip.has(path.replace(/\.(?:part|journal|plan|table|table\.new)$/, ""))) continue;
        if (isDirectory) folders.push(path);
        if (isDirectory || !isFile) usage.overhead += ENTRY;
        else await countFile(path, { usage, seen, isNote: NOTES.test(name) }).catch(leftOut(path));
      }
    } catch (error) {
      leftOut(within)(error);
    }
  }
  return usage;
}

async function countFile(
  path: string,
  { usage, seen, isNote }: { usage: Usage; seen: Set<string>; isNote: boolean },
): Promise<void> {
  const { size, blocks, nlink, dev, ino } = await Deno.lstat(path);
  if ((nlink ?? 1) > 1) {
    const key = `${dev} ${ino}`;
    if (seen.has(key)) return;
    seen.add(key);
  }
  const taken = blocks === null ? size : blocks * STAT_BLOCK;
  // A file with holes, as a partial may be, takes less room than its size says.
  const bytes = isNote ? 0 : Math.min(size, taken);
  usage.bytes += bytes;
  usage.overhead += Math.max(ENTRY, taken) - bytes;
}
