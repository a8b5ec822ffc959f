import { join } from "@std/path";
import type { World } from "../e2e/helpers.ts";
import { fingerprint } from "../helpers/fingerprint.ts";
import type { Plan } from "./plan.ts";

/** What a run sends. */
export interface Subject {
  /** Its name without the folder. */
  name: string;
  path: string;
  /** See {@linkcode fingerprint}. */
  print: string;
}

/** How many files of a folder are in one folder below it. */
const TOGETHER = 20;

/** Makes the file, or the folder, of a plan. */
export async function makeSubject(world: World, { seed, size, files }: Plan): Promise<Subject> {
  const name = files === null ? `run-${seed}.bin` : `run-${seed}`;
  const path = world.path(name);
  if (files === null) await world.file(name, size);
  else await makeFolder(world, { name, size, files });
  return { name, path, print: await fingerprint(path) };
}

/** Files of the same size in folders, every third one executable, of different times, and an empty folder. */
async function makeFolder(
  world: World,
  { name, size, files }: { name: string; size: number; files: number },
): Promise<void> {
  await Deno.mkdir(world.path(name, "empty"), { recursive: true });
  for (let n = 0; n < files; n++) {
    const folder = join(name, `${Math.floor(n / TOGETHER)}`);
    await Deno.mkdir(world.path(folder), { recursive: true });
    const { path } = await world.file(join(folder, `${n}`), Math.floor(size / files));
    if (n % 3 === 0) await Deno.chmod(path, 0o755);
    await Deno.utime(path, n * 86_400, n * 86_400);
  }
}
