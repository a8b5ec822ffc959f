import { openFile } from "./descriptors.ts";
import { ignoreMissing } from "./folder.ts";
import { isUnable } from "./unable.ts";

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

/** Whether the file can have no second name here; a file system that counts the names says EMLINK. */
function cannotLink(error: unknown): boolean {
  return isUnable(error) || (error as { code?: string }).code === "EMLINK";
}
