/**
 * What the benchmark moves.
 *
 * @module
 */

import { join } from "@std/path";

/** One thing to move, in one way to be measured. */
export interface Workload {
  /** For `--workload`. */
  key: string;
  title: string;
  kind: "file" | "tree";
  bytes: number;
  files: number;
  /** Runs of each contender in a round: what takes milliseconds needs more of them. */
  repeat: number;
}

const MIB = 1024 * 1024;
const SMALL_FILE = 4096;
const FILES_PER_FOLDER = 100;

/** The three workloads; `mib` and `files` make the large ones smaller, for a quick look. */
export function workloads({ mib = 1024, files = 10_000 } = {}): Workload[] {
  const large = mib === 1024 ? "1 GiB" : `${mib} MiB`;
  return [
    {
      key: "large",
      title: `${large}, one file`,
      kind: "file",
      bytes: mib * MIB,
      files: 1,
      repeat: 1,
    },
    {
      key: "cold",
      title: "10 MiB, one file, from a cold start",
      kind: "file",
      bytes: 10 * MIB,
      files: 1,
      repeat: 3,
    },
    {
      key: "tree",
      title: `${files} files of 4 KiB`,
      kind: "tree",
      bytes: files * SMALL_FILE,
      files,
      repeat: 1,
    },
  ];
}

/** Makes what is moved, of bytes that no program can compress, below `folder`; the path of it. */
export async function makeSource(workload: Workload, folder: string): Promise<string> {
  const { key, kind, bytes, files } = workload;
  const path = join(folder, `source-${key}`);
  if (kind === "file") {
    await writeRandom(path, bytes);
    return path;
  }
  for (let i = 0; i < files; i++) {
    const inner = join(path, `folder-${Math.floor(i / FILES_PER_FOLDER)}`);
    if (i % FILES_PER_FOLDER === 0) await Deno.mkdir(inner, { recursive: true });
    await writeRandom(join(inner, `file-${i}`), SMALL_FILE);
  }
  return path;
}

/** Makes every file newer: whoever remembers what an unchanged file is has to look again. */
export async function touch(path: string): Promise<void> {
  const now = new Date();
  for await (const file of filesBelow(path)) await Deno.utime(file, now, now);
}

/** How many files and bytes there are at or below `path`. */
export async function contentOf(path: string): Promise<{ files: number; bytes: number }> {
  const content = { files: 0, bytes: 0 };
  for await (const file of filesBelow(path)) {
    content.files++;
    content.bytes += (await Deno.stat(file)).size;
  }
  return content;
}

/** The files at or below `path`, without those in hidden folders, which are still on their way. */
async function* filesBelow(path: string): AsyncGenerator<string> {
  if ((await Deno.stat(path)).isFile) return yield path;
  for await (const { name } of Deno.readDir(path)) {
    if (!name.startsWith(".")) yield* filesBelow(join(path, name));
  }
}

async function writeRandom(path: string, bytes: number): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  const chunk = new Uint8Array(Math.min(bytes, MIB));
  for (let left = bytes; left > 0; left -= chunk.length) {
    for (let at = 0; at < chunk.length; at += 65536) {
      crypto.getRandomValues(chunk.subarray(at, at + 65536));
    }
    const part = chunk.subarray(0, left);
    for (let at = 0; at < part.length;) at += await file.write(part.subarray(at));
  }
}
