/**
 * Loads a module of this program that most commands do without. Deno reads whatever a literal `import()` leads to at
 * every start, to know the graph of all that may be loaded: here 80 modules and 3 ms of a `peer send` from its sources.
 * A bundle has none of that: `.ci/compile.ts` writes the calls as `import()` before it makes one, and
 * `deno task check:imports` sees that each is one that it finds.
 *
 * @param path of the module, relative to the one that asks.
 * @param from `import.meta.url` of the one that asks.
 */
export async function onDemand<M>(path: string, from: string): Promise<M> {
  return await import(new URL(path, from).href);
}
