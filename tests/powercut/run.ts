import { join } from "@std/path";
import { leftovers, namesIn, type Program, sha256Of } from "../e2e/helpers.ts";
import type { Outcome } from "../helpers/campaign.ts";
import type { Machine } from "./machine.ts";
import type { Plan } from "./plan.ts";

/** Names and SHA-256 of what was acknowledged. */
export type Acknowledged = Map<string, string>;

/**
 * Carries out a plan: sends a file of its own, cuts the power, and checks what is on the disk then. What
 * was acknowledged is added to `acknowledged`.
 */
export async function run(
  { seed, size, before }: Plan,
  machine: Machine,
  acknowledged: Acknowledged,
): Promise<Outcome> {
  const file = `run-${seed}.bin`;
  const { path, sha256 } = await machine.world.file(file, size);
  const { id } = machine;
  machine.takeLog();
  const problems: string[] = [];
  const boot = async () => {
    for (const name of await copies(machine, seed)) {
      if (await sha256Of(join(machine.inbox, name)) === sha256) continue;
      problems.push(`I1: ${name} is not what was sent`);
    }
    await machine.boot();
    if (machine.id !== id) problems.push("the receiver has another identity since the power cut");
  };
  const from = machine.proxy.passed;
  const sender = await machine.send(path);
  let cuts = 1;
  if (before !== null && await comes(before, { machine, file, from, sender })) {
    await machine.cut();
    await boot();
    cuts++;
  }
  const savedAs = await machine.deliverAndCut(path, sender);
  acknowledged.set(savedAs, sha256);
  await boot();
  const names = await copies(machine, seed);
  if (!names.includes(savedAs)) problems.push(`I2: ${savedAs} was acknowledged and is not there`);
  if (names.length > 1) problems.push(`there are ${names.join(", ")}, and not one file`);
  const left = await leftovers(machine.inbox, machine.id);
  if (left.length > 0) problems.push(`I3: there is still ${left.join(", ")}`);
  await Deno.remove(path);
  return { summary: `${cuts} cut${cuts > 1 ? "s" : ""}`, problems, log: machine.takeLog() };
}

/** What has been lost or changed of all that was ever acknowledged. */
export async function losses(machine: Machine, acknowledged: Acknowledged): Promise<string[]> {
  const lost: string[] = [];
  for (const [name, sha256] of acknowledged) {
    const found = await sha256Of(join(machine.inbox, name)).catch(() => null);
    if (found !== sha256) lost.push(name);
  }
  return lost;
}

/** Names of the files of a run in the inbox. */
async function copies({ inbox }: Machine, seed: number): Promise<string[]> {
  const names = await namesIn(inbox).catch(() => []);
  return names.filter((name) => new RegExp(`^run-${seed}\\b`).test(name));
}

/** Waits for the moment of the first cut; false when the sender has ended before it. */
async function comes(
  moment: NonNullable<Plan["before"]>,
  { machine, file, from, sender }: {
    machine: Machine;
    file: string;
    from: number;
    sender: Program;
  },
): Promise<boolean> {
  using watcher = Deno.watchFs(machine.inbox, { recursive: false });
  const published = async () => {
    for await (const { paths } of watcher) {
      if (paths.includes(join(machine.inbox, file))) return true;
    }
    return false;
  };
  const there = moment === "publishing"
    ? published()
    : machine.proxy.until(from + moment.bytes).then(() => true);
  return await Promise.race([there, sender.status.then(() => false)]);
}
