/**
 * What was measured, as rows for a table and for JSON.
 *
 * @module
 */

import type { Contender, Does } from "./contenders.ts";
import { type Cost, median } from "./measure.ts";
import { REFERENCE } from "./ours.ts";
import type { Workload } from "./workloads.ts";

/** The runs of one contender in one workload. */
export interface Row {
  name: string;
  does: Does;
  /** Medians. */
  seconds: number;
  cpuPerGiB: number;
  /** Shortest and longest of all runs. */
  range: [least: number, most: number];
  /** Largest of all runs, bytes; 0 where one command is both ends. */
  senderPeak: number;
  receiverPeak: number;
  /** Its seconds divided by those of the reference; null when that did not run. */
  ratio: number | null;
  runs: number;
}

/** One table. */
export interface Report {
  workload: Workload;
  rows: Row[];
  /** Contenders that could not take part, and what they said. */
  failed: string[];
}

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** The medians of all runs. */
export function rowsOf(
  workload: Workload,
  contenders: readonly Contender[],
  costs: ReadonlyMap<string, readonly Cost[]>,
): Row[] {
  const timesOf = (name: string) => (costs.get(name) ?? []).map(({ seconds }) => seconds);
  const secondsOf = (name: string) => median(timesOf(name));
  const reference = costs.has(REFERENCE) ? secondsOf(REFERENCE) : null;
  return contenders.flatMap(({ name, does }) => {
    const list = costs.get(name);
    if (!list) return [];
    return [{
      name,
      does,
      seconds: secondsOf(name),
      range: [Math.min(...timesOf(name)), Math.max(...timesOf(name))] as [number, number],
      cpuPerGiB: median(list.map(({ cpu }) => cpu)) * GIB / workload.bytes,
      senderPeak: Math.max(...list.map(({ peak }) => peak)),
      receiverPeak: Math.max(...list.map(({ servicePeak }) => servicePeak)),
      ratio: reference === null ? null : secondsOf(name) / reference,
      runs: list.length,
    }];
  });
}

/** For people. */
export function formatReport({ workload, rows, failed }: Report): string {
  const head = [
    ...["", "seconds", "least", "most", "MB/s", "x secure", "CPU s/GiB", "MiB send", "MiB recv"],
    ...["verifies", "encrypts", "syncs"],
  ];
  const inSeconds = (seconds: number) => seconds.toFixed(seconds < 1 ? 3 : 2);
  const cells = rows.map((row) => [
    row.name,
    inSeconds(row.seconds),
    ...row.range.map(inSeconds),
    (workload.bytes / row.seconds / 1e6).toFixed(0),
    row.ratio?.toFixed(2) ?? "-",
    row.cpuPerGiB.toFixed(1),
    (row.senderPeak / MIB).toFixed(0),
    row.receiverPeak === 0 ? "-" : (row.receiverPeak / MIB).toFixed(0),
    row.does.verifies,
    row.does.encrypts,
    row.does.syncs ? "yes" : "no",
  ]);
  const runs = Math.min(...rows.map((row) => row.runs));
  const title = `${workload.title}, over loopback, medians of ${runs}`;
  return [title, ...align([head, ...cells]), ...failed.map((line) => `left out: ${line}`)].join(
    "\n",
  );
}

/** The first column to the left, the others to the right. */
export function align(rows: readonly (readonly string[])[]): string[] {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows.map((row) =>
    row.map((cell, column) =>
      column === 0 ? cell.padEnd(width(column)) : cell.padStart(width(column))
    )
      .join("  ").trimEnd()
  );
}
