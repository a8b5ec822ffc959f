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

/**
 * The modules that a module loads with `onDemand`, which no graph leads to, by their paths from the root; null stands for
 * a call that names none, or another one than its type does.
 */
export function modulesOnDemand(module: string, source: string): (string | null)[] {
  // The declaration of `onDemand` has a parameter of a type there.
  const calls = source.matchAll(/\bonDemand<(?!M>)([^>]*)>\(\s*("[^"]+")?/g);
  return [...calls].map(([, type = "", path]) =>
    path !== undefined && type.replace(/\s/g, "") === `typeofimport(${path})`
      ? new URL(JSON.parse(path), new URL(module, ROOT)).href.slice(ROOT.href.length)
      : null
  );
}
