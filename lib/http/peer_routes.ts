/**
 * The page of a peer, its API and its metrics, by their paths.
 *
 * @module
 */

import { json, type Route } from "./http_server.ts";
import { Metrics } from "./metrics.ts";
import {
  PEER_COUNTERS,
  type PeerCounts,
  type PeerInfo,
  type PeerStatus,
  type PeerTopic,
} from "./peer_status.ts";
import { changesRoute, listRoute, metricsRoute, pageRoutes, text } from "./routes.ts";

const TOPICS = ["transfers", "queue", "receipts"] as const satisfies PeerTopic[];

/** Answers everything that a peer has to show. */
export async function peerRoutes(status: PeerStatus): Promise<Record<string, Route>> {
  return {
    ...await pageRoutes("peer"),
    "/healthz": { isOpen: true, answer: () => text("ok") },
    "/readyz": {
      isOpen: true,
      answer: () => text(status.info().connected ? "ready" : "ready, without a tracker"),
    },
    "/metrics": metricsRoute(peerMetrics(status)),
    "/api/v1/peer": { answer: () => json(status.info()) },
    "/api/v1/transfers": listRoute("transfers", () => status.transfers()),
    "/api/v1/queue": listRoute("queue", () => status.queue()),
    "/api/v1/receipts": listRoute("receipts", () => status.receipts()),
    "/api/v1/events": changesRoute(TOPICS, (listener) => status.onChanged(listener)),
  };
}

function peerMetrics(status: PeerStatus): Metrics<PeerInfo> {
  const metrics = new Metrics("p2p_peer", () => status.info());
  metrics.gauge(
    "p2p_peer_connected",
    "1 while it has a session with its tracker",
    ({ connected }) => connected ? 1 : 0,
  );
  metrics.gauge("p2p_peer_known_peers", "Other peers that it knows of", ({ peers }) => peers);
  metrics.states("p2p_peer_transfers", "Transfers under way", "direction", () => {
    const directions = { send: 0, receive: 0 };
    for (const { direction, ended } of status.transfers()) {
      if (ended === null) directions[direction]++;
    }
    return directions;
  });
  metrics.gauge(
    "p2p_peer_queued",
    "What waits for those who are away",
    async () => (await status.queue()).length,
  );
  for (const [what, [name, help]] of Object.entries(PEER_COUNTERS)) {
    metrics.count(`p2p_peer_${name}_total`, help, () => status.counts()[what as keyof PeerCounts]);
  }
  return metrics;
}
