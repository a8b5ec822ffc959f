/**
 * `deno task idle`: what a tracker and a peer cost when nothing happens, and whether anything of what happened stays. First
 * the CPU time of a tracker with registered peers of which none does anything, and of one of these peers. Then files are
 * sent, by the menu of one peer and by as many commands, to a peer that runs: a table of the descriptors, the objects
 * that are left after a collection of garbage and the resident memory of tracker, receiver and menu. Exits with 1 when
 * the tracker takes more than 0.3 % of a core, or descriptors, objects or memory have grown. Linux.
 *
 * Flags: --peers N (100), --seconds N (120), --sends N of each kind (1000).
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { fromFileUrl } from "@std/path";
import { parseArgs } from "@std/cli/parse-args";
import { type Program, World } from "../e2e/helpers.ts";
import { type Inspected, PASSING, startInspected } from "../e2e/inspected.ts";
import { cpuOf, descriptorsOf, memoryOf } from "../helpers/process_stats.ts";
import { align } from "./table.ts";

const SCRIPT = fromFileUrl(new URL("./idle_peers.ts", import.meta.url));
const MIB = 1024 * 1024;
/** Most of a core that an idle tracker may take. */
const MOST_CPU = 0.003;
/** How long in milliseconds after the last peer has come the others are still told of it, and a sent file is tidied up. */
const SETTLING = 5_000;
/** Parts of all sends after which the table has a line. */
const STEPS = [0, 0.1, 0.25, 0.5, 1];
/**
 * Growth between the first tenth and all, bytes: of objects, since a receiver remembers its last 10 000 transfers, and of
 * resident memory, which V8 gives back when it likes.
 */
const MOST_GROWTH = { heap: 2 * MIB, memory: 16 * MIB };
/** Bytes of each file that is sent. */
const SIZE = 1000;

/** What one program holds. */
interface Held {
  descriptors: number;
  heap: number;
  memory: number;
}

async function idle(peers: number, seconds: number): Promise<string[]> {
  await using world = await World.create();
  const { program: tracker, invite } = await world.tracker();
  const { program: peer } = await world.peer("in", ["--join", invite, "--name", "bob"]);
  const others = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--allow-all", SCRIPT, invite, world.path("idle"), `${peers - 1}`],
    stdout: "piped",
  }).spawn();
  try {
    const { done } = await others.stdout.getReader().read();
    if (done) throw new Error("The peers have failed");
    await pause(SETTLING);
    const pids = [tracker.pid, peer.pid];
    const before = await Promise.all(pids.map(cpuOf));
    const began = performance.now();
    await pause(seconds * 1000);
    const after = await Promise.all(pids.map(cpuOf));
    const passed = (performance.now() - began) / 1000;
    const [ofTracker = NaN, ofPeer = NaN] = after.map((cpu, i) =>
      (cpu - (before[i] ?? 0)) / passed
    );
    const percent = (share: number) => `${(share * 100).toFixed(2)} % of a core`;
    const lost = tracker.lines.filter(({ event }) => event === "peer-left").length;
    console.log(`${peers} idle peers, ${passed.toFixed(0)} s, ${lost} lost`);
    console.log(`tracker ${percent(ofTracker)}, peer ${percent(ofPeer)}`);
    return ofTracker > MOST_CPU ? [`The idle tracker takes ${percent(ofTracker)}`] : [];
  } finally {
    others.kill("SIGKILL");
    await others.status;
  }
}

async function sends(count: number): Promise<string[]> {
  await using world = await World.create();
  const { tracker, receiver, menu } = await startInspected(world);
  const watched = [tracker, receiver, menu];
  const byMenu = await table(`${count} sends of one menu`, { count, watched }, (i) => {
    return sendByMenu(world, menu.program, `menu-${i}`);
  });
  const byCommands = await table(`${count} commands`, { count, watched }, async (i) => {
    const { path } = await world.file(`command-${i}`, SIZE);
    // Its program is remembered by the world, with what it wrote: little.
    const { code, stderr } = await world.run("peer", ["send", path, "--to", "bob", "--quiet"]);
    if (code !== 0) throw new Error(stderr);
  });
  return [...byMenu, ...byCommands];
}

async function sendByMenu(world: World, menu: Program, name: string): Promise<void> {
  const { path } = await world.file(name, SIZE);
  const from = menu.mark;
  await menu.write(`sendfile ${path} bob\n`);
  const { recipients } = await menu.until("transfer-finished", { from });
  if (recipients[0].state !== "delivered") throw new Error(JSON.stringify(recipients));
}

/** Sends again and again, prints what is held in between, and returns what has grown. */
async function table(
  title: string,
  { count, watched }: { count: number; watched: readonly Inspected[] },
  send: (i: number) => Promise<void>,
): Promise<string[]> {
  const steps = STEPS.map((part) => Math.round(part * count));
  const rows: Held[][] = [];
  for (let i = 0; i <= count; i++) {
    if (steps.includes(i)) {
      await pause(SETTLING);
      rows.push(await Promise.all(watched.map(heldBy)));
      console.log(`${title}: ${i}`);
    }
    if (i < count) await send(i);
  }
  const head = [title, ...watched.flatMap(({ name }) => [name, "", ""])];
  const units = ["sends", ...watched.flatMap(() => ["fds", "heap MiB", "RSS MiB"])];
  const cells = rows.map((row, i) => [
    `${steps[i]}`,
    ...row.flatMap(({ descriptors, heap, memory }) => [
      `${descriptors}`,
      (heap / MIB).toFixed(2),
      (memory / MIB).toFixed(0),
    ]),
  ]);
  for (const line of align([head, units, ...cells])) console.log(line);
  // What is loaded when it is first needed has been by the second line.
  const [first = [], last = []] = [rows[1], rows.at(-1)];
  return watched.flatMap(({ name }, i) => {
    const [a, b] = [first[i], last[i]];
    return a && b ? grown(a, b).map((what) => `${title}: ${name}: ${what}`) : [];
  });
}

function grown(before: Held, after: Held): string[] {
  const found: string[] = [];
  if (after.descriptors > before.descriptors + PASSING) {
    found.push(`${before.descriptors} descriptors have become ${after.descriptors}`);
  }
  for (const kind of ["heap", "memory"] as const) {
    const more = after[kind] - before[kind];
    if (more > MOST_GROWTH[kind]) found.push(`${kind} has grown by ${(more / MIB).toFixed(1)} MiB`);
  }
  return found;
}

async function heldBy({ program: { pid }, inspector }: Inspected): Promise<Held> {
  // The inspector's connection is a descriptor too.
  const descriptors = await descriptorsOf(pid);
  const heap = await inspector.heap();
  return { descriptors, heap, memory: await memoryOf(pid) };
}

/** Time in which nothing is to happen: what is measured. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const flags = parseArgs([...Deno.args], {
  string: ["peers", "seconds", "sends"],
  default: { peers: "100", seconds: "120", sends: "1000" },
});
const problems = [
  ...await idle(Number(flags.peers), Number(flags.seconds)),
  ...await sends(Number(flags.sends)),
];
for (const problem of problems) console.error(problem);
Deno.exit(problems.length > 0 ? 1 : 0);
