/**
 * `deno task bench:swarm`: sends one file to many machines, which are network namespaces around a switch whose lines are
 * as slow both ways as is asked for; in turn with libtorrent, whose hosts know each other from the start, with rsync, and
 * with UFTP.
 * Prints what the last machine took: in seconds, and as a multiple of what one alone takes. Linux, as root; what is not
 * installed it names. All hosts share this machine's processor.
 *
 * Flags:
 *   --receivers N    (16)
 *   --size MIB       (64)
 *   --rate MBIT      of each line (100)
 *   --rounds N       (3)
 *   --only TEXT,TEXT contenders whose name has one of these
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { parseArgs } from "@std/cli/parse-args";
import { Machines } from "../e2e/machines.ts";
import { World } from "../e2e/helpers.ts";
import { median } from "./measure.ts";
import { contenders, type Star } from "./swarm_contenders.ts";
import { align } from "./table.ts";

const flags = parseArgs(Deno.args, {
  string: ["receivers", "size", "rate", "rounds", "only"],
  default: { receivers: "16", size: "64", rate: "100", rounds: "3", only: "" },
  unknown: (arg) => {
    console.log(`Unknown argument ${arg}: the flags stand at the top of tests/bench/swarm.ts`);
    Deno.exit(2);
  },
});
const [receivers, mib, rate, rounds] = [
  flags["receivers"],
  flags["size"],
  flags["rate"],
  flags["rounds"],
].map(Number) as [number, number, number, number];
const only = String(flags["only"]).split(",");

await using world = await World.create();
const machines = await Machines.start(world, receivers + 2);
const line = {
  rate: `${rate}mbit`,
  queue: Math.max(64_000, rate * 2_500),
  burst: Math.max(20_000, rate * 125),
};
for (const host of machines.hosts.slice(1)) {
  await host.slowDown(line);
  const { hub, device } = host.port ?? {};
  await hub?.slowDown(line, device);
}
const star: Star = { world, machines, receivers, bytes: mib * 1024 * 1024, rate };
const found = await contenders(star);
for (const missing of found.missing) console.log(`not compared: ${missing}`);

/** Of each contender its runs: seconds to one, seconds to all, copies that left the sender. */
const runs = new Map<string, { one: number; all: number; sent: number | null }[]>();
for (let round = 1; round <= rounds; round++) {
  for (const { name, run } of found.contenders) {
    if (!only.some((text) => name.includes(text))) continue;
    const { path } = await world.file(`file-${round}.bin`, star.bytes);
    const { seconds: one } = await run(path, 1);
    const again = await world.file(`file-${round}-all.bin`, star.bytes);
    const { seconds: all, sent } = await run(again.path, receivers);
    runs.set(name, [...runs.get(name) ?? [], { one, all, sent }]);
    console.log(`${round} ${name}: ${one.toFixed(2)} s to one, ${all.toFixed(2)} s to all`);
  }
}
const alone = mib * 8.388608 / rate;
console.log(
  `\n${mib} MiB to ${receivers} at ${rate} Mbit/s, medians of ${rounds}; the line alone needs ` +
    `${alone.toFixed(2)} s`,
);
const rows = [...runs].map(([name, all]) => {
  const of = (pick: (run: { one: number; all: number; sent: number | null }) => number) =>
    median(all.map(pick)).toFixed(2);
  const sent = all.some(({ sent }) => sent === null) ? "-" : of(({ sent }) => sent ?? 0);
  return [name, of(({ one }) => one), of(({ all }) => all), of(({ one, all }) => all / one), sent];
});
console.log(align([["", "one, s", "all, s", "x one", "sent, x file"], ...rows]).join("\n"));
