/**
 * The page of a tracker, its API and its metrics, by their paths. Of a list each answer has a page: `start` and `limit`.
 *
 * @module
 */

import {
  type EventStream,
  failure,
  type HttpReply,
  type HttpRequest,
  json,
  type Route,
} from "./http_server.ts";
import { openApi } from "./openapi.ts";
import { trackerMetrics } from "./tracker_metrics.ts";
import type { Topic, TrackerStatus } from "./tracker_status.ts";

/** Entries of a page, unless `limit` says less. */
const PAGE = 500;
/** Milliseconds in which changes are told once. */
const TOLD_EVERY = 500;

/** Files of the page, beside this module. */
const FILES: Readonly<Record<string, { file: string; type: string }>> = {
  "/": { file: "index.html", type: "text/html; charset=utf-8" },
  "/page.js": { file: "page.js", type: "text/javascript; charset=utf-8" },
  "/page.css": { file: "page.css", type: "text/css; charset=utf-8" },
  "/icon.svg": { file: "icon.svg", type: "image/svg+xml" },
};

/** Answers everything that a tracker has to show. */
export async function trackerRoutes(status: TrackerStatus): Promise<Record<string, Route>> {
  const metrics = trackerMetrics(status);
  const files = await Promise.all(
    Object.entries(FILES).map(async ([path, { file, type }]): Promise<[string, Route]> => {
      const body = await Deno.readFile(new URL(`./page/${file}`, import.meta.url));
      return [path, { isOpen: true, answer: () => ({ type, body }) }];
    }),
  );
  const list = (name: string, all: () => Promise<unknown[]> | unknown[]): Route => ({
    answer: async ({ query }) => pageOf(name, await all(), query),
  });
  return {
    ...Object.fromEntries(files),
    "/healthz": { isOpen: true, answer: () => text("ok") },
    "/readyz": {
      isOpen: true,
      answer: async () =>
        (await status.info()).remembers ? text("ready") : text("ready, and cannot write its state"),
    },
    "/metrics": {
      answer: async () => ({ type: metrics.contentType, body: await metrics.metrics() }),
    },
    "/api/v1/openapi.json": { isOpen: true, answer: () => json(openApi()) },
    "/api/v1/tracker": { answer: async () => json(await status.info()) },
    "/api/v1/peers": list("peers", () => status.peers()),
    "/api/v1/shares": list("shares", () => status.shares()),
    "/api/v1/shares/": { answer: (request) => oneShare(status, request) },
    "/api/v1/messages": list("messages", () => status.messages()),
    "/api/v1/evidence": list("evidence", () => status.evidence()),
    "/api/v1/events": { answer: () => changes(status) },
  };
}

function oneShare(status: TrackerStatus, { rest, query }: HttpRequest): HttpReply {
  const [from = "", share = "", ...more] = rest;
  const found = more.length === 0 ? status.share(from, share) : null;
  if (!found) return failure(404, "There is no such share; /api/v1/shares lists them");
  return pageOf("recipients", found.recipients, query, { share: found.share });
}

/** Tells which lists have changed: whoever shows one asks for it again. */
function changes(status: TrackerStatus): EventStream {
  return {
    begin(send, onReady) {
      const changed = new Set<Topic>();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const tell = () => {
        timer = undefined;
        if (changed.size === 0) return;
        if (send("changed", [...changed])) changed.clear();
        else onReady(tell);
      };
      const stop = status.onChanged((topic) => {
        changed.add(topic);
        timer ??= setTimeout(tell, TOLD_EVERY);
      });
      // At once, so that a client knows that it is connected, and asks for what it has missed.
      send("changed", ["peers", "shares", "messages", "evidence"] satisfies Topic[]);
      return () => {
        stop();
        clearTimeout(timer);
      };
    },
  };
}

function pageOf(
  name: string,
  all: readonly unknown[],
  query: URLSearchParams,
  more: Record<string, unknown> = {},
): HttpReply {
  const [start, limit] = [numberIn(query, "start", 0), numberIn(query, "limit", PAGE)];
  if (start === null || limit === null || limit < 1 || limit > PAGE) {
    return failure(400, `start has to be 0 or more, and limit from 1 to ${PAGE}`);
  }
  return json({ ...more, total: all.length, [name]: all.slice(start, start + limit) });
}

function numberIn(query: URLSearchParams, name: string, byDefault: number): number | null {
  const given = query.get(name);
  if (given === null) return byDefault;
  return /^\d{1,9}$/.test(given) ? Number(given) : null;
}

function text(body: string): HttpReply {
  return { type: "text/plain; charset=utf-8", body: `${body}\n` };
}
