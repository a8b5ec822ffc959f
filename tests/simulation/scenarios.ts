/**
 * Swarms to judge the picker by, and the figures that shared/swarm.md names for each.
 *
 * @module
 */

import { limitsFor } from "../../lib/transfer/swarm/limits.ts";
import { SwarmPicker } from "../../lib/transfer/swarm/swarm_picker.ts";
import { LiarPolicy } from "./liar_policy.ts";
import { Random } from "./random.ts";
import {
  type HostSpec,
  type Machine,
  type Policy,
  type Result,
  type Setup,
  simulate,
} from "./simulator.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const MBIT = 1e6 / 8;

export interface Scenario {
  name: string;
  receivers: number;
  bytes: number;
  pieceSize: number;
  /** Bytes per second, both ways. */
  rate: number;
  /** One-way delay of a message between two hosts, seconds. */
  delay?: number;
  /** Rates differ by up to this share, by seed. */
  spread?: number;
  /** Changes hosts: deaths, joins, slow ones. `alone` is the time of one copy. */
  change?: (hosts: HostSpec[], random: Random, alone: number) => void;
  extra?: Partial<Setup>;
  /** The hosts whose finish counts; all by default. */
  counts?: (host: HostSpec) => boolean;
  /** Makespan in copies, median of seeds, that the algorithm was chosen for. */
  expected: number;
  /** Whether it is judged each time that the tests run. */
  isQuick?: boolean;
}

/** What one end of a Deno process costs with TLS 1.3 and SHA-256, from the measurements in deno-facts.md. */
export const TWO_CORES: Machine = {
  cores: 2,
  perByteSent: 1.5 / 1024 / MIB,
  perByteReceived: 2.2 / 1024 / MIB,
  perMessageSent: 15e-6,
  perMessageReceived: 15e-6,
  perPieceServed: 60e-6,
  perPieceVerified: 20e-6,
};

const NEIGHBOURS = 16;
const VERIFY_SECONDS = 1e-3;
const MESSAGE_JITTER = 5e-4;

/** Every receiver with the source, and a random graph: degree / 2 rings in random order, so it is connected. */
export function overlay(receivers: number, degree: number, random: Random): [number, number][] {
  const pairs = new Map<number, [number, number]>();
  const add = (a: number, b: number) => {
    if (a !== b) pairs.set(Math.min(a, b) * (receivers + 1) + Math.max(a, b), [a, b]);
  };
  const all = Array.from({ length: receivers }, (_, i) => i + 1);
  for (const host of all) add(0, host);
  if (degree >= receivers - 1) {
    for (const a of all) for (let b = a + 1; b <= receivers; b++) add(a, b);
    return [...pairs.values()];
  }
  for (let ring = 0; ring < degree / 2; ring++) {
    const order = random.shuffle([...all]);
    order.forEach((host, i) => add(host, order[(i + 1) % receivers] ?? host));
  }
  return [...pairs.values()];
}

/** Seconds that the host alone needs for one copy. */
function alone(scenario: Scenario, sharer: HostSpec, host: HostSpec): number {
  const delay = sharer.latency + host.latency;
  return scenario.bytes / Math.min(sharer.up, host.down) + 5 * delay + VERIFY_SECONDS;
}

export function setUp(scenario: Scenario, seed: number): Setup {
  const { receivers, bytes, pieceSize, rate, delay = 2e-4, spread = 0, change, extra } = scenario;
  const random = new Random(seed * 31 + 7);
  const pieceCount = Math.ceil(bytes / pieceSize);
  const hosts: HostSpec[] = Array.from({ length: receivers + 1 }, () => {
    const own = rate * (1 + spread * (2 * random.next() - 1));
    return { up: own, down: own, latency: delay / 2 };
  });
  change?.(hosts, random, bytes / rate);
  const limits = limitsFor({ roundTrip: 2000 * delay + 2, rate, pieceSize, receivers });
  const policy = (host: number, own: Random): Policy => {
    if (hosts[host]?.liar) return new LiarPolicy(pieceCount);
    const picker = new SwarmPicker<number>({
      pieceCount,
      isSharer: host === 0,
      limits: () => limits,
      random: () => own.next(),
    });
    picker.handle({ type: "known", count: pieceCount }, 0);
    return picker;
  };
  return {
    hosts,
    pieceCount,
    pieceSize,
    seed,
    verifySeconds: VERIFY_SECONDS,
    messageJitter: MESSAGE_JITTER,
    links: overlay(receivers, NEIGHBOURS, random),
    policy,
    ...extra,
  };
}

/** The last finish of those that count, in copies; what the sharer sent, in files. */
export function figuresOf(
  scenario: Scenario,
  { hosts }: Setup,
  { finishedAt, sentBytes }: Result,
): { copies: number; sent: number } {
  const [sharer] = hosts;
  let [last, longest] = [0, 0];
  for (const [i, host] of hosts.entries()) {
    if (!sharer || i === 0 || host.leavesAt !== undefined || host.liar) continue;
    if (scenario.counts && !scenario.counts(host)) continue;
    last = Math.max(last, finishedAt[i] ?? Infinity);
    longest = Math.max(longest, alone(scenario, sharer, host));
  }
  return { copies: last / longest, sent: (sentBytes[0] ?? 0) / scenario.bytes };
}

/** Runs a scenario with seeds from 1 on: the median and the worst makespan, and what the sharer sent in the median. */
export function judge(
  scenario: Scenario,
  seeds: number,
): { copies: number; worst: number; sent: number } {
  const runs = Array.from({ length: seeds }, (_, seed) => {
    const setup = setUp(scenario, seed + 1);
    return figuresOf(scenario, setup, simulate({ ...setup, deadline: 600 }));
  }).sort((a, b) => a.copies - b.copies);
  const [median, worst] = [runs[runs.length >> 1], runs.at(-1)];
  return {
    copies: median?.copies ?? Infinity,
    worst: worst?.copies ?? Infinity,
    sent: median?.sent ?? Infinity,
  };
}

const sixteen = { receivers: 16, bytes: 64 * MIB, pieceSize: 128 * KIB, rate: 100 * MBIT };
const fifty = { receivers: 50, bytes: 16 * MIB, pieceSize: 64 * KIB, rate: 20 * MBIT };

function halfSlow(hosts: HostSpec[]): void {
  for (const host of hosts.filter((_, i) => i > 0 && i % 2 === 0)) {
    host.up = host.down = 10 * MBIT;
  }
}

function thirdDies(hosts: HostSpec[], random: Random, alone: number): void {
  const receivers = random.shuffle(hosts.slice(1));
  for (const host of receivers.slice(0, Math.floor(receivers.length / 3))) {
    host.leavesAt = random.next() * 1.1 * alone;
  }
}

export const SCENARIOS: readonly Scenario[] = [
  { name: "16 x 100 Mbit/s, 64 MiB", isQuick: true, ...sixteen, expected: 1.05 },
  { name: "  50 ms", ...sixteen, delay: 50e-3, expected: 1.21 },
  { name: "  on two cores", ...sixteen, extra: { machine: TWO_CORES }, expected: 1.05 },
  { name: "50 x 20 Mbit/s, 16 MiB", isQuick: true, ...fifty, expected: 1.15 },
  {
    name: "half at 10 Mbit/s: the fast",
    isQuick: true,
    ...sixteen,
    change: halfSlow,
    counts: (host) => host.down > 11 * MBIT,
    expected: 1.13,
  },
  { name: "a third dies", isQuick: true, ...sixteen, change: thirdDies, expected: 1.05 },
  {
    name: "a third dies, noticed after 5 s",
    ...sixteen,
    change: thirdDies,
    extra: { noticeSeconds: 5 },
    expected: 1.16,
  },
  {
    name: "a third dies, the sharer leaves",
    isQuick: true,
    ...sixteen,
    change: thirdDies,
    extra: { sourceLeavesAfterOneCopy: true },
    expected: 1.05,
  },
  {
    name: "4 of 16 join at half time",
    isQuick: true,
    ...sixteen,
    change: (hosts, _, alone) => {
      for (const host of hosts.slice(13)) host.joinsAt = alone / 2;
    },
    expected: 1.05,
  },
  {
    name: "2 of 16 lie",
    isQuick: true,
    ...sixteen,
    change: (hosts) => {
      for (const host of hosts.filter((_, i) => i === 3 || i === 9)) host.liar = true;
    },
    expected: 1.13,
  },
  { name: "2 hosts, 16 MiB", ...fifty, receivers: 2, expected: 1.02, isQuick: true },
  { name: "5 hosts, 16 MiB", ...fifty, receivers: 5, expected: 1.05, isQuick: true },
  { name: "200 hosts, 16 MiB", ...fifty, receivers: 200, expected: 1.21 },
];
