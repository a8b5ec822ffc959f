import { Counter, Gauge, Registry } from "prom-client";

/** Says a value of now: one, or one for each value of a label. */
export type Read<T> = () => T | Promise<T>;

/** What a process is and has, as Prometheus has it of every program. */
export interface ProcessInfo {
  version: string;
  /** ISO 8601. */
  started: string;
  /** Resident memory, bytes. */
  memory: number;
  /** Seconds of user and system time. */
  cpu: number;
}

/** Metrics in the text format of Prometheus; each is read when it is asked for. */
export class Metrics {
  readonly #registry = new Registry();

  /**
   * @param prefix of the names of this program's own metrics.
   * @param info what the process is.
   */
  constructor(prefix: string, info: Read<ProcessInfo>) {
    this.states(
      `${prefix}_info`,
      "Its version",
      "version",
      async () => ({ [(await info()).version]: 1 }),
    );
    this.gauge(
      "process_resident_memory_bytes",
      "Resident memory",
      async () => (await info()).memory,
    );
    this.gauge(
      "process_start_time_seconds",
      "When it started, since 1970",
      async () => Date.parse((await info()).started) / 1000,
    );
    this.count("process_cpu_seconds_total", "User and system time", async () => (await info()).cpu);
  }

  /** Content-Type of the text. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All of them, as they are now. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  /** Something that goes up and down. */
  gauge(name: string, help: string, read: Read<number>): void {
    new Gauge({
      ...{ name, help, registers: [this.#registry] },
      async collect() {
        this.set(await read());
      },
    });
  }

  /** The same, one for each value of a label. */
  states(name: string, help: string, label: string, read: Read<Record<string, number>>): void {
    new Gauge({
      ...{ name, help, registers: [this.#registry], labelNames: [label] },
      async collect() {
        this.reset();
        for (const [key, value] of Object.entries(await read())) this.set({ [label]: key }, value);
      },
    });
  }

  /** Something that only grows. */
  count(name: string, help: string, read: Read<number>): void {
    new Counter({
      ...{ name, help, registers: [this.#registry] },
      async collect() {
        this.reset();
        this.inc(await read());
      },
    });
  }
}
