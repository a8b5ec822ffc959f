import { Counter, Gauge, Registry } from "prom-client";

/** Says a value, of what the program is at now: one, or one for each value of a label. */
export type Read<I, T> = (info: I) => T | Promise<T>;

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
export class Metrics<I extends ProcessInfo> {
  readonly #registry = new Registry();
  readonly #info: () => I | Promise<I>;
  /** What the program was at when the metrics were asked for last: read once for all of them. */
  #now: I | undefined;

  /**
   * @param prefix of the names of this program's own metrics.
   * @param info what the program is at now.
   */
  constructor(prefix: string, info: () => I | Promise<I>) {
    this.#info = info;
    this.states(`${prefix}_info`, "Its version", "version", ({ version }) => ({ [version]: 1 }));
    this.gauge("process_resident_memory_bytes", "Resident memory", ({ memory }) => memory);
    this.gauge(
      "process_start_time_seconds",
      "When it started, since 1970",
      ({ started }) => Date.parse(started) / 1000,
    );
    this.count("process_cpu_seconds_total", "User and system time", ({ cpu }) => cpu);
  }

  /** Content-Type of the text. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All of them, as they are now. */
  async text(): Promise<string> {
    this.#now = await this.#info();
    return await this.#registry.metrics();
  }

  /** Something that goes up and down. */
  gauge(name: string, help: string, read: Read<I, number>): void {
    const value = () => this.#read(read);
    new Gauge({
      ...{ name, help, registers: [this.#registry] },
      async collect() {
        this.set(await value());
      },
    });
  }

  /** The same, one for each value of a label. */
  states(name: string, help: string, label: string, read: Read<I, Record<string, number>>): void {
    const values = () => this.#read(read);
    new Gauge({
      ...{ name, help, registers: [this.#registry], labelNames: [label] },
      async collect() {
        this.reset();
        for (const [key, value] of Object.entries(await values())) {
          this.set({ [label]: key }, value);
        }
      },
    });
  }

  /** Something that only grows. */
  count(name: string, help: string, read: Read<I, number>): void {
    const value = () => this.#read(read);
    new Counter({
      ...{ name, help, registers: [this.#registry] },
      async collect() {
        this.reset();
        this.inc(await value());
      },
    });
  }

  async #read<T>(read: Read<I, T>): Promise<T> {
    return await read(this.#now ??= await this.#info());
  }
}
