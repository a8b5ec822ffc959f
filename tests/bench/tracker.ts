/**
 * What joins cost a tracker with thousands of members (`deno task bench:tracker`, Linux): the tracker's CPU
 * time of each thousand joins, and how long it takes until everybody has heard of the last one.
 *
 *     deno task bench:tracker [--peers 3000] [--secure]
 *
 * The tracker is a process of its own; the members are sessions of this one, over loopback.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { join } from "@std/path";
import { parseArgs } from "@std/cli/parse-args";
import { parseInvite } from "../../lib/identity/invite.ts";
import { cpuOf, memoryOf } from "../helpers/process_stats.ts";
import { Service } from "./service.ts";
import { align } from "./table.ts";
import { Member, type MemberOptions } from "./tracker_member.ts";
import { closedPort } from "../helpers/closed_port.ts";

const MIB = 1024 * 1024;
/** Joins of one line of the table. */
const STEP = 1000;
/** Sessions that a tracker takes from one address, less some room. */
const MAX_PEERS = 4000;
/** Joins under way at once: fewer than the handshakes that a tracker has pending before it makes room. */
const PARALLEL = 32;
/** Longest time of the whole run, milliseconds. */
const TIME_LIMIT = 10 * 60_000;

interface Row {
  joins: string;
  perSecond: number;
  /** User and system time of the tracker in seconds. */
  cpu: number;
  /** Milliseconds from the last join until all members had it on their lists. */
  heard: number;
  /** Resident memory of the tracker, bytes. */
  memory: number;
}

const { peers, secure } = parseArgs(Deno.args, {
  string: ["peers"],
  boolean: ["secure"],
  default: { peers: "3000" },
});
const count = Math.min(Math.ceil(Number(peers) / STEP) * STEP + STEP, MAX_PEERS);

const timeout = setTimeout(() => {
  console.error(`The run took longer than ${TIME_LIMIT / 60_000} minutes`);
  Deno.exit(1);
}, TIME_LIMIT);
await run();
clearTimeout(timeout);

async function run(): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const args = ["run", "-q", "--no-prompt", "-P=tracker", "tracker.ts", "run"];
    const flags = [
      "--port",
      "0",
      "--host",
      "127.0.0.1",
      "--state",
      join(folder, "state"),
      "--json",
    ];
    const insecure = secure ? [] : ["--insecure"];
    await using tracker = new Service(Deno.execPath(), [...args, ...flags, ...insecure]);
    const { port, invite } = await tracker.event("listening");
    const { network, secret } = secure
      ? parseInvite(String(invite))
      : { network: "", secret: null };
    const rows = await joinAll(tracker.pid, {
      tracker: { host: "127.0.0.1", port: Number(port) },
      membership: secret ? { id: network, secret } : null,
      port: closedPort(),
    });
    report(rows);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function joinAll(pid: number, options: MemberOptions): Promise<Row[]> {
  const members: Member[] = [];
  const rows: Row[] = [];
  try {
    while (members.length < count) {
      const from = members.length;
      const [started, cpu] = [performance.now(), await cpuOf(pid)];
      let next = from;
      await Promise.all(Array.from({ length: PARALLEL }, async () => {
        while (next < from + STEP) members.push(await Member.join(`m${next++}`, options));
      }));
      const joined = performance.now();
      await allHeard(members);
      const now = performance.now();
      rows.push({
        joins: `${from + 1}-${members.length}`,
        perSecond: STEP / ((joined - started) / 1000),
        cpu: await cpuOf(pid) - cpu,
        heard: now - joined,
        memory: await memoryOf(pid),
      });
      console.log(lineOf(rows.at(-1) as Row).join("  "));
    }
  } finally {
    await Promise.all(members.map((member) => member.close()));
  }
  return rows;
}

/** Resolves when each member's list is whole up to the same revision. */
async function allHeard(members: readonly Member[]): Promise<void> {
  const last = Math.max(...members.map(({ revision }) => revision));
  while (members.some(({ revision }) => revision < last)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function report(rows: readonly Row[]): void {
  console.log();
  const head = ["joins", "joins/s", "tracker CPU s", "heard by all, ms", "tracker MiB"];
  for (const line of align([head, ...rows.map(lineOf)])) console.log(line);
  const [first, last] = [rows[0], rows.at(-1)];
  if (!first || !last) return;
  console.log(`\nCPU of the last ${STEP} / of the first: ${(last.cpu / first.cpu).toFixed(2)}`);
}

function lineOf({ joins, perSecond, cpu, heard, memory }: Row): string[] {
  return [joins, perSecond.toFixed(0), cpu.toFixed(2), heard.toFixed(0), (memory / MIB).toFixed(0)];
}
