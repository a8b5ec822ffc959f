import { join } from "@std/path";
import { leftovers, namesIn, type Program } from "../e2e/helpers.ts";
import type { Outcome } from "../helpers/campaign.ts";
import { fingerprint } from "../helpers/fingerprint.ts";
import type { Machine } from "./machine.ts";
import type { Plan } from "./plan.ts";
import { makeSubject } from "./subject.ts";

/** Names and fingerprints of what was acknowledged. */
export type Acknowledged = Map<string, string>;

/**
 * Carries out a plan: sends something of its own, cuts the power, and checks what is on the disk then.
 * What was acknowledged is added to `acknowledged`.
 */
export async function run(
  plan: Plan,
  machine: Machine,
  acknowledged: Acknowledged,
): Promise<Outcome> {
  const { seed, before } = plan;
  const subject = await makeSubject(machine.world, plan);
  const { id } = machine;
  const strays = new Set(await leftovers(machine.inbox, id));
  machine.takeLog();
  const problems: string[] = [];
  const boot = async () => {
    for (const name of await copies(machine, seed)) {
      if (await isWhole(join(machine.inbox, name), subject.print)) continue;
      problems.push(`I1: ${name} is not what was sent`);
    }
    await machine.boot();
    if (machine.id !== id) problems.push("the receiver has another identity since the power cut");
  };
  const from = machine.proxy.passed;
  const sender = await machine.send(subject.path);
  let cuts = 1;
  if (before !== null && await comes(before, { machine, name: subject.name, from, sender })) {
    await machine.cut();
    await boot();
    cuts++;
  }
  const savedAs = await machine.deliverAndCut(subject.path, sender);
  acknowledged.set(savedAs, subject.print);
  await boot();
  const names = await copies(machine, seed);
  if (!names.includes(savedAs)) problems.push(`I2: ${savedAs} was acknowledged and is not there`);
  if (names.length > 1) problems.push(`there are ${names.join(", ")}, and not one of them`);
  const left = (await leftovers(machine.inbox, machine.id)).filter((name) => !strays.has(name));
  if (left.length > 0) problems.push(`I3: there is still ${left.join(", ")}`);
  await Deno.remove(subject.path, { recursive: true });
  return { summary: `${cuts} cut${cuts > 1 ? "s" : ""}`, problems, log: machine.takeLog() };
}

/** What has been lost or changed of all that was ever acknowledged. */
export async function losses(machine: Machine, acknowledged: Acknowledged): Promise<string[]> {
  const lost: string[] = [];
  for (const [name, print] of acknowledged) {
    const found = await fingerprint(join(machine.inbox, name)).catch(() => null);
    if (found !== print) lost.push(name);
  }
  return lost;
}

/** Whether it is what was sent, or a folder that was only just made, to be filled or removed later. */
async function isWhole(path: string, print: string): Promise<boolean> {
  if (await fingerprint(path) === print) return true;
  const { isDirectory } = await Deno.lstat(path);
  return isDirectory && (await namesIn(path)).length === 0;
}

/** Names of what a run has brought into the inbox. */
async function copies({ inbox }: Machine, seed: number): Promise<string[]> {
  const names = await namesIn(inbox).catch(() => []);
  return names.filter((name) => new RegExp(`^run-${seed}\\b`).test(name));
}

/** Waits for the moment of the first cut; false when the sender has ended before it. */
async function comes(
  moment: NonNullable<Plan["before"]>,
  { machine, name, from, sender }: {
    machine: Machine;
    name: string;
    from: number;
    sender: Program;
  },
): Promise<boolean> {
  using watcher = Deno.watchFs(machine.inbox, { recursive: false });
  const published = async () => {
    for await (const { paths } of watcher) {
      if (paths.includes(join(machine.inbox, name))) return true;
    }
    return false;
  };
  const there = moment === "publishing"
    ? published()
    : machine.proxy.until(from + moment.bytes).then(() => true);
  return await Promise.race([there, sender.status.then(() => false)]);
}
