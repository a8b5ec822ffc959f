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
import { type Attack, type Mallory, mallory, members, strangers } from "./attacker.ts";
import { bounded, figuresOf, frugal, honest, lively, quiet, rotated } from "./holds.ts";
import { HostileTracker } from "./hostile_tracker.ts";
import { Stage, type Target } from "./stage.ts";
import { inTime, type Program } from "../e2e/helpers.ts";

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
  /** Commands that somebody honest ran meanwhile. */
  const victims: Target[] = [];
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
    if (stage.hostile) {
      await stage.hostile.attack(attack);
    } else if (kind === "stranger") {
      await strangers(attack);
    } else {
      const member = await mallory(attack);
      const victim = await turnTo(stage, member, dice);
      victims.push(victim);
      await members(attack, member);
      await Promise.race([victim.program.status, aborted(stop.signal)]);
    }
    clearTimeout(timer);
    stop.abort();
    for (const { program } of victims.slice(-1)) problems.push(...await ended(program));
    problems.push(
      ...await frugal(targets, before, spent),
      ...await lively(stage),
      ...quiet([...targets, ...victims]),
      ...honest(targets),
      ...await bounded(stage.peers),
    );
  }
  problems.push(...await rotated(stage));
  const summary = `${spent.connections} connections, ${(spent.bytes / 1024).toFixed(0)} KiB`;
  const log = [...stage.targets, ...victims].map(({ program }) => program.report).join("\n");
  return { summary, problems, log };
}

/** Somebody honest sends Mallory a file, or asks whether she is there. */
async function turnTo(stage: Stage, { identity: { id } }: Mallory, dice: Dice): Promise<Target> {
  const { world, invite } = stage;
  const { path } = await world.file("for-mallory", dice.pick([0, 100_000, 3_000_000]));
  const to = `id:${id}`;
  const command = dice.once(3) ? ["ping", to] : ["send", path, "--to", to, "--ack-timeout", "2"];
  const env = { P2P_JOIN: invite, NO_COLOR: "1" };
  const args = [...command, "--state", world.path("state-carol")];
  const program = await world.start("peer", args, { env });
  return { name: "carol", program, port: 0, id: "", role: "peer" };
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  signal.addEventListener("abort", () => resolve());
  return promise;
}

/** A command that is interrupted ends, and has not said that Mallory took what she can't have. */
async function ended(program: Program): Promise<string[]> {
  try {
    program.signal("SIGINT");
  } catch {
    // It has ended.
  }
  const { code } = await inTime(program.status, () => `the end of ${program.report}`);
  if (code === 2) return [`the test calls it wrongly: ${program.report}`];
  const isSend = program.report.startsWith("peer send");
  return isSend && code === 0 ? [`a send to a hostile member said 0: ${program.report}`] : [];
}

const campaign: Campaign = {
  task: "fuzz",
  count: "seeds",
  byDefault: 60,
  describe: (seed) => `a hostile ${kindOf(seed)}`,
  run,
};
await carryOut(campaign, readOptions(campaign));
