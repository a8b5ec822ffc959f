import { join } from "@std/path";
import { hexHash } from "./invariants.ts";

/**
 * What a file or a folder is, in one word: content, and of what is in a folder also names, executable bits
 * and times. For what fits into memory file by file.
 */
export async function fingerprint(path: string): Promise<string> {
  const { isDirectory } = await Deno.lstat(path);
  if (!isDirectory) return hexHash(await Deno.readFile(path));
  const lines: string[] = [];
  await list(path, "", lines);
  return hexHash(new TextEncoder().encode(lines.sort().join("\n")));
}

async function list(root: string, folder: string, lines: string[]): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
    const path = join(folder, name);
    if (isDirectory) {
      lines.push(`${path}/`);
      await list(root, path, lines);
      continue;
    }
    const { mode, mtime } = await Deno.lstat(join(root, path));
    const isProgram = ((mode ?? 0) & 0o100) !== 0;
    const hash = hexHash(await Deno.readFile(join(root, path)));
    lines.push(`${path} ${hash} ${isProgram} ${Math.floor((mtime?.getTime() ?? 0) / 1000)}`);
  }
}
