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
 *   --senders N      (1) with more than one: ours alone, one of them first and then all at once
 *   --slow MBIT      of the lines of every other receiver (as the others)
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { parseArgs } from "@std/cli/parse-args";
import { Machines } from "../e2e/machines.ts";
import { World } from "../e2e/helpers.ts";
import { median } from "./measure.ts";
import { contenders, type Star, startOurs } from "./swarm_contenders.ts";
import { align } from "./table.ts";

const flags = parseArgs(Deno.args, {
  string: ["receivers", "size", "rate", "rounds", "only", "senders", "slow"],
  default: {
    receivers: "16",
    size: "64",
    rate: "100",
    rounds: "3",
    only: "",
    senders: "1",
    slow: "",
  },
  unknown: (arg) => {
    console.log(`Unknown argument ${arg}: the flags stand at the top of tests/bench/swarm.ts`);
    Deno.exit(2);
  },
});
const [receivers, mib, rate, rounds, senders] = [
  flags["receivers"],
  flags["size"],
  flags["rate"],
  flags["rounds"],
  flags["senders"],
].map(Number) as [number, number, number, number, number];
const slow = Number(flags["slow"] || rate);
const only = String(flags["only"]).split(",");

await using world = await World.create();
const machines = await Machines.start(world, 1 + receivers + senders);
for (const [i, host] of machines.hosts.entries()) {
  if (i === 0) continue;
  const isReceiver = i > 1 && i < 2 + receivers;
  const line = lineOf(isReceiver && i % 2 === 1 ? slow : rate);
  await host.slowDown(line);
  const { hub, device } = host.port ?? {};
  await hub?.slowDown(line, device);
}
const star: Star = { world, machines, receivers, bytes: mib * 1024 * 1024, rate };
if (senders > 1) await atOnce();
else await compare();

/** Seconds to one, to all and to the last with a fast line, and copies that left the sender. */
interface Run {
  one: number;
  all: number;
  fast: number;
  sent: number | null;
}

/** Several senders to the same receivers: what each takes alone, and when all of them send. */
async function atOnce(): Promise<void> {
  const { send } = await startOurs(star);
  const places = [1, ...Array.from({ length: senders - 1 }, (_, i) => 2 + receivers + i)];
  for (const i of places.slice(1)) await machines.join(i);
  for (let round = 1; round <= rounds; round++) {
    const sendFrom = async (from: number) => {
      const { path } = await world.file(`file-${round}-${from}.bin`, star.bytes);
      return (await send(path, receivers, from)).seconds;
    };
    const alone = await sendFrom(1);
    const all = await Promise.all(places.map(sendFrom));
    const times = all.map((seconds) =>
      `${seconds.toFixed(2)} s (${(seconds / alone).toFixed(2)} x)`
    );
    console.log(`${round} alone ${alone.toFixed(2)} s, at once ${times.join(", ")}`);
  }
}

function lineOf(rate: number) {
  return {
    rate: `${rate}mbit`,
    queue: Math.max(64_000, rate * 2_500),
    burst: Math.max(20_000, rate * 125),
  };
}

/** All that there are, in turn. */
async function compare(): Promise<void> {
  const found = await contenders(star);
  for (const missing of found.missing) console.log(`not compared: ${missing}`);
  const runs = new Map<string, Run[]>();
  for (let round = 1; round <= rounds; round++) {
    for (const { name, run } of found.contenders) {
      if (!only.some((text) => name.includes(text))) continue;
      const { path } = await world.file(`file-${round}.bin`, star.bytes);
      const { seconds: one } = await run(path, 1);
      const again = await world.file(`file-${round}-all.bin`, star.bytes);
      const { seconds: all, sent, each = [] } = await run(again.path, receivers);
      const fast = Math.max(...each.filter((_, i) => i % 2 === 0));
      runs.set(name, [...runs.get(name) ?? [], { one, all, sent, fast }]);
      console.log(`${round} ${name}: ${one.toFixed(2)} s to one, ${all.toFixed(2)} s to all`);
    }
  }
  const alone = mib * 8.388608 / rate;
  console.log(
    `\n${mib} MiB to ${receivers} at ${rate} Mbit/s, medians of ${rounds}; the line alone needs ` +
      `${alone.toFixed(2)} s`,
  );
  const rows = [...runs].map(([name, all]) => {
    const of = (pick: (run: Run) => number) => median(all.map(pick)).toFixed(2);
    const sent = all.some(({ sent }) => sent === null) ? "-" : of(({ sent }) => sent ?? 0);
    if (slow !== rate && all.every(({ fast }) => fast > 0)) {
      console.log(`${name}: the fast half had it after ${of(({ one, fast }) => fast / one)} x one`);
    }
    return [
      name,
      of(({ one }) => one),
      of(({ all }) => all),
      of(({ one, all }) => all / one),
      sent,
    ];
  });
  console.log(align([["", "one, s", "all, s", "x one", "sent, x file"], ...rows]).join("\n"));
}
