import { join } from "@std/path";
import { leftovers, type Line, namesIn, sha256Of } from "../e2e/helpers.ts";
import type { Outcome } from "../helpers/campaign.ts";
import { eventually } from "../helpers/deadline.ts";
import { heldBy } from "../helpers/process_stats.ts";
import { Canary } from "./canary.ts";
import type { Plan } from "./plan.ts";
import { Scene, type SourceFile } from "./scene.ts";

const MIB = 1024 * 1024;
/** What one kill may cost beside two pieces: what was on its way, and what the journal did not know yet. */
const WASTE = 16 * MIB;
/** Part of what is on the wire that is no piece: TLS records, frame headers, hashes, handshakes. */
const FRAMING = 1 / 256;
/** Longest time in milliseconds that a new transfer may take, with the start of the command. */
const PROMPT = 5_000;
/** Name of the small file that is sent in the end. */
const AFTERWARDS = "afterwards.bin";

/** Carries out a plan and checks I1 to I5 of what is left. */
export async function run(plan: Plan, source: SourceFile): Promise<Outcome> {
  await using scene = await Scene.open(plan, source);
  const canary = await Canary.plant(scene.world.folder, scene.owned);
  const idle = await idleOf(scene);
  let kills = 0;
  for (const { victims, moment } of plan.kills) {
    if (!await scene.until(moment)) break;
    await scene.strike(victims);
    kills++;
  }
  const report = await scene.deliver();
  const sent = scene.proxy.passed;
  const problems = [
    ...await delivered(scene, source, report),
    ...frugal(sent, source, kills),
    ...await lively(scene, idle),
    ...await tidy(scene),
  ];
  // The test's own file is no change.
  await Deno.remove(scene.world.path(AFTERWARDS));
  const changes = await canary.changes();
  if (changes !== null) problems.push(`I4: something else has changed: ${changes}`);
  const summary = `${kills} killed, ${(sent / MIB).toFixed(1)} MiB sent`;
  return { summary, problems, log: scene.log };
}

/** I1 and I2: one whole file, under the name that the sender was told. */
async function delivered(scene: Scene, source: SourceFile, report: Line): Promise<string[]> {
  const { received } = scene.receiver;
  const names = (await namesIn(received)).filter((name) => name !== ".partial");
  const problems: string[] = [];
  if (names.length !== 1) {
    problems.push(`there is ${names.join(", ") || "nothing"}, and not one file`);
  }
  for (const name of names) {
    const hash = await sha256Of(join(received, name));
    if (hash !== source.sha256) problems.push(`I1: ${name} is not what was sent`);
  }
  const { state, savedAs } = report.recipients[0];
  if (!names.includes(savedAs)) problems.push(`I2: ${state} as ${savedAs}, which is not there`);
  return problems;
}

/** What was sent again is bounded. */
function frugal(sent: number, { size }: SourceFile, kills: number): string[] {
  // Files of this size have pieces of 1 MiB.
  const most = (size + kills * (2 * MIB + WASTE)) * (1 + FRAMING) + MIB / 4;
  return sent <= most
    ? []
    : [`${sent} bytes were sent, which is ${Math.ceil(sent - most)} too many`];
}

/** I5: the processes live, have closed what they opened, and a new transfer works at once. */
async function lively(scene: Scene, idle: Idle): Promise<string[]> {
  const problems: string[] = [];
  const ms = await scene.sendAnother(AFTERWARDS);
  if (ms > PROMPT) problems.push(`I5: a new transfer took ${Math.round(ms)} ms`);
  for (const name of ["receiver", "tracker"] as const) {
    let open: string[] = [];
    await eventually(async () => {
      open = await heldBy(scene[name].program.pid, scene.world.folder);
      return open.length <= idle[name];
    }, `${idle[name]} descriptors`).catch(() => {
      problems.push(`I5: the ${name} had ${idle[name]} open, and now ${open.join(", ")}`);
    });
    if (open.length === 0) problems.push(`I5: the ${name} does not live`);
  }
  return problems;
}

/** I3: after a restart and its sweep there is no partial: all that there was has been gone on with. */
async function tidy(scene: Scene): Promise<string[]> {
  await scene.restartReceiver();
  const left = await leftovers(scene.receiver.received, scene.receiver.id);
  return left.length > 0 ? [`I3: there is still ${left.join(", ")}`] : [];
}

/** How many descriptors the processes have open while nothing happens. */
type Idle = Record<"receiver" | "tracker", number>;

async function idleOf(scene: Scene): Promise<Idle> {
  return {
    receiver: (await heldBy(scene.receiver.program.pid, scene.world.folder)).length,
    tracker: (await heldBy(scene.tracker.program.pid, scene.world.folder)).length,
  };
}
