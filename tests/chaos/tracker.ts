/**
 * `deno task chaos:tracker`: a tracker is killed while members register, rename, leave, are removed and report, at a
 * moment that follows from a seed; what it had acknowledged has to be there when it is started again (tracker_run.ts).
 *
 * `--seeds N` is how many runs there are (200), `--from SEED` the first seed (0), and `--binaries` takes dist/tracker in
 * place of the sources.
 *
 * @module
 */

import { type Campaign, carryOut, readOptions } from "../helpers/campaign.ts";
import { killAfter, run } from "./tracker_run.ts";

const campaign: Campaign = {
  task: "chaos:tracker",
  count: "seeds",
  byDefault: 200,
  describe: (seed) => `killed after ${killAfter(seed)} requests`,
  run,
};
await carryOut(campaign, readOptions(campaign));
