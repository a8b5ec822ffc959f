/**
 * What a command costs: wall time, CPU time of it and its children, peak memory.
 *
 * @module
 */

/** The cost of one run. */
export interface Cost {
  /** Wall time in seconds. */
  seconds: number;
  /** User and system time in seconds, of all processes that took part. */
  cpu: number;
  /** Largest resident set of any one process, bytes. */
  peak: number;
}

/** What {@linkcode measure} needs to know of a run. */
export interface MeasureOptions {
  /** Processes that serve the run and outlive it: their CPU time meanwhile counts too. */
  services?: readonly number[];
  cwd?: string;
}

const TICKS_PER_SECOND = 100;

/**
 * Runs a command line in bash and measures it. Linux: it reads /proc for services, and bash's `time` and
 * GNU time for the command.
 *
 * @throws {Error} with what the command printed when it fails.
 */
export async function measure(script: string, options: MeasureOptions = {}): Promise<Cost> {
  const { services = [], cwd } = options;
  const report = await Deno.makeTempFile();
  const before = await Promise.all(services.map(cpuOf));
  const started = performance.now();
  const { success, stdout, stderr } = await new Deno.Command("/usr/bin/time", {
    args: ["-f", "%U %S %M", "-o", report, "bash", "-c", script],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(cwd ? { cwd } : {}),
  }).output();
  const seconds = (performance.now() - started) / 1000;
  const decoder = new TextDecoder();
  if (!success) {
    throw new Error(`${script}\n${decoder.decode(stdout)}${decoder.decode(stderr)}`);
  }
  const last = (await Deno.readTextFile(report)).trim().split("\n").at(-1) ?? "";
  await Deno.remove(report);
  const [user = 0, system = 0, peak = 0] = last.split(" ").map(Number);
  const after = await Promise.all(services.map(cpuOf));
  const served = after.reduce((sum, cpu, i) => sum + cpu - (before[i] ?? 0), 0);
  const peaks = await Promise.all(services.map(peakOf));
  return { seconds, cpu: user + system + served, peak: Math.max(peak * 1024, ...peaks) };
}

/** CPU seconds of a process and the children that it has waited for. */
async function cpuOf(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / TICKS_PER_SECOND;
}

async function peakOf(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

/** The middle of the values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = 0, high = 0] = sorted.length % 2 === 1
    ? [sorted[middle], sorted[middle]]
    : [sorted[middle - 1], sorted[middle]];
  return (low + high) / 2;
}
