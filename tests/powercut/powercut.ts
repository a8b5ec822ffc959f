/**
 * `deno task powercut`: a receiver on a disk whose power is cut as soon as the sender says "delivered",
 * and at moments before that; see plan.ts for what is done and run.ts for what has to hold.
 *
 * It begins with a check of itself: with a receiver whose syncs do nothing (libeatmydata) there have to be
 * losses. `--runs N` is how many runs there are (100), `--from SEED` the first seed (0), and `--binaries`
 * takes dist/tracker and dist/peer instead of the sources. Ends with 77 where it cannot run: it needs root,
 * loop devices, mkfs.ext4 and Debian's python3.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { type Campaign, carryOut, readOptions } from "../helpers/campaign.ts";
import { whyNoImage } from "./ext4_image.ts";
import { Machine } from "./machine.ts";
import { describe, LARGEST, planOf } from "./plan.ts";
import { type Acknowledged, losses, run } from "./run.ts";

/** The exit code of "cannot be tested here", as automake has it. */
const SKIPPED = 77;
/** Set where the process has mounts of its own. */
const INSIDE = "P2P_POWERCUT_INSIDE";
/** Runs in which a receiver that syncs nothing has to lose something. */
const SELF_CHECKS = 10;
/** Where Debian has the library that makes syncs do nothing. */
const EAT_MY_DATA = `/usr/lib/${Deno.build.arch}-linux-gnu/libeatmydata.so.1`;

const acknowledged: Acknowledged = new Map();
const campaign: Campaign = {
  task: "powercut",
  count: "runs",
  byDefault: 100,
  describe: (seed) => describe(planOf(seed)),
  run: (seed) => run(planOf(seed), machine, acknowledged),
};
const options = readOptions(campaign);
await enterNamespace();
const reason = await whyNoImage();
if (reason !== null) {
  console.log(`Cannot cut the power here: ${reason}`);
  Deno.exit(SKIPPED);
}
await checkItself();
await using machine = await Machine.create({ disk: (options.count + 20) * LARGEST });
await carryOut(campaign, options);
const lost = await losses(machine, acknowledged);
if (lost.length > 0) {
  console.log(`FAILED: lost after all: ${lost.join(", ")}`);
  Deno.exitCode = 1;
}

/**
 * Goes on in a process with mounts of its own. A copy of them that any other process makes, as `ip netns
 * exec` does, would keep the file system in use, and it has to be mounted anew after each cut. The mounts
 * go with the process, too.
 */
async function enterNamespace(): Promise<void> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0 || Deno.env.get(INSIDE) !== undefined) return;
  const { code } = await new Deno.Command("unshare", {
    args: ["--mount", Deno.execPath(), "run", "--allow-all", import.meta.url, ...Deno.args],
    env: { [INSIDE]: "1" },
  }).spawn().status;
  Deno.exit(code);
}

/** A test that cannot fail is none: without syncs a file that was acknowledged has to be lost. */
async function checkItself(): Promise<void> {
  if (await Deno.stat(EAT_MY_DATA).catch(() => null) === null) {
    console.log("self-check: not done, since libeatmydata1 (a package of Debian) is missing");
    return;
  }
  const env = { LD_PRELOAD: EAT_MY_DATA };
  await using careless = await Machine.create({ disk: (SELF_CHECKS + 20) * LARGEST, env });
  for (let seed = 0; seed < SELF_CHECKS; seed++) {
    // Only cuts after the ACK: what is lost then is what this is about.
    const { problems } = await run(
      { ...planOf(seed), files: null, before: null },
      careless,
      new Map(),
    );
    const loss = problems.find((problem) => /^I[12]:/.test(problem));
    if (loss === undefined) continue;
    console.log(`self-check: ok: a receiver that syncs nothing is found out: ${loss}`);
    return;
  }
  throw new Error(`a receiver that syncs nothing has lost nothing in ${SELF_CHECKS} runs`);
}
