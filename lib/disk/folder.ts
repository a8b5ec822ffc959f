import { openFile } from "./descriptors.ts";
import { isUnable } from "./unable.ts";

/**
 * Makes the names in a folder durable; false where the disk cannot do that, as some of FUSE, or this process may not
 * open the folder.
 */
export async function syncFolder(path: string): Promise<boolean> {
  if (Deno.build.os === "windows") return true; // A folder has no handle to sync; the journal of NTFS orders names.
  try {
    using folder = await openFile(path, { read: true });
    await folder.sync();
    return true;
  } catch (error) {
    if (!isUnable(error)) throw error;
    return false;
  }
}

/** Whether something is at a path, also a link that leads nowhere; false where that cannot be told. */
export async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** For `catch`: what is to be removed may be gone. */
export function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
