import { join } from "@std/path";

/** A folder of this test alone. */
export interface TempDir extends AsyncDisposable {
  path: string;
  /** A path below it. */
  at(...parts: string[]): string;
}

/** Makes a folder that goes away with the test. */
export async function tempDir(): Promise<TempDir> {
  const path = await Deno.makeTempDir({ prefix: "p2p-test-" });
  return {
    path,
    at: (...parts) => join(path, ...parts),
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}
