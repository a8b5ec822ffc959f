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
 * The source of a module with its `onDemand` calls as literal `import()`, which a bundler follows; null when a call names
 * no module, or another one than its type does.
 */
export function withLiteralImports(source: string): string | null {
  let isUnnamed = false;
  // The declaration of `onDemand` has a parameter of a type there.
  const call = /\bonDemand<(?!M>)([^>]*)>\((?:\s*("[^"]+"),\s*import\.meta\.url,?\s*\))?/g;
  const literal = source.replace(call, (_, type: string, path: string | undefined) => {
    isUnnamed ||= type.replace(/\s/g, "") !== `typeofimport(${path})`;
    return `import(${path})`;
  });
  return isUnnamed ? null : literal;
}
