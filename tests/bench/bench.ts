/**
 * `deno task bench`: moves the same bytes with this project and with the programs that people use for it,
 * on this machine over loopback, in turn (A B C A B C ...), and prints medians and ratios.
 *
 * Flags: --rounds N (5), --size MIB (1024), --folder DIR (the temporary folder; on the disk to be measured),
 * --only TEXT (contenders whose name has it, and the reference), --json FILE.
 *
 * @module
 */

import { join } from "@std/path";
import { parseArgs } from "@std/cli/parse-args";
import { type Contender, gather } from "./contenders.ts";
import { type Cost, measure, median } from "./measure.ts";

/** What all others are compared with. */
const REFERENCE = "p2p, secure";

interface Row {
  name: string;
  seconds: number;
  cpu: number;
  peak: number;
  runs: number;
}

/** Writes `mib` MiB that no program can compress. */
async function makeSource(path: string, mib: number): Promise<void> {
  const file = await Deno.open(path, { write: true, createNew: true });
  const chunk = new Uint8Array(1024 * 1024);
  for (let i = 0; i < mib; i++) {
    for (let at = 0; at < chunk.length; at += 65536) {
      crypto.getRandomValues(chunk.subarray(at, at + 65536));
    }
    for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
  }
  file.close();
}

async function runOnce(contender: Contender, source: string, folder: string): Promise<Cost> {
  const target = await Deno.makeTempDir({ dir: folder });
  try {
    return await measure(contender.command({ source, target }), {
      services: contender.services?.map(({ pid }) => pid) ?? [],
    });
  } finally {
    await Deno.remove(target, { recursive: true });
    await contender.clean?.();
  }
}

function summarise(name: string, costs: readonly Cost[]): Row {
  return {
    name,
    seconds: median(costs.map((cost) => cost.seconds)),
    cpu: median(costs.map((cost) => cost.cpu)),
    peak: Math.max(...costs.map((cost) => cost.peak)),
    runs: costs.length,
  };
}

function table(rows: readonly Row[], mib: number): string {
  const reference = rows.find(({ name }) => name === REFERENCE)?.seconds ?? NaN;
  const lines = rows.map(({ name, seconds, cpu, peak }) =>
    [
      name.padEnd(26),
      seconds.toFixed(2).padStart(8),
      (mib * 1.048576 / seconds).toFixed(0).padStart(7),
      (seconds / reference).toFixed(2).padStart(9),
      (cpu * 1024 / mib).toFixed(1).padStart(9),
      (peak / 2 ** 20).toFixed(0).padStart(9),
    ].join(" ")
  );
  const head = `${"".padEnd(26)}  seconds    MB/s  x secure CPU s/GiB  peak MiB`;
  return [head, ...lines].join("\n");
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

if (import.meta.main) {
  const flags = parseArgs(Deno.args, {
    string: ["only", "json", "folder", "rounds", "size"],
    default: { rounds: "5", size: "1024" },
  });
  const [rounds, mib] = [Number(flags["rounds"]), Number(flags["size"])];
  const parent = flags["folder"] as string | undefined;
  const folder = await Deno.makeTempDir({
    prefix: "p2p-bench-",
    ...(parent ? { dir: parent } : {}),
  });
  try {
    await using field = await gather(folder);
    const only = flags["only"] as string | undefined;
    const contenders = field.contenders.filter(({ name }) =>
      only === undefined || name === REFERENCE || name.includes(only)
    );
    for (const line of field.missing) say(`not compared: ${line}`);
    const source = join(folder, "source.bin");
    await makeSource(source, mib);
    const costs = new Map<string, Cost[]>();
    for (let round = 1; round <= rounds; round++) {
      for (const contender of contenders) {
        const cost = await runOnce(contender, source, folder);
        costs.set(contender.name, [...costs.get(contender.name) ?? [], cost]);
        say(`${round}/${rounds} ${contender.name}: ${cost.seconds.toFixed(2)} s`);
      }
    }
    const rows = [...costs].map(([name, list]) => summarise(name, list));
    say(`\n${mib} MiB over loopback, medians of ${rounds}:\n${table(rows, mib)}`);
    if (flags["json"]) {
      await Deno.writeTextFile(
        String(flags["json"]),
        JSON.stringify({ mib, rounds, rows }, null, 2),
      );
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
