/**
 * `deno task chaos`: transfers between real processes that are killed at moments that follow from a seed,
 * and repeated until they succeed; see plan.ts for what is done and run.ts for what has to hold.
 *
 * `--seeds N` is how many runs there are (200), `--from SEED` the first seed (0), and `--binaries` takes
 * dist/tracker and dist/peer instead of the sources.
 *
 * @module
 */

import { World } from "../e2e/helpers.ts";
import { type Campaign, carryOut, readOptions } from "../helpers/campaign.ts";
import { describe, planOf } from "./plan.ts";
import { run } from "./run.ts";

const SIZE = 256 * 1024 * 1024;
const NAME = "chaos.bin";

await using world = await World.create();
const source = { ...await world.file(NAME, SIZE), name: NAME, size: SIZE };
const campaign: Campaign = {
  task: "chaos",
  count: "seeds",
  byDefault: 200,
  describe: (seed) => describe(planOf(seed, SIZE)),
  run: (seed) => run(planOf(seed, SIZE), source),
};
await carryOut(campaign, readOptions(campaign));
