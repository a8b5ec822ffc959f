import { openFile, patiently } from "./descriptors.ts";
import { join } from "node:path";
import { P2PError } from "../errors.ts";
import { nameKey, numberedName } from "./file_name.ts";

/** Names tried before giving up: `name (9999).ext` is nobody's wish. */
const MAX_NUMBER = 10_000;

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  if (Deno.build.os === "windows") return; // A folder has no handle to sync; the journal of NTFS orders names.
  using folder = await openFile(path, { read: true });
  await folder.sync();
}

/**
 * Calls `take` with one free name after another, `name`, `name (1)` ..., until it says that it could have
 * it. Names that differ from one that is there in case or normalisation only are not free: elsewhere they
 * would be one file.
 *
 * @throws {P2PError} `disk` when there are too many.
 */
export async function takeFreeName(
  folder: string,
  name: string,
  take: (name: string, path: string) => Promise<boolean>,
): Promise<{ name: string; path: string }> {
  const entries = await patiently(() => Array.fromAsync(Deno.readDir(folder)));
  const taken = new Set(entries.map((entry) => nameKey(entry.name)));
  for (let number = 0; number < MAX_NUMBER; number++) {
    const candidate = numberedName(name, number);
    if (taken.has(nameKey(candidate))) continue;
    const path = join(folder, candidate);
    if (await take(candidate, path)) return { name: candidate, path };
  }
  throw new P2PError(
    "disk",
    `Cannot save ${name}: ${MAX_NUMBER} files have that name; move some`,
  );
}

/** For `catch`: what is to be removed may be gone. */
export function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
