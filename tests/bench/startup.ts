/**
 * Where the milliseconds of one `peer send` go, seen from outside: the system calls at which one phase ends
 * and the next begins.
 *
 * @module
 */

import type { Contender } from "./contenders.ts";
import { median } from "./measure.ts";
import { align } from "./table.ts";

/** A stretch of the run. */
export interface Phase {
  name: string;
  /** Median. */
  milliseconds: number;
}

/** What is traced: few calls in all, and only those are slowed down. */
const TRACED = "execve,openat,connect,read,exit_group";

interface Call {
  /** Milliseconds since the first one. */
  at: number;
  text: string;
}

/** Where a phase ends: the first (or last) call that fits; without one it is part of the next phase. */
interface Mark {
  name: string;
  ends: (calls: readonly Call[]) => Call | undefined;
}

const first = (pattern: RegExp) => (calls: readonly Call[]) =>
  calls.find(({ text }) => pattern.test(text));
const last = (pattern: RegExp) => (calls: readonly Call[]) =>
  calls.findLast(({ text }) => pattern.test(text));
const CONNECT = /^connect\(.*AF_INET/;
/** Reading the file itself: by its piece size, which nothing else is read in. */
const PIECE = /\bread\b.*, 262144\) = 262144$/;

const MARKS: readonly Mark[] = [
  { name: "runtime starts", ends: first(/^openat\(.*\/peer\.ts"/) },
  { name: "modules are loaded", ends: first(/^openat\(.*\/state\/(tracker|peers)\//) },
  { name: "state and keys are read", ends: first(CONNECT) },
  {
    name: "tracker: TLS, greeting, list",
    ends: (calls) => calls.filter(({ text }) => CONNECT.test(text)).at(1),
  },
  { name: "peer: TLS, greeting, offer", ends: first(PIECE) },
  { name: "bytes are read, hashed, sent", ends: last(PIECE) },
  { name: "last bytes, sync, ACK", ends: first(/^openat\(.*\/history\.jsonl"/) },
  { name: "goodbyes", ends: first(/^exit_group/) },
];

/** Runs the contender under strace; no phases where that is not installed. */
export async function phasesOf(
  contender: Contender,
  { source, runs, clean }: { source: string; runs: number; clean: () => Promise<void> },
): Promise<Phase[]> {
  const trace = await Deno.makeTempFile();
  const all: Phase[][] = [];
  try {
    for (let run = 0; run < runs; run++) {
      const strace = `strace -f --seccomp-bpf -ttt -e trace=${TRACED} -o ${trace}`;
      const command = `${strace} ${contender.command({ source, target: "" })}`;
      const { success } = await new Deno.Command("bash", {
        args: ["-c", command],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).output();
      if (!success) return [];
      await clean();
      all.push(splitUp(parseTrace(await Deno.readTextFile(trace))));
    }
  } finally {
    await Deno.remove(trace);
  }
  return (all[0] ?? []).map(({ name }, i) => ({
    name,
    milliseconds: median(all.map((phases) => phases[i]?.milliseconds ?? 0)),
  }));
}

/** For people. */
export function formatPhases(phases: readonly Phase[]): string {
  const total = phases.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const rows = [...phases, { name: "together", milliseconds: total }];
  return [
    "Where the milliseconds of `peer send` of 10 MiB go (under strace, which adds some)",
    ...align(rows.map(({ name, milliseconds }) => [name, milliseconds.toFixed(1)])),
  ].join("\n");
}

function parseTrace(text: string): Call[] {
  const calls: Call[] = [];
  let start: number | undefined;
  for (const line of text.split("\n")) {
    const [, seconds, call = ""] = /^\d+\s+(\d+\.\d+) (.*)$/.exec(line) ?? [];
    if (seconds === undefined) continue;
    start ??= Number(seconds);
    calls.push({ at: (Number(seconds) - start) * 1000, text: call });
  }
  return calls;
}

function splitUp(calls: readonly Call[]): Phase[] {
  let from = 0;
  const phases = MARKS.map(({ name, ends }) => {
    const to = Math.max(from, ends(calls)?.at ?? from);
    const phase = { name, milliseconds: to - from };
    from = to;
    return phase;
  });
  const end = calls.at(-1)?.at ?? from;
  return [...phases, { name: "process ends", milliseconds: end - from }];
}
