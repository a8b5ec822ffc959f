/**
 * The page of a tracker, its API and its metrics, by their paths. Of a list each answer has a page: `start` and `limit`.
 *
 * @module
 */

import { failure, type HttpReply, type HttpRequest, json, type Route } from "./http_server.ts";
import { changesRoute, listRoute, metricsRoute, pageOf, pageRoutes, text } from "./routes.ts";
import { openApi } from "./openapi.ts";
import { trackerMetrics } from "./tracker_metrics.ts";
import type { PeerStatus, Topic, TrackerStatus } from "./tracker_status.ts";

const TOPICS = ["peers", "shares", "messages", "evidence"] as const satisfies Topic[];

/** Answers everything that a tracker has to show. */
export async function trackerRoutes(status: TrackerStatus): Promise<Record<string, Route>> {
  return {
    ...await pageRoutes("tracker"),
    "/healthz": { isOpen: true, answer: () => text("ok") },
    "/readyz": {
      isOpen: true,
      answer: async () =>
        (await status.info()).remembers ? text("ready") : text("ready, and cannot write its state"),
    },
    "/metrics": metricsRoute(trackerMetrics(status)),
    "/api/v1/openapi.json": { isOpen: true, answer: () => json(openApi()) },
    "/api/v1/tracker": { answer: async () => json(await status.info()) },
    "/api/v1/peers": {
      answer: async ({ query }) => pageOf("peers", found(await status.peers(), query), query),
    },
    "/api/v1/shares": listRoute("shares", () => status.shares()),
    "/api/v1/shares/": { answer: (request) => oneShare(status, request) },
    "/api/v1/messages": listRoute("messages", () => status.messages()),
    "/api/v1/evidence": listRoute("evidence", () => status.evidence()),
    "/api/v1/events": changesRoute(TOPICS, (listener) => status.onChanged(listener)),
  };
}

/** Those in which a text is found, by name: of thousands nobody wants to be sent all to see one. */
function found(peers: PeerStatus[], query: URLSearchParams): PeerStatus[] {
  const wanted = query.get("find")?.trim().toLowerCase() ?? "";
  return peers
    .filter(({ name, id, address, groups }) =>
      [name, id, address, ...groups].some((text) => text.toLowerCase().includes(wanted))
    )
    .sort((a, b) => a.name < b.name ? -1 : 1);
}

function oneShare(status: TrackerStatus, { rest, query }: HttpRequest): HttpReply {
  const [from = "", share = "", ...more] = rest;
  const found = more.length === 0 ? status.share(from, share) : null;
  if (!found) return failure(404, "There is no such share; /api/v1/shares lists them");
  return pageOf("recipients", found.recipients, query, { share: found.share });
}
