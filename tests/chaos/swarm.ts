/**
 * `deno task chaos:swarm`: one file to many machines on slow lines, some of which are killed or stopped in the middle;
 * see swarm_run.ts. The flags are those of `deno task chaos`. Needs root, iproute2 and sch_tbf.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { type Campaign, carryOut, readOptions } from "../helpers/campaign.ts";
import { whyNoSlowLine } from "../helpers/netns.ts";
import { describe, planOf, run, usual } from "./swarm_run.ts";

const reason = await whyNoSlowLine();
if (reason !== undefined) {
  // Not a failure: the end-to-end tests that need the same are ignored here, too.
  console.log(`Not run: chaos:swarm ${reason}`);
  Deno.exit(0);
}
const seconds = await usual();
const campaign: Campaign = {
  task: "chaos:swarm",
  count: "seeds",
  byDefault: 50,
  describe: (seed) => describe(planOf(seed)),
  run: (seed) => run(planOf(seed), seconds),
};
await carryOut(campaign, readOptions(campaign));
