import { join } from "node:path";
import { openFile } from "./descriptors.ts";
import { LONGEST_NAME } from "./file_name.ts";
import { isThere } from "./folder.ts";

/** What a file system does with names. */
export interface NameRules {
  /** Whether names that differ in case or normalisation only are one file here. */
  foldsCase: boolean;
  /** Whether names are kept that Windows does not allow, and long ones. */
  keepsNames: boolean;
}

/** All characters that Windows forbids in names, and a dot at the end, which it drops. */
const ODD = 'p:?*<>|"\\.';

/** Another spelling of a letter, in two code points; and the one that has it in one. */
const [DECOMPOSED, COMPOSED] = ["n\u0303.p", "\u00f1.p"];

/**
 * Finds out what the file system of a folder does with names: by making some, as the platform does not tell. A disk of
 * Windows may be mounted on Linux, and one that tells no case apart on any system.
 *
 * @param there a name in the folder, in lower case.
 */
export async function nameRulesOf(folder: string, there: string): Promise<NameRules> {
  const has = (name: string) => isThere(join(folder, name));
  const foldsCase = await has(there.toUpperCase()) ||
    await withFile(folder, DECOMPOSED, () => has(COMPOSED));
  const keeps = (name: string) => withFile(folder, name, () => isListed(folder, name));
  const keepsNames = Deno.build.os !== "windows" && await keeps(ODD) &&
    await keeps("p".repeat(LONGEST_NAME));
  return { foldsCase, keepsNames };
}

/** What `look` says while there is a file of that name; false where there can be none. */
async function withFile(
  folder: string,
  name: string,
  look: () => Promise<boolean>,
): Promise<boolean> {
  const path = join(folder, name);
  try {
    (await openFile(path, { write: true, createNew: true, mode: 0o600 })).close();
  } catch {
    return false;
  }
  try {
    return await look();
  } finally {
    // What cannot be removed now goes with the sweep.
    await Deno.remove(path).catch(() => {});
  }
}

async function isListed(folder: string, name: string): Promise<boolean> {
  for await (const entry of Deno.readDir(folder)) if (entry.name === name) return true;
  return false;
}
