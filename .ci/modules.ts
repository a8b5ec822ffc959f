/**
 * The project's own files, for the checks.
 *
 * @module
 */

/** The project's root folder. */
export const ROOT = new URL("../", import.meta.url);

/** Every TypeScript file under `folder`, as sorted paths relative to the root. */
export async function listModules(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(new URL(folder, ROOT))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...await listModules(path));
    else if (/\.[mc]?tsx?$/.test(entry.name)) found.push(path);
  }
  return found.sort();
}
