import { Metrics } from "./metrics.ts";
import type { TrackerCounts, TrackerStatus } from "./tracker_status.ts";

/** Counters: what is counted, and what is said of it. */
const COUNTERS: Readonly<Record<keyof TrackerCounts, [name: string, help: string]>> = {
  joined: ["joins", "Peers that were listed, for the first time or again"],
  left: ["leaves", "Peers that left the list"],
  refused: ["refused_connections", "Connections that came to nothing"],
  broadcasts: ["broadcasts", "Broadcasts that were relayed"],
  messages: ["messages", "Copies of broadcasts that went out"],
  reports: ["reports", "Reports of shares that came in"],
  relayedBytes: ["relayed_bytes", "Bytes passed on between peers without a direct path"],
};

/** The metrics of a tracker. */
export function trackerMetrics(status: TrackerStatus): Metrics {
  const info = () => status.info();
  const metrics = new Metrics("p2p_tracker", info);
  metrics.states(
    "p2p_tracker_peers",
    "Peers that are listed",
    "state",
    async () => (await info()).peers,
  );
  metrics.gauge(
    "p2p_tracker_sessions",
    "Sessions of peers and commands",
    async () => (await info()).sessions,
  );
  metrics.states("p2p_tracker_shares", "Shares that were reported", "state", () => {
    const states = { running: 0, over: 0, lost: 0 };
    for (const { state } of status.shares()) states[state]++;
    return states;
  });
  metrics.gauge(
    "p2p_tracker_convicted_peers",
    "Peers that have signed wrong data",
    () => status.evidence().length,
  );
  metrics.gauge(
    "p2p_tracker_remembers",
    "1 while what has to outlive a restart can be written",
    async () => (await info()).remembers ? 1 : 0,
  );
  for (const [what, [name, help]] of Object.entries(COUNTERS)) {
    metrics.count(
      `p2p_tracker_${name}_total`,
      help,
      () => status.counts()[what as keyof TrackerCounts],
    );
  }
  return metrics;
}
