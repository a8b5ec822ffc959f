/**
 * What a command costs: wall time, CPU time of it and of what serves it, peak memory of both.
 *
 * @module
 */

/** The cost of one run. */
export interface Cost {
  /** Wall time in seconds. */
  seconds: number;
  /** User and system time in seconds, of all processes that took part. */
  cpu: number;
  /** Largest resident set of a process of the command, bytes. */
  peak: number;
  /** Largest resident set of a process that served it, bytes; 0 without one. */
  servicePeak: number;
}

/** What {@linkcode measure} needs to know of a run. */
export interface MeasureOptions {
  /** Processes that serve the run and outlive it: what they and their children cost meanwhile counts too. */
  services?: readonly number[];
}

const TICKS_PER_SECOND = 100;
/** Milliseconds between looks at the children of services. */
const LOOK_EVERY = 50;
/** Milliseconds that children of a service may take to end after a run. */
const PATIENCE = 5_000;

/**
 * Runs a command line in bash and measures it: GNU time for the command, /proc for services (Linux).
 *
 * @throws {Error} with what the command printed when it fails.
 */
export async function measure(script: string, options: MeasureOptions = {}): Promise<Cost> {
  const { services = [] } = options;
  const report = await Deno.makeTempFile();
  try {
    await using watch = await ServiceWatch.start(services);
    const started = performance.now();
    const { success, stdout, stderr } = await new Deno.Command("/usr/bin/time", {
      args: ["-f", "%U %S %M", "-o", report, "bash", "-c", script],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    const seconds = (performance.now() - started) / 1000;
    if (!success) {
      const decoder = new TextDecoder();
      throw new Error(`${decoder.decode(stdout)}${decoder.decode(stderr)}`.trim() || script);
    }
    const last = (await Deno.readTextFile(report)).trim().split("\n").at(-1) ?? "";
    const [user = 0, system = 0, peak = 0] = last.split(" ").map(Number);
    const served = await watch.end();
    return {
      seconds,
      cpu: user + system + served.cpu,
      peak: peak * 1024,
      servicePeak: served.peak,
    };
  } finally {
    await Deno.remove(report);
  }
}

/** Looks at services during one run: their memory is counted from its start, their children by looking often. */
class ServiceWatch implements AsyncDisposable {
  readonly #services: readonly number[];
  readonly #before: Map<number, { cpu: number; children: number }>;
  readonly #timer: ReturnType<typeof setInterval>;
  #look = Promise.resolve();
  #peak = 0;

  private constructor(
    services: readonly number[],
    before: Map<number, { cpu: number; children: number }>,
  ) {
    this.#services = services;
    this.#before = before;
    this.#timer = setInterval(() => {
      this.#look = this.#look.then(() => this.#lookAtAll());
    }, LOOK_EVERY);
  }

  static async start(services: readonly number[]): Promise<ServiceWatch> {
    const before = new Map<number, { cpu: number; children: number }>();
    for (const pid of services) {
      // Linux: 5 sets the peak (VmHWM) to what is resident now.
      await Deno.writeTextFile(`/proc/${pid}/clear_refs`, "5");
      before.set(pid, { cpu: await cpuOf(pid), children: (await childrenOf(pid)).length });
    }
    return new ServiceWatch(services, before);
  }

  /** What the services have cost since the start, once they have let go of the children that served the run. */
  async end(): Promise<{ cpu: number; peak: number }> {
    let cpu = 0;
    for (const [pid, before] of this.#before) {
      const started = performance.now();
      while ((await childrenOf(pid)).length > before.children) {
        if (performance.now() - started > PATIENCE) throw new Error(`a child of ${pid} stays`);
      }
      cpu += await cpuOf(pid) - before.cpu;
    }
    await this.#lookAtAll();
    return { cpu, peak: this.#peak };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#look;
  }

  async #lookAtAll(): Promise<void> {
    for (const pid of this.#services) await this.#lookAt(pid);
  }

  async #lookAt(pid: number): Promise<void> {
    this.#peak = Math.max(this.#peak, await peakOf(pid));
    for (const child of await childrenOf(pid)) await this.#lookAt(child);
  }
}

/** CPU seconds of a process and the children that it has waited for. */
async function cpuOf(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / TICKS_PER_SECOND;
}

/** 0 for a process that has ended. */
async function peakOf(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

async function childrenOf(pid: number): Promise<number[]> {
  const path = `/proc/${pid}/task/${pid}/children`;
  const text = await Deno.readTextFile(path).catch(() => "");
  return text.split(" ").filter((word) => word !== "").map(Number);
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
