import { Counter, Gauge, Registry } from "prom-client";
import type { TrackerCounts, TrackerStatus } from "./tracker_status.ts";

/** Counters: what is counted, and what is said of it. */
const COUNTERS: Readonly<Record<keyof TrackerCounts, [name: string, help: string]>> = {
  joined: ["p2p_tracker_joins_total", "Peers that were listed, for the first time or again"],
  left: ["p2p_tracker_leaves_total", "Peers that left the list"],
  refused: ["p2p_tracker_refused_connections_total", "Connections that came to nothing"],
  broadcasts: ["p2p_tracker_broadcasts_total", "Broadcasts that were relayed"],
  messages: ["p2p_tracker_messages_total", "Copies of broadcasts that went out"],
  reports: ["p2p_tracker_reports_total", "Reports of shares that came in"],
  relayedBytes: [
    "p2p_tracker_relayed_bytes_total",
    "Bytes passed on between peers without a direct path",
  ],
};

/** The metrics of a tracker, in the text format of Prometheus; each is read when it is asked for. */
export function trackerMetrics(
  status: TrackerStatus,
): { contentType: string; metrics(): Promise<string> } {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (
    name: string,
    help: string,
    read: () => Promise<Record<string, number>> | Record<string, number>,
    label?: string,
  ) =>
    new Gauge({
      ...{ name, help, registers, labelNames: label === undefined ? [] : [label] },
      async collect() {
        this.reset();
        for (const [key, value] of Object.entries(await read())) {
          if (label === undefined) this.set(value);
          else this.set({ [label]: key }, value);
        }
      },
    });
  gauge(
    "p2p_tracker_info",
    "Its version",
    async () => ({ [(await status.info()).version]: 1 }),
    "version",
  );
  gauge(
    "p2p_tracker_peers",
    "Peers that are listed",
    async () => (await status.info()).peers,
    "state",
  );
  gauge("p2p_tracker_sessions", "Sessions of peers and commands", async () => ({
    all: (await status.info()).sessions,
  }));
  gauge("p2p_tracker_shares", "Shares that were reported", () => {
    const states = { running: 0, over: 0, lost: 0 };
    for (const { state } of status.shares()) states[state]++;
    return states;
  }, "state");
  gauge("p2p_tracker_convicted_peers", "Peers that have signed wrong data", () => ({
    all: status.evidence().length,
  }));
  gauge(
    "p2p_tracker_remembers",
    "1 while what has to outlive a restart can be written",
    async () => ({
      all: (await status.info()).remembers ? 1 : 0,
    }),
  );
  gauge("process_resident_memory_bytes", "Resident memory", async () => ({
    all: (await status.info()).memory,
  }));
  gauge("process_start_time_seconds", "When it started, since 1970", async () => ({
    all: Date.parse((await status.info()).started) / 1000,
  }));
  const count = (name: string, help: string, read: () => Promise<number> | number) =>
    new Counter({
      ...{ name, help, registers },
      async collect() {
        this.reset();
        this.inc(await read());
      },
    });
  count("process_cpu_seconds_total", "User and system time", async () => (await status.info()).cpu);
  for (const [what, [name, help]] of Object.entries(COUNTERS)) {
    count(name, help, () => status.counts()[what as keyof TrackerCounts]);
  }
  return registry;
}
