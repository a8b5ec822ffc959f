import { openFile } from "./descriptors.ts";
import { ignoreMissing } from "./folder.ts";

/**
 * How it is said that a file can have no second name here: FAT, CIFS and FUSE have the first four, Android EACCES,
 * Windows EISDIR for FAT, a file system that counts links EMLINK.
 */
const NO_LINKS = new Set([
  "EPERM",
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
  "EACCES",
  "EISDIR",
  "EMLINK",
]);

/**
 * Gives the file at `from` the new name `to` in the same file system, never in the place of one that is there; false
 * when the name is taken. `from` may be gone after that.
 *
 * Where there are no hard links (FAT, some network mounts) the name is reserved by an empty file, which `from` then
 * replaces: others may see it empty for a moment.
 */
export async function linkOrReserve(from: string, to: string): Promise<boolean> {
  try {
    await Deno.link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    if (!cannotLink(error)) throw error;
  }
  try {
    (await openFile(to, { write: true, createNew: true, mode: 0o600 })).close();
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
  try {
    await Deno.rename(from, to);
    return true;
  } catch (error) {
    await Deno.remove(to).catch(ignoreMissing);
    throw error;
  }
}

function cannotLink(error: unknown): boolean {
  const { code = "" } = error as { code?: string };
  return NO_LINKS.has(code) || error instanceof Deno.errors.NotSupported;
}
