/**
 * `deno task chaos`: transfers between real processes that are killed at moments that follow from a seed,
 * and repeated until they succeed; see plan.ts for what is done and run.ts for what has to hold.
 *
 * `--seeds N` is how many runs there are (200), `--from SEED` the first seed (0), and `--binaries` takes
 * dist/tracker and dist/peer instead of the sources.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { parseArgs } from "@std/cli/parse-args";
import { basename } from "@std/path";
import { ROOT, World } from "../e2e/helpers.ts";
import { describe, planOf } from "./plan.ts";
import { type Result, run } from "./run.ts";
import type { SourceFile } from "./scene.ts";

const MIB = 1024 * 1024;
const SIZE = 256 * MIB;

const options = parseArgs(Deno.args, {
  string: ["seeds", "from"],
  boolean: ["binaries"],
  default: { seeds: "200", from: "0" },
  unknown: (argument: string) => {
    throw new Error(`Cannot run: ${argument} is unknown; there are --seeds, --from and --binaries`);
  },
});
const [from, seeds] = [Number(options.from), Number(options.seeds)];
if (!Number.isSafeInteger(from) || !(seeds > 0)) {
  throw new Error("Cannot run: --from and --seeds take whole numbers");
}
if (options.binaries) {
  Deno.env.set("P2P_PEER_BIN", `${ROOT}dist/peer`);
  Deno.env.set("P2P_TRACKER_BIN", `${ROOT}dist/tracker`);
}

const started = performance.now();
const failed: number[] = [];
await using world = await World.create();
const source = await makeSource(world);
for (let seed = from; seed < from + seeds; seed++) {
  if (!await passes(seed)) failed.push(seed);
}
const verdict = failed.length > 0 ? "FAILED" : "ok";
const seconds = Math.round((performance.now() - started) / 1000);
console.log(`${verdict} | ${seeds - failed.length} passed | ${failed.length} failed (${seconds}s)`);
if (failed.length > 0) {
  console.log(`Failed: ${failed.join(", ")}; deno task chaos --from SEED --seeds 1 repeats one`);
  Deno.exitCode = 1;
}

/** Carries out the run of a seed and says how it went. */
async function passes(seed: number): Promise<boolean> {
  const plan = planOf(seed, SIZE);
  const began = performance.now();
  const what = `seed ${seed}: ${describe(plan)}`;
  let result: Result;
  try {
    result = await run(plan, source);
  } catch (error) {
    console.log(`${what}: FAILED: ${error instanceof Error ? error.stack : error}`);
    return false;
  }
  const { kills, sent, problems, log } = result;
  const took = ((performance.now() - began) / 1000).toFixed(1);
  const figures = `${kills} killed, ${(sent / MIB).toFixed(1)} MiB sent, ${took} s`;
  console.log(`${what}: ${problems.length > 0 ? "FAILED" : "ok"}: ${figures}`);
  for (const problem of problems) console.log(`  ${problem}`);
  if (problems.length > 0) console.log(log);
  return problems.length === 0;
}

async function makeSource(world: World): Promise<SourceFile> {
  const { path, sha256 } = await world.file("chaos.bin", SIZE);
  return { path, name: basename(path), size: SIZE, sha256 };
}
