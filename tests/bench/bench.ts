/**
 * `deno task bench`: moves the same bytes with this project and with the programs that people use for it,
 * on this machine over loopback, in turn (A B C A B C ...), and prints medians and ratios. It installs
 * nothing; it says what is missing and how to get it. Linux.
 *
 * Flags:
 *   --workload large,cold,tree  which (all)
 *   --rounds N                  how often (5)
 *   --only TEXT,TEXT            contenders whose name has one of these, and the reference
 *   --folder DIR                where, on the disk to be measured (the temporary folder)
 *   --size MIB, --files N       of the large file and of the tree (1024, 10000), for a quick look
 *   --no-binaries               leaves dist/peer out (it takes part when it is newer than the sources)
 *   --json FILE                 writes the report there, too
 *   --memory                    only this program, and one file: for the peak memory of either end
 *   --resume                    what it costs to go on: 4 GiB and 20 000 files, killed at 10, 50, 90, 99 %
 *
 * @module
 */

import { join } from "@std/path";
import { parseArgs } from "@std/cli/parse-args";
import { type Contender, gather } from "./contenders.ts";
import { type Cost, measure } from "./measure.ts";
import { measureResume } from "./resume.ts";
import { hasFreshBinaries, REFERENCE } from "./ours.ts";
import { formatPhases, type Phase, phasesOf } from "./startup.ts";
import { formatReport, type Report, rowsOf } from "./table.ts";
import { contentOf, makeSource, touch, type Workload, workloads } from "./workloads.ts";

/** Runs of a command to find out where its time goes. */
const PHASE_RUNS = 9;

interface Options {
  keys: string[];
  rounds: number;
  only: string[];
  folder: string;
  mib: number;
  files: number;
  binaries: boolean;
  json: string | undefined;
  resume: boolean;
}

function parseOptions(args: readonly string[]): Options {
  const flags = parseArgs([...args], {
    string: ["workload", "rounds", "only", "folder", "size", "files", "json"],
    boolean: ["binaries", "memory", "resume"],
    negatable: ["binaries"],
    default: { rounds: "5", binaries: true },
    unknown: (arg) => {
      say(`Unknown argument ${arg}: the flags stand at the top of tests/bench/bench.ts`);
      Deno.exit(2);
    },
  });
  const list = (flag: unknown) => typeof flag === "string" ? flag.split(",") : [];
  const [memory, resume] = [flags["memory"] === true, flags["resume"] === true];
  return {
    keys: memory ? ["large"] : list(flags["workload"]),
    rounds: Number(flags["rounds"]),
    only: memory ? ["p2p"] : list(flags["only"]),
    folder: String(flags["folder"] ?? ""),
    mib: Number(flags["size"] ?? (resume ? 4096 : 1024)),
    files: Number(flags["files"] ?? (resume ? 20_000 : 10_000)),
    binaries: flags["binaries"] === true,
    json: flags["json"] as string | undefined,
    resume,
  };
}

/** One contender after the other, round after round; what fails is left out from then on. */
async function compare(
  workload: Workload,
  contenders: readonly Contender[],
  { folder, source, rounds, signal }: {
    folder: string;
    source: string;
    rounds: number;
    signal: AbortSignal;
  },
): Promise<Report> {
  const costs = new Map<string, Cost[]>();
  const failed = new Map<string, string>();
  for (let round = 1; round <= rounds * workload.repeat; round++) {
    for (const contender of contenders) {
      const { name } = contender;
      if (failed.has(name)) continue;
      signal.throwIfAborted();
      try {
        const cost = await runOnce(contender, workload, { source, folder });
        costs.set(name, [...costs.get(name) ?? [], cost]);
        say(`${workload.key} ${round} ${name.trim()}: ${cost.seconds.toFixed(3)} s`);
      } catch (error) {
        costs.delete(name);
        failed.set(name, `${name.trim()}: ${lastLine((error as Error).message)}`);
      }
    }
  }
  return { workload, rows: rowsOf(workload, contenders, costs), failed: [...failed.values()] };
}

/** Measures one run, and makes sure that everything has arrived. */
async function runOnce(
  contender: Contender,
  workload: Workload,
  { source, folder }: { source: string; folder: string },
): Promise<Cost> {
  const target = await Deno.makeTempDir({ dir: folder });
  await touch(source);
  await contender.prepare?.(source);
  const services = contender.services?.map(({ pid }) => pid) ?? [];
  const cost = await measure(contender.command({ source, target }), { services });
  const received = contender.received ?? target;
  if (!contender.isYardstick) {
    const { files, bytes } = await contentOf(received);
    if (files !== workload.files || bytes !== workload.bytes) {
      throw new Error(`${files} files of ${bytes} bytes arrived`);
    }
  }
  await putAway(received, join(folder, "done"), workload);
  return cost;
}

/**
 * Empties a folder outside the measured time. Small files are only moved away: after thousands have been
 * deleted, making new ones is much slower for a while.
 */
async function putAway(folder: string, away: string, { kind }: Workload): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith(".")) continue;
    if (kind === "tree") await Deno.rename(join(folder, name), join(away, crypto.randomUUID()));
    else await Deno.remove(join(folder, name), { recursive: true });
  }
}

/** Aborts at SIGINT and SIGTERM, so that services end and gigabytes are deleted. */
function interrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => controller.abort(new Error("interrupted")));
  }
  return controller.signal;
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

if (import.meta.main) {
  const options = parseOptions(Deno.args);
  // Deno reads the certificates that this names for every TLS connection: a machine's affair, not a program's.
  Deno.env.delete("NODE_EXTRA_CA_CERTS");
  // Deno opens nothing below /dev for a program that may not do everything, as a peer may not.
  if (/^\/dev(\/|$)/.test(await Deno.realPath(options.folder || "."))) {
    const mount = "mount -t tmpfs -o size=8G tmpfs DIR";
    say(
      `Cannot measure in ${options.folder}: a peer has no place below /dev; \`${mount}\` makes one`,
    );
    Deno.exit(2);
  }
  const signal = interrupted();
  const fresh = await hasFreshBinaries();
  const binaries = options.binaries && fresh;
  const reports: Report[] = [];
  const tables: string[] = [];
  let phases: Phase[] = [];
  const folder = await Deno.makeTempDir({
    prefix: "p2p-bench-",
    ...(options.folder === "" ? {} : { dir: options.folder }),
  });
  try {
    await using field = await gather({ folder, binaries });
    await Deno.mkdir(join(folder, "done"));
    for (const line of field.missing) say(`not compared: ${line}`);
    if (!fresh) say("not compared: binaries of these sources: deno task compile");
    const isWanted = ({ name }: Contender) =>
      options.only.length === 0 || name === REFERENCE ||
      options.only.some((text) => name.includes(text));
    for (const workload of workloads(options)) {
      if (options.keys.length > 0 && !options.keys.includes(workload.key)) continue;
      const contenders = field.contenders.filter((contender) =>
        isWanted(contender) && (contender.takes?.(workload) ?? true)
      );
      if (options.resume && workload.key === "cold") continue;
      const source = await makeSource(workload, folder);
      const { rounds } = options;
      if (options.resume) {
        const going = contenders.filter(({ resume }) => resume);
        const given = { contenders: going, workload, source, folder, signal, say };
        tables.push(await measureResume(given));
        await Deno.remove(source, { recursive: true });
        continue;
      }
      reports.push(await compare(workload, contenders, { folder, source, rounds, signal }));
      const reference = contenders.find(({ name }) => name === REFERENCE);
      if (workload.key === "cold" && reference) {
        phases = await phasesOf(reference, {
          source,
          runs: PHASE_RUNS,
          clean: () => putAway(reference.received ?? "", join(folder, "done"), workload),
        });
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  for (const table of [...reports.map(formatReport), ...tables]) say(`\n${table}`);
  if (phases.length > 0) say(`\n${formatPhases(phases)}`);
  if (options.json !== undefined) {
    const { rounds } = options;
    const machine = { cpus: navigator.hardwareConcurrency, deno: Deno.version.deno };
    await Deno.writeTextFile(
      options.json,
      JSON.stringify({ machine, rounds, reports, phases }, null, 2) + "\n",
    );
  }
}
