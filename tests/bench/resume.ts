/**
 * `deno task bench --resume`: what it costs to go on with a transfer whose command was killed (SIGKILL) when a part
 * of it was there, and started again. Linux: bytes are counted by /proc.
 *
 * @module
 */

import { join } from "@std/path";
import { align } from "./table.ts";
import type { Contender } from "./contenders.ts";
import type { Workload } from "./workloads.ts";

/** Parts after which a command is killed. */
const PARTS = [0.1, 0.5, 0.9, 0.99];
/** Bytes that a receiver has to write before they are called new ones: less are requests and signs of life. */
const NEW_BYTES = 256 * 1024;
/** Milliseconds between looks. */
const LOOK_EVERY = 5;
/** Milliseconds after which a file counts as left alone. */
const SETTLED = 62_000;
const MIB = 2 ** 20;

/** What going on has cost. */
interface Resumed {
  name: string;
  part: number;
  /** Bytes of the content that were there when it was killed. */
  there: number;
  /** Seconds from the start of the command to the first new byte at the receiver, and to its end. */
  first: number;
  end: number;
  /** Bytes on the line in both directions beyond what was missing: what was sent again, hashes and headers. */
  again: number;
  /** Bytes that each end read beyond what was missing, of files: programs and caches included. */
  read: { sender: number; receiver: number };
}

/** What is compared, where, and what hears of each result. */
export interface ResumeOptions {
  contenders: readonly Contender[];
  workload: Workload;
  source: string;
  /** On the file system that is measured. */
  folder: string;
  signal: AbortSignal;
  say: (text: string) => void;
}

/** Kills and goes on at each part with each contender that can; resolves with the table. */
export async function measureResume(options: ResumeOptions): Promise<string> {
  const { contenders, workload, source, folder, signal, say } = options;
  // What a sender remembers of a file it believes when that had been left alone for a minute.
  say(`waiting until ${workload.title} count as left alone`);
  await new Promise((resolve) => setTimeout(resolve, SETTLED));
  const results: Resumed[] = [];
  const failed: string[] = [];
  for (const contender of contenders) {
    for (const part of PARTS) {
      signal.throwIfAborted();
      try {
        const result = await resumeOnce({ contender, workload, source, folder, part });
        results.push(result);
        say(`resume ${workload.key} ${part} ${contender.name.trim()}: ${result.end.toFixed(2)} s`);
      } catch (error) {
        failed.push(`left out: ${contender.name}, ${part}: ${(error as Error).message}`);
        break;
      }
    }
  }
  return [format(results, workload), ...failed].join("\n");
}

async function resumeOnce({ contender, workload, source, folder, part }: {
  contender: Contender;
  workload: Workload;
  source: string;
  folder: string;
  part: number;
}): Promise<Resumed> {
  const { name, received, services = [], readsSockets = false, receives = false } = contender;
  const target = await Deno.makeTempDir({ dir: folder });
  const pids = () => services.map(({ pid }) => pid);
  await contender.prepare?.(source);
  const command = (contender.resume ?? contender.command)({ source, target });
  const there = await killAt(command, {
    written: () => written(received ?? target),
    bytes: part * workload.bytes,
  });
  const missing = workload.bytes - there;
  if (missing <= 0) throw new Error("all of it was there when it was killed");
  const [line, before] = [await lineBytes(), await ioOf(pids())];
  const started = performance.now();
  const run = start(command);
  let first: number | undefined;
  const looking = setInterval(async () => {
    const wrote = receives
      ? (await ioOf([run.pid])).wrote
      : (await ioOf(pids())).wrote - before.wrote;
    if (first === undefined && wrote >= Math.min(NEW_BYTES, missing / 2)) {
      first = performance.now();
    }
  }, LOOK_EVERY);
  const { success, stdout } = await run.output();
  clearInterval(looking);
  const ended = performance.now();
  if (!success) throw new Error("it did not go on");
  const own = Number(/rchar: (\d+)/.exec(new TextDecoder().decode(stdout))?.[1] ?? NaN);
  const served = (await ioOf(pids())).read - before.read;
  const [sender, receiver] = receives ? [served, own] : [own, served];
  const sent = await lineBytes() - line;
  await Deno.remove(target, { recursive: true });
  if (received) await empty(received);
  return {
    name,
    part,
    there,
    first: ((first ?? ended) - started) / 1000,
    end: (ended - started) / 1000,
    again: sent - missing,
    read: {
      sender: sender - missing,
      receiver: receiver - (readsSockets ? sent : 0),
    },
  };
}

/** Runs a command line until so much has been written, and kills all of it; resolves with what is there. */
async function killAt(
  command: string,
  { written, bytes }: { written: () => Promise<number>; bytes: number },
): Promise<number> {
  const run = start(command);
  let isOver = false;
  void run.status.then(() => isOver = true);
  while (await written() < bytes) {
    if (isOver) throw new Error("it was over too soon");
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
  await new Deno.Command("pkill", { args: ["-KILL", "-s", `${run.pid}`] }).output();
  await run.output();
  // What had been sent is written yet.
  let there = -1;
  for (let now = await written(); now !== there; now = await written()) {
    there = now;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return there;
}

/** A command line in a session of its own; its output ends with what it and its children have read. */
function start(command: string): Deno.ChildProcess {
  const script = `${command} >/dev/null 2>&1; code=$?; cat /proc/$$/io; exit $code`;
  return new Deno.Command("setsid", {
    args: ["bash", "-c", script],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
}

/** Bytes that are there of all files below a folder, but of what a program notes beside them. */
async function written(folder: string): Promise<number> {
  const notes = [".journal", ".aria2", ".table", ".plan", ".jsonl"].flatMap((ending) => [
    "!",
    "-name",
    `*${ending}`,
  ]);
  // A file may have its size before it has its blocks.
  const { stdout } = await new Deno.Command("find", {
    args: [folder, "-type", "f", ...notes, "-printf", "%s %b\n"],
    stderr: "null",
  }).output();
  let bytes = 0;
  for (const line of new TextDecoder().decode(stdout).split("\n")) {
    const [size = 0, blocks = 0] = line.split(" ").map(Number);
    bytes += Math.min(size, 512 * blocks);
  }
  return bytes;
}

/** Bytes that processes and their children have read from files and written anywhere. */
async function ioOf(pids: readonly number[]): Promise<{ read: number; wrote: number }> {
  const all = { read: 0, wrote: 0 };
  for (const pid of pids) {
    const text = await Deno.readTextFile(`/proc/${pid}/io`).catch(() => "");
    all.read += Number(/rchar: (\d+)/.exec(text)?.[1] ?? 0);
    all.wrote += Number(/wchar: (\d+)/.exec(text)?.[1] ?? 0);
    const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
    const inner = children.split(" ").filter((word) => word !== "").map(Number);
    if (inner.length > 0) {
      const { read, wrote } = await ioOf(inner);
      all.read += read;
      all.wrote += wrote;
    }
  }
  return all;
}

/** Bytes that have gone over loopback. */
async function lineBytes(): Promise<number> {
  const text = await Deno.readTextFile("/proc/net/dev");
  return Number(/^\s*lo:\s*(\d+)/m.exec(text)?.[1] ?? NaN);
}

async function empty(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.startsWith(".")) await Deno.remove(join(folder, name), { recursive: true });
  }
}

function format(results: readonly Resumed[], { title }: Workload): string {
  const head = [
    ...["", "killed at", "first byte s", "end s", "sent again MiB"],
    ...["sender read again MiB", "receiver read again MiB"],
  ];
  const mib = (bytes: number) => (Math.max(0, bytes) / MIB).toFixed(1);
  const rows = results.map(({ name, part, first, end, again, read }) => [
    name,
    `${Math.round(100 * part)} %`,
    ...[first, end].map((seconds) => seconds.toFixed(2)),
    ...[again, read.sender, read.receiver].map(mib),
  ]);
  return [`${title}, killed and started again`, ...align([head, ...rows])].join("\n");
}
