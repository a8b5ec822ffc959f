/**
 * Many runs, each of which follows from its seed: the command line, a line for each run, and a closing
 * line in the words of `deno test`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { parseArgs } from "@std/cli/parse-args";
import { ROOT } from "../e2e/helpers.ts";

/** What came of a run. */
export interface Outcome {
  /** Figures for people. */
  summary: string;
  /** What did not hold. */
  problems: string[];
  /** What the programs wrote, for a run with problems. */
  log: string;
}

/** Runs of one kind. */
export interface Campaign {
  /** Name of the task. */
  task: string;
  /** The flag that says how many runs there are. */
  count: "seeds" | "runs";
  /** How many there are without it. */
  byDefault: number;
  /** What a run of this seed does, in a few words. */
  describe: (seed: number) => string;
  run: (seed: number) => Promise<Outcome>;
}

/** What the command line asks for. */
export interface CampaignOptions {
  /** The first seed. */
  from: number;
  /** How many runs there are at most. */
  count: number;
  /** After so many milliseconds no further run is begun. */
  time: number;
}

/**
 * Reads `--seeds N` (or `--runs N`) and `--from SEED`, or `--seed SEED` for one run, or `--minutes N` for as many as are
 * begun in that time; and `--binaries`, which takes those in dist/.
 */
export function readOptions({ task, count, byDefault }: Campaign): CampaignOptions {
  const options = parseArgs(Deno.args, {
    string: [count, "from", "seed", "minutes"],
    boolean: ["binaries"],
    unknown: (argument: string) => {
      console.error(
        `Cannot run ${task}: ${argument} is unknown; --${count}, --from, --seed, --minutes and ` +
          "--binaries are not",
      );
      Deno.exit(2);
    },
  });
  const { seed, minutes } = options;
  const from = Number(seed ?? options.from ?? 0);
  const most = seed !== undefined ? 1 : minutes !== undefined ? Number.MAX_SAFE_INTEGER : byDefault;
  const runs = Number(options[count] ?? most);
  const time = Number(minutes ?? Infinity) * 60_000;
  if (!Number.isSafeInteger(from) || from < 0 || !Number.isSafeInteger(runs) || runs < 1) {
    console.error(`Cannot run ${task}: --from, --seed and --${count} take whole numbers`);
    Deno.exit(2);
  }
  if (!(time > 0)) {
    console.error(`Cannot run ${task}: --minutes ${minutes} is no time; give a number above 0`);
    Deno.exit(2);
  }
  if (options.binaries) {
    for (const program of ["peer", "tracker"]) {
      Deno.env.set(`P2P_${program.toUpperCase()}_BIN`, `${ROOT}dist/${program}`);
    }
  }
  return { from, count: runs, time };
}

/** Does all runs, also after one that failed; the exit code says whether all was well. */
export async function carryOut(campaign: Campaign, options: CampaignOptions): Promise<void> {
  const started = performance.now();
  const failed: number[] = [];
  let done = 0;
  while (done < options.count && performance.now() - started < options.time) {
    const seed = options.from + done++;
    if (!await passes(campaign, seed)) failed.push(seed);
  }
  const verdict = failed.length > 0 ? "FAILED" : "ok";
  const counts = `${done - failed.length} passed | ${failed.length} failed`;
  console.log(`${verdict} | ${counts} (${seconds(started)})`);
  if (failed.length === 0) return;
  const { task } = campaign;
  console.log(`Seeds ${failed.join(", ")}: deno task ${task} --seed SEED repeats one`);
  Deno.exitCode = 1;
}

async function passes({ run, describe }: Campaign, seed: number): Promise<boolean> {
  const started = performance.now();
  const title = `seed ${seed}: ${describe(seed)}`;
  try {
    const { summary, problems, log } = await run(seed);
    const verdict = problems.length > 0 ? "FAILED" : "ok";
    console.log(`${title}: ${verdict}: ${summary}, ${seconds(started)}`);
    for (const problem of problems) console.log(`  ${problem}`);
    if (problems.length > 0) console.log(log);
    return problems.length === 0;
  } catch (error) {
    console.log(`${title}: FAILED: ${error instanceof Error ? error.stack : error}`);
    return false;
  }
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)}s`;
}
