import { Metrics } from "./metrics.ts";
import {
  TRACKER_COUNTERS,
  type TrackerCounts,
  type TrackerInfo,
  type TrackerStatus,
} from "./tracker_status.ts";

/** The metrics of a tracker. */
export function trackerMetrics(status: TrackerStatus): Metrics<TrackerInfo> {
  const metrics = new Metrics("p2p_tracker", () => status.info());
  metrics.states("p2p_tracker_peers", "Peers that are listed", "state", ({ peers }) => peers);
  metrics.gauge(
    "p2p_tracker_sessions",
    "Sessions of peers and commands",
    ({ sessions }) => sessions,
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
    ({ remembers }) => remembers ? 1 : 0,
  );
  for (const [what, [name, help]] of Object.entries(TRACKER_COUNTERS)) {
    metrics.count(
      `p2p_tracker_${name}_total`,
      help,
      () => status.counts()[what as keyof TrackerCounts],
    );
  }
  return metrics;
}
