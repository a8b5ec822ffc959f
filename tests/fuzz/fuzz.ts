/**
 * `deno task fuzz`: a hostile stranger, member or tracker against real processes. What is sent follows from the seed; see
 * attacker.ts and hostile_tracker.ts for what is done, and holds.ts for what has to hold after each round.
 *
 * `--seeds N` is how many runs there are (60), `--from SEED` the first seed (0), `--seed SEED` repeats one,
 * `--minutes N` goes on for so long, and `--binaries` takes dist/tracker and dist/peer instead of the sources.
 *
 * @module
 */

import { type Campaign, carryOut, type Outcome, readOptions } from "../helpers/campaign.ts";
import { Dice } from "../helpers/random.ts";
import { type Attack, members, strangers } from "./attacker.ts";
import { bounded, figuresOf, frugal, honest, lively, quiet, rotated } from "./holds.ts";
import { HostileTracker } from "./hostile_tracker.ts";
import { Stage } from "./stage.ts";

/** Who attacks: of three seeds in a row each is of another kind. */
const KINDS = ["stranger", "member", "tracker"] as const;
/** Rounds of a run: what is left over from one shows in the next. */
const ROUNDS = 2;
/** Longest time of a round in milliseconds. */
const LONGEST = 6_000;

const kindOf = (seed: number) => KINDS[seed % KINDS.length] as typeof KINDS[number];

/** Opens a stage, attacks it and checks it, round after round. */
async function run(seed: number): Promise<Outcome> {
  const dice = new Dice(seed);
  const kind = kindOf(seed);
  await using stage = await Stage.open(
    kind === "tracker" ? new HostileTracker(dice.another()) : undefined,
  );
  const problems: string[] = [...await lively(stage)];
  const spent = { bytes: 0, connections: 0 };
  const before = new Map(
    await Promise.all(stage.targets.map(async (one) => [one, await figuresOf(one)] as const)),
  );
  for (let round = 0; round < ROUNDS && problems.length === 0; round++) {
    const { targets, membership } = stage;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), kind === "tracker" ? LONGEST / 2 : LONGEST);
    const attack: Attack = {
      dice: dice.another(),
      targets,
      membership,
      signal: stop.signal,
      spent,
    };
    await (stage.hostile?.attack(attack) ?? (kind === "member" ? members : strangers)(attack));
    clearTimeout(timer);
    stop.abort();
    problems.push(
      ...await frugal(targets, before, spent),
      ...await lively(stage),
      ...quiet(targets),
      ...honest(targets),
      ...await bounded(stage.peers),
    );
  }
  problems.push(...await rotated(stage));
  const summary = `${spent.connections} connections, ${(spent.bytes / 1024).toFixed(0)} KiB`;
  const log = stage.targets.map(({ program }) => program.report).join("\n");
  return { summary, problems, log };
}

const campaign: Campaign = {
  task: "fuzz",
  count: "seeds",
  byDefault: 60,
  describe: (seed) => `a hostile ${kindOf(seed)}`,
  run,
};
await carryOut(campaign, readOptions(campaign));
